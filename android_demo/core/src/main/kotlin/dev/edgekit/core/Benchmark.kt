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
            val first = timed(quantized, wanted, stop)
            val second = float?.let { timed(it, wanted, stop) }
            // Two models on two delegates are no comparison.
            val comparable = second?.takeIf { it.effective == first.effective }
            first.copy(
                float = comparable?.quantized,
                peakMemoryMb = maxOf(first.peakMemoryMb ?: 0.0, second?.peakMemoryMb ?: 0.0),
            )
        } catch (error: EdgekitException) {
            failed(delegate, error.message ?: error.javaClass.simpleName)
        }
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
                peakMemoryMb = memoryMb(),
            )
        }

    private fun failed(
        delegate: Delegate,
        why: String,
    ) = DelegateMeasurement(delegate, null, null, null, null, emptyList(), why)
}
