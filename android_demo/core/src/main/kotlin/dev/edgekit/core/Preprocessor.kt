package dev.edgekit.core

import java.nio.ByteBuffer

/** Carries out the steps of [input] on one picture after another. */
class Preprocessor(
    private val input: InputSpec,
) {
    private val normalise = input.steps.filterIsInstance<Step.Normalise>().firstOrNull()

    /**
     * RGB8 pixels (EXIF orientation applied) after colour, resize and crop: `[H, W, C]` of the
     * input. Throws [ImageException] where the picture does not come to the input's size.
     */
    fun pixels(rgb: PixelImage): PixelImage {
        require(rgb.channels == 3) { "the steps start from RGB" }
        val image = input.steps.fold(rgb, ::apply)
        val (height, width, channels) = input.tensor.shape.drop(1)
        if (image.height != height || image.width != width || image.channels != channels) {
            throw ImageException(
                "The picture (${rgb.width}x${rgb.height}) comes to ${image.width}x${image.height} pixels, " +
                    "the model takes ${width}x$height.",
            )
        }
        return image
    }

    /** The tensor before quantization, `[H, W, C]`; only of a contract that normalises. */
    fun values(pixels: PixelImage): FloatArray {
        val (divisor, mean, std) = checkNotNull(normalise) { "the contract does not normalise" }
        val channels = pixels.channels
        if (mean.size != channels) {
            throw ContractException("contract.json: normalise has ${mean.size} means for $channels channels.")
        }
        // 256 values a channel are all there can be.
        val table = FloatArray(256 * channels) { ((it / channels) / divisor - mean[it % channels]) / std[it % channels] }
        return FloatArray(pixels.data.size) {
            table[(pixels.data[it].toInt() and 0xFF) * channels + it % channels]
        }
    }

    /** What the model is fed: a direct buffer in native byte order, from its start. */
    fun tensor(rgb: PixelImage): ByteBuffer {
        val pixels = pixels(rgb)
        return if (normalise == null) Tensors.ofPixels(pixels) else Tensors.of(values(pixels), input.tensor)
    }

    private fun apply(
        image: PixelImage,
        step: Step,
    ): PixelImage =
        when (step) {
            Step.Decode -> image
            Step.Grey -> image.grey()
            is Step.ResizeShorterSide -> resizeShorterSide(image, step)
            is Step.Resize -> Resampling.resize(image, step.width, step.height, step.filter)
            is Step.CentreCrop -> centreCrop(image, step)
            Step.ReverseChannels -> image.reversedChannels()
            is Step.Normalise, is Step.Layout -> image
        }

    private fun resizeShorterSide(
        image: PixelImage,
        step: Step.ResizeShorterSide,
    ): PixelImage {
        fun longer(
            long: Int,
            short: Int,
        ): Int = (step.size.toLong() * long / short.toDouble()).toInt()

        return if (image.width <= image.height) {
            Resampling.resize(image, step.size, longer(image.height, image.width), step.filter)
        } else {
            Resampling.resize(image, longer(image.width, image.height), step.size, step.filter)
        }
    }

    private fun centreCrop(
        image: PixelImage,
        step: Step.CentreCrop,
    ): PixelImage {
        if (image.width < step.width || image.height < step.height) {
            throw ImageException(
                "The picture has ${image.width}x${image.height} pixels before a crop of ${step.width}x${step.height}.",
            )
        }
        return image.crop(
            top = Math.rint((image.height - step.height) / 2.0).toInt(),
            left = Math.rint((image.width - step.width) / 2.0).toInt(),
            height = step.height,
            width = step.width,
        )
    }
}
