package dev.edgekit.core

/** What an app has to know to feed a model and to read its answer: edgekit's contract.json. */
data class Contract(
    val inputs: List<InputSpec>,
    val outputs: List<TensorSpec>,
    val meaning: Meaning,
) {
    /** The one image input; throws [ContractException] of a model that is fed otherwise. */
    val image: InputSpec
        get() =
            inputs.singleOrNull()
                ?: throw ContractException("The model has ${inputs.size} inputs; a picture fills one.")

    /** The output whose meaning is the task. */
    val primaryOutput: TensorSpec
        get() = outputs.first { it.name == meaning.primaryOutput }

    /** The same contract for the float twin of a quantized model: float ends, no scales. */
    fun float(): Contract =
        copy(
            inputs = inputs.map { it.copy(tensor = it.tensor.float()) },
            outputs = outputs.map { it.float() },
        )

    private fun TensorSpec.float(): TensorSpec = if (quantization == null) this else copy(dtype = DType.FLOAT32, quantization = null)

    companion object {
        /** Version of contract.json that this code reads. */
        const val SCHEMA = 1
    }
}

/** An input and the steps from a decoded picture to it, in order. */
data class InputSpec(
    val tensor: TensorSpec,
    val steps: List<Step>,
)

/** What the answer means. */
data class Meaning(
    val task: String,
    val primaryOutput: String,
    /** File of the class names, beside contract.json; `null` where there are none. */
    val labels: String?,
)

/** One step of the preprocessing. Each does to the byte what edgekit did when it measured. */
sealed interface Step {
    /** A file becomes RGB8: EXIF orientation applied, alpha dropped, nothing composited. */
    data object Decode : Step

    /** RGB8 becomes one channel: `(19595 r + 38470 g + 7471 b + 32768) >> 16`. */
    data object Grey : Step

    /** The shorter side becomes [size] pixels, the longer one follows, truncated. */
    data class ResizeShorterSide(
        val size: Int,
        val filter: Filter,
    ) : Step

    /** Both sides become what is said; the proportions are not kept. */
    data class Resize(
        val height: Int,
        val width: Int,
        val filter: Filter,
    ) : Step

    /** The middle is kept; a half pixel rounds to the even number. */
    data class CentreCrop(
        val height: Int,
        val width: Int,
    ) : Step

    /** RGB becomes BGR. */
    data object ReverseChannels : Step

    /** `(pixel / divisor - mean[c]) / std[c]`, in float32, rounded after every operation. */
    data class Normalise(
        val divisor: Float,
        val mean: List<Float>,
        val std: List<Float>,
    ) : Step

    /** The tensor's form before quantization, channels last. */
    data class Layout(
        val shape: List<Int>,
        val dtype: DType,
    ) : Step
}

/** Kernel of a resize, with its reach in source pixels at scale 1. */
enum class Filter(
    val id: String,
    val support: Double,
) {
    BILINEAR("bilinear", 1.0),
    BICUBIC("bicubic", 2.0),
}
