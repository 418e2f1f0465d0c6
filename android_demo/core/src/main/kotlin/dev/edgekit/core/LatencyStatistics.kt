package dev.edgekit.core

import kotlin.math.ceil
import kotlin.math.floor

/** What a series of runs took, in milliseconds. The first run and the warm-up are not among them. */
data class LatencyStatistics(
    val firstMs: Double,
    val medianMs: Double,
    val p90Ms: Double,
    val minMs: Double,
    val maxMs: Double,
    /** Range between the quartiles over the median. */
    val spread: Double,
    val runs: Int,
    val warmUpRuns: Int,
) {
    companion object {
        /** Of [timesMs] in the order they were taken; the first [warmUpRuns] are left out. */
        fun of(
            timesMs: List<Double>,
            warmUpRuns: Int,
        ): LatencyStatistics {
            require(warmUpRuns in 0 until timesMs.size) { "${timesMs.size} runs of which $warmUpRuns warm up" }
            val sorted = timesMs.drop(warmUpRuns).sorted()
            val median = percentile(sorted, 50.0)
            return LatencyStatistics(
                firstMs = timesMs.first(),
                medianMs = median,
                p90Ms = percentile(sorted, 90.0),
                minMs = sorted.first(),
                maxMs = sorted.last(),
                spread = if (median == 0.0) 0.0 else (percentile(sorted, 75.0) - percentile(sorted, 25.0)) / median,
                runs = sorted.size,
                warmUpRuns = warmUpRuns,
            )
        }

        /** Of [sorted] values, between neighbours on a line, as NumPy's default is. */
        fun percentile(
            sorted: List<Double>,
            percent: Double,
        ): Double {
            val place = percent / 100 * (sorted.size - 1)
            val low = sorted[floor(place).toInt()]
            val high = sorted[ceil(place).toInt()]
            return low + (high - low) * (place - floor(place))
        }
    }
}
