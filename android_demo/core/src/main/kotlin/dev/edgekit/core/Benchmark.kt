package dev.edgekit.core

/** A model that can be opened: its contract, labels and what makes an engine of it. */
class OpenableModel(
    val contract: Contract,
    val labels: Labels,
    val factory: EngineFactory,
)

/** Times every delegate in turn, the quantized model and its float twin on each. */
class Benchmark(
    private val quantized: OpenableModel,
    private val float: OpenableModel?,
    private val policy: DelegatePolicy,
    private val memoryMb: () -> Double,
    private val runs: Int = 50,
    private val warmUpRuns: Int = 5,
) {
    /**
     * Measures what [policy] allows. One that fails is a row with its reason, not an end. [stop] is
     * asked before each delegate and each run; [onDone] hears of each row.
     */
    fun run(
        stop: () -> Boolean = { false },
        onDone: (DelegateMeasurement) -> Unit = {},
    ): List<DelegateMeasurement> {
        val rows = ArrayList<DelegateMeasurement>()
        for (delegate in Delegate.entries) {
            if (stop()) break
            val row = measure(delegate, stop)
            rows += row
            onDone(row)
        }
        return rows
    }

    private fun measure(
        delegate: Delegate,
        stop: () -> Boolean,
    ): DelegateMeasurement {
        val wanted = policy.copy(wanted = delegate)
        wanted.objection(delegate)?.let { return failed(delegate, it) }
        return try {
            withFloat(timed(quantized, wanted, stop), wanted, stop)
        } catch (error: EdgekitException) {
            failed(delegate, error.message ?: error.javaClass.simpleName)
        }
    }

    /** [first] with the float model's times, or with why there are none: it stands by itself. */
    private fun withFloat(
        first: DelegateMeasurement,
        wanted: DelegatePolicy,
        stop: () -> Boolean,
    ): DelegateMeasurement {
        if (float == null || stop()) return first
        val second =
            try {
                timed(float, wanted, stop)
            } catch (error: EdgekitException) {
                return first.copy(warnings = listOf("the float model was not measured: ${error.message}"))
            }
        if (second.effective != first.effective) {
            return first.copy(warnings = listOf("the float model ran on ${second.effective?.id}, which is no comparison"))
        }
        return first.copy(float = second.quantized, memoryMb = maxOf(first.memoryMb ?: 0.0, second.memoryMb ?: 0.0))
    }

    private fun timed(
        model: OpenableModel,
        wanted: DelegatePolicy,
        stop: () -> Boolean,
    ): DelegateMeasurement =
        Classifier.open(model.contract, model.labels, model.factory, wanted).use { classifier ->
            val times = classifier.measure(runs, warmUpRuns, stop)
            DelegateMeasurement(
                requested = classifier.requested,
                effective = classifier.effective,
                runtime = classifier.runtime,
                quantized = times,
                float = null,
                attempts = classifier.attempts,
                failure = null,
                memoryMb = memoryMb(),
            )
        }

    private fun failed(
        delegate: Delegate,
        why: String,
    ) = DelegateMeasurement(delegate, null, null, null, null, emptyList(), why)
}
