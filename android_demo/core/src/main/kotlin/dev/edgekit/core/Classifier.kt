package dev.edgekit.core

import java.nio.ByteBuffer

/** An answer, best class first, and what it took; each without the other's time. */
data class Classification(
    val top: List<Ranked>,
    val preprocessMs: Double,
    val inferenceMs: Double,
)

/** Contract, labels and an engine as one: a picture in, class names out. */
class Classifier(
    private val contract: Contract,
    private val labels: Labels,
    private val opened: OpenedEngine,
    private val nanoTime: () -> Long = System::nanoTime,
) : AutoCloseable {
    private val preprocessor = Preprocessor(contract.image)

    val requested: Delegate get() = opened.requested
    val effective: Delegate get() = opened.effective
    val attempts: List<Attempt> get() = opened.attempts
    val runtime: String get() = opened.engine.runtime

    /** Classifies [rgb], which has its EXIF orientation applied. Throws [EdgekitException]. */
    fun classify(
        rgb: PixelImage,
        count: Int = 5,
    ): Classification {
        val start = nanoTime()
        val feeds = mapOf(contract.image.tensor.name to preprocessor.tensor(rgb))
        val fed = nanoTime()
        val answer = run(feeds)
        val end = nanoTime()
        val output = contract.primaryOutput
        val scores = Tensors.values(answer.getValue(output.name), output)
        if (scores.any(Float::isNaN)) throw ModelMismatchException("The model's answer holds a NaN.")
        return Classification(labels.top(scores, count), (fed - start) / NANOS_PER_MS, (end - fed) / NANOS_PER_MS)
    }

    /** Times bare invocations, [warmUpRuns] of them not counted, until [stop] says so. */
    fun measure(
        runs: Int,
        warmUpRuns: Int,
        stop: () -> Boolean = { false },
    ): LatencyStatistics {
        val feeds = EngineOpener.zeros(opened.engine.inputs)
        val timesMs = ArrayList<Double>()
        while (timesMs.size < runs + warmUpRuns && !(timesMs.size > warmUpRuns && stop())) {
            val start = nanoTime()
            run(feeds)
            timesMs += (nanoTime() - start) / NANOS_PER_MS
        }
        return LatencyStatistics.of(timesMs, warmUpRuns)
    }

    override fun close() = opened.close()

    private fun run(feeds: Map<String, ByteBuffer>): Map<String, ByteBuffer> =
        try {
            opened.engine.run(feeds)
        } catch (error: RuntimeException) {
            throw EngineException("The model failed on ${effective.id}: ${error.message ?: error}", error)
        }

    companion object {
        private const val NANOS_PER_MS = 1e6

        /**
         * Opens the model on the best delegate that [policy] allows. Throws [EdgekitException]: labels or
         * ends that are not the contract's, or no delegate that runs it.
         */
        fun open(
            contract: Contract,
            labels: Labels,
            factory: EngineFactory,
            policy: DelegatePolicy,
        ): Classifier {
            if (contract.meaning.task != "classification") {
                throw ContractException("The model's task is ${contract.meaning.task}, this app shows classes.")
            }
            labels.check(contract.primaryOutput)
            val opened =
                EngineOpener.open(factory, policy) { engine ->
                    checkEnds(contract.inputs.map { it.tensor }, engine.inputs, "input")
                    checkEnds(contract.outputs, engine.outputs, "output")
                }
            return Classifier(contract, labels, opened)
        }

        private fun checkEnds(
            promised: List<TensorSpec>,
            found: List<TensorSpec>,
            what: String,
        ) {
            for (spec in promised) {
                val actual =
                    found.firstOrNull { it.name == spec.name }
                        ?: throw ModelMismatchException(
                            "The model has no $what '${spec.name}', only ${found.map { it.name }}: export it again.",
                        )
                if (actual != spec) {
                    val scales = if (actual.describe() == spec.describe()) " with another scale or zero point" else ""
                    throw ModelMismatchException(
                        "contract.json promises $what '${spec.name}' as ${spec.describe()}, " +
                            "the model has ${actual.describe()}$scales: export them again.",
                    )
                }
            }
            if (found.size != promised.size) {
                throw ModelMismatchException(
                    "contract.json has ${promised.size} ${what}s, the model ${found.size}: export them again.",
                )
            }
        }
    }
}
