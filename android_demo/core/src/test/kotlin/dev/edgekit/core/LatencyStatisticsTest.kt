package dev.edgekit.core

import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith

class LatencyStatisticsTest {
    @Test
    fun `the warm-up does not count, but the first run is kept`() {
        val times = LatencyStatistics.of(listOf(90.0, 50.0, 4.0, 1.0, 3.0, 2.0), warmUpRuns = 2)
        assertEquals(90.0, times.firstMs)
        assertEquals(2.5, times.medianMs)
        assertEquals(1.0, times.minMs)
        assertEquals(4.0, times.maxMs)
        assertEquals(4, times.runs)
        assertEquals(2, times.warmUpRuns)
    }

    @Test
    fun `percentiles are NumPy's`() {
        // np.percentile([1, 2, 4, 8, 16], [90, 50, 25])
        val sorted = listOf(1.0, 2.0, 4.0, 8.0, 16.0)
        assertEquals(12.8, LatencyStatistics.percentile(sorted, 90.0), 1e-12)
        assertEquals(4.0, LatencyStatistics.percentile(sorted, 50.0))
        assertEquals(2.0, LatencyStatistics.percentile(sorted, 25.0))
        assertEquals(3.0, LatencyStatistics.percentile(listOf(3.0), 90.0))
    }

    @Test
    fun `a series of nothing but warm-up is no measurement`() {
        assertFailsWith<IllegalArgumentException> { LatencyStatistics.of(listOf(1.0, 2.0), warmUpRuns = 2) }
    }
}
