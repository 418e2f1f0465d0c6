package dev.edgekit.demo

import android.os.Build
import dev.edgekit.core.Classification
import dev.edgekit.core.Classifier
import dev.edgekit.core.Delegate
import dev.edgekit.core.DelegatePolicy
import dev.edgekit.core.EdgekitException
import dev.edgekit.core.EngineException
import dev.edgekit.core.OpenableModel
import dev.edgekit.core.PixelImage
import dev.edgekit.core.passedOver

/** The answer of one model, and where it came from. */
class Answer(
    val classification: Classification,
    val requested: Delegate,
    val effective: Delegate,
    /** Why it is not the delegate that was asked for, or `null`. */
    val fallback: String?,
)

/** What both models say of one picture. */
class Answers(
    val quantized: Answer,
    /** `null` where no float model was exported, or where it failed. */
    val float: Answer?,
    val floatFailure: String?,
)

/** Both models on the delegate of a choice. Not safe for use from several threads at once. */
class Classifiers(
    private val assets: ModelAssets,
) : AutoCloseable {
    private var choice: Delegate? = null
    private var quantized: Classifier? = null
    private var float: Classifier? = null

    /**
     * [wanted] is `null` for the best there is. Throws [EdgekitException] of the quantized model; a float
     * model that fails leaves its answer standing.
     */
    fun classify(
        picture: PixelImage,
        wanted: Delegate?,
    ): Answers {
        if (wanted != choice) close()
        choice = wanted
        val first = quantized ?: open(assets.quantized, wanted).also { quantized = it }
        val answer = answer(first, picture)
        return try {
            val second = float ?: assets.float?.let { open(it, wanted) }.also { float = it }
            Answers(answer, second?.let { answer(it, picture) }, floatFailure = null)
        } catch (error: EdgekitException) {
            Answers(answer, float = null, floatFailure = error.message)
        }
    }

    override fun close() {
        val (first, second) = quantized to float
        quantized = null
        float = null
        try {
            first?.close()
        } finally {
            second?.close()
        }
    }

    private fun open(
        model: OpenableModel,
        wanted: Delegate?,
    ): Classifier = Classifier.open(model.contract, model.labels, model.factory, policy(wanted))

    private fun answer(
        classifier: Classifier,
        picture: PixelImage,
    ): Answer =
        try {
            Answer(
                classification = classifier.classify(picture),
                requested = classifier.requested,
                effective = classifier.effective,
                fallback = classifier.attempts.passedOver(),
            )
        } catch (error: EngineException) {
            // An engine that broke stays broken: the next picture opens new ones.
            close()
            throw error
        }

    companion object {
        /** What this device may try for [wanted]. */
        fun policy(
            wanted: Delegate?,
            allowNnapi: Boolean = false,
        ): DelegatePolicy =
            DelegatePolicy(
                apiLevel = Build.VERSION.SDK_INT,
                wanted = wanted,
                gpuListed = LiteRtEngine.isGpuListed(),
                allowNnapi = allowNnapi,
            )
    }
}
