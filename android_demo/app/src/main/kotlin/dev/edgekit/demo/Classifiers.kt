package dev.edgekit.demo

import android.os.Build
import dev.edgekit.core.Classification
import dev.edgekit.core.Classifier
import dev.edgekit.core.Delegate
import dev.edgekit.core.DelegatePolicy
import dev.edgekit.core.OpenableModel
import dev.edgekit.core.PixelImage

/** The answer of one model, and where it came from. */
class Answer(
    val classification: Classification,
    val requested: Delegate,
    val effective: Delegate,
    /** Why it is not the delegate that was asked for, or `null`. */
    val fallback: String?,
)

/** Both models on the delegate of a choice. Not safe for use from several threads at once. */
class Classifiers(
    private val assets: ModelAssets,
) : AutoCloseable {
    private var choice: Delegate? = null
    private var quantized: Classifier? = null
    private var float: Classifier? = null

    /** [wanted] is `null` for the best there is. Throws [dev.edgekit.core.EdgekitException]. */
    fun classify(
        picture: PixelImage,
        wanted: Delegate?,
    ): Pair<Answer, Answer?> {
        if (wanted != choice) close()
        choice = wanted
        val first = quantized ?: open(assets.quantized, wanted).also { quantized = it }
        val second = float ?: assets.float?.let { open(it, wanted) }.also { float = it }
        return answer(first, picture) to second?.let { answer(it, picture) }
    }

    override fun close() {
        val open = listOfNotNull(quantized, float)
        quantized = null
        float = null
        open.forEach(Classifier::close)
    }

    private fun open(
        model: OpenableModel,
        wanted: Delegate?,
    ): Classifier = Classifier.open(model.contract, model.labels, model.factory, policy(wanted))

    private fun answer(
        classifier: Classifier,
        picture: PixelImage,
    ): Answer =
        Answer(
            classification = classifier.classify(picture),
            requested = classifier.requested,
            effective = classifier.effective,
            fallback =
                classifier.attempts
                    .firstOrNull { it.delegate == classifier.requested }
                    ?.reason
                    ?.takeIf { classifier.effective != classifier.requested },
        )

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
