package dev.edgekit.core

/** The phone that measured. */
data class Phone(
    val model: String,
    val apiLevel: Int,
    val serial: String = "",
)

/** What one delegate came to on this phone; [failure] is why there are no times. */
data class DelegateMeasurement(
    val requested: Delegate,
    val effective: Delegate?,
    val runtime: String?,
    val quantized: LatencyStatistics?,
    val float: LatencyStatistics?,
    val attempts: List<Attempt>,
    val failure: String?,
    /** Of the whole app, after the runs, with the model still loaded. */
    val memoryMb: Double? = null,
    val warnings: List<String> = emptyList(),
) {
    /** Why another delegate ran than the one that was asked for, or `null`. */
    val fallback: String? get() = if (effective == requested) null else attempts.passedOver()
}

/** edgekit's report.json with what this phone measured in place of its `latency.devices`. */
object DeviceReport {
    /** [runReport] is the report.json of the run that made the model. Throws [ContractException]. */
    fun write(
        runReport: String,
        phone: Phone,
        measured: List<DelegateMeasurement>,
        threads: Int,
    ): String {
        val report =
            try {
                Json.parse(runReport) as? Map<*, *>
            } catch (error: JsonException) {
                throw ContractException("report.json is no JSON: ${error.message}.", error)
            }
        val latency = report?.get("latency") as? Map<*, *>
        if (report == null || latency == null || report["schema"] != SCHEMA) {
            throw ContractException("report.json is none of schema $SCHEMA: export it again.")
        }
        val devices = measured.map { if (it.quantized == null) unmeasured(it, phone) else times(it, phone, it.quantized, threads) }
        return Json.write(report + ("latency" to latency + ("devices" to devices)))
    }

    private fun unmeasured(
        found: DelegateMeasurement,
        phone: Phone,
    ): Map<String, Any?> =
        mapOf(
            "device" to device(phone),
            "measured" to false,
            "why" to (found.failure ?: "not measured"),
            "delegate_requested" to found.requested.id,
            "log" to null,
        )

    private fun times(
        found: DelegateMeasurement,
        phone: Phone,
        quantized: LatencyStatistics,
        threads: Int,
    ): Map<String, Any?> =
        mapOf(
            "device" to device(phone),
            "measured" to true,
            "serial" to phone.serial,
            "model" to phone.model,
            "engine" to found.runtime,
            "engine_sha256" to null,
            "flags" to emptyList<Any?>(),
            "delegate_requested" to found.requested.id,
            "delegate_effective" to found.effective?.id,
            // The interpreter does not tell an app how many operators a delegate took.
            "delegate_complete" to null,
            "delegate_nodes" to null,
            "graph_nodes" to null,
            "delegate_partitions" to null,
            "fallback" to found.fallback,
            "predicted" to null,
            "surprise" to null,
        ) + figures(quantized, found.memoryMb) +
            mapOf(
                "float" to found.float?.let { figures(it, null) },
                // A speed-up goes with an interval, and one round in one process gives none.
                "speedup" to null,
                "ci_low" to null,
                "ci_high" to null,
                "threads" to threads,
                "rounds" to 1,
                "attempts" to 1,
                "fit" to false,
                "unfit_why" to "measured inside an app, in one round: heat and other apps are not watched",
                "answers" to null,
                "before" to emptyMap<String, Any?>(),
                "after" to emptyMap<String, Any?>(),
                "warnings" to found.warnings + "peak_memory_mb is the whole app's, read after the runs",
                "log" to null,
            )

    private fun figures(
        times: LatencyStatistics,
        peakMemoryMb: Double?,
    ): Map<String, Any?> =
        mapOf(
            "median_ms" to times.medianMs,
            "p90_ms" to times.p90Ms,
            "p90_of" to "runs",
            "statistic" to "median",
            "min_ms" to times.minMs,
            "max_ms" to times.maxMs,
            "spread" to times.spread,
            "runs" to times.runs,
            "warm_up_runs" to times.warmUpRuns,
            "rounds_ms" to listOf(times.medianMs),
            "init_ms" to null,
            "first_ms" to times.firstMs,
            "peak_memory_mb" to peakMemoryMb,
            "memory_delta_mb" to null,
        )

    private fun device(phone: Phone): String = "app:${phone.model}, API ${phone.apiLevel}"

    private const val SCHEMA = 1L
}
