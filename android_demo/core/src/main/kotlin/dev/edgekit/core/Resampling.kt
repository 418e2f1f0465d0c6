package dev.edgekit.core

import kotlin.math.abs

/**
 * Antialiased resizing, equal to the byte to Pillow's: the kernel is stretched by the factor of the
 * reduction, its weights are normalised in float64 and rounded to 22 bits of fraction, and each of
 * the two passes (across, then down) is rounded and clipped to 8 bits.
 *
 * The algorithm is that of Pillow's libImaging/Resample.c, written anew; bicubic has a = -0.5
 * (Keys, "Cubic convolution interpolation for digital image processing", 1981).
 */
object Resampling {
    private const val PRECISION_BITS = 22
    private const val BICUBIC_A = -0.5

    /** [image] at the new size; a side that stays the same is not touched. Throws [ImageException]. */
    fun resize(
        image: PixelImage,
        width: Int,
        height: Int,
        filter: Filter,
    ): PixelImage {
        PixelImage.checkSize(width, image.height)
        PixelImage.checkSize(width, height)
        return down(across(image, width, filter), height, filter)
    }

    private fun across(
        image: PixelImage,
        width: Int,
        filter: Filter,
    ): PixelImage {
        if (width == image.width) return image
        val weights = Weights.of(image.width, width, filter)
        val channels = image.channels
        val result = ByteArray(width * image.height * channels)
        var to = 0
        for (row in 0 until image.height) {
            val start = row * image.width
            for (column in 0 until width) {
                val first = (start + weights.first[column]) * channels
                repeat(channels) { channel ->
                    result[to++] = weights.sum(column, image.data, first + channel, channels)
                }
            }
        }
        return PixelImage(width, image.height, channels, result)
    }

    private fun down(
        image: PixelImage,
        height: Int,
        filter: Filter,
    ): PixelImage {
        if (height == image.height) return image
        val weights = Weights.of(image.height, height, filter)
        val stride = image.width * image.channels
        val result = ByteArray(height * stride)
        var to = 0
        for (row in 0 until height) {
            val first = weights.first[row] * stride
            for (offset in 0 until stride) {
                result[to++] = weights.sum(row, image.data, first + offset, stride)
            }
        }
        return PixelImage(image.width, height, image.channels, result)
    }

    /** Of each pixel of a result: the first source pixel it reads, and the weights from there on. */
    private class Weights(
        val first: IntArray,
        private val fixed: Array<IntArray>,
    ) {
        /** The weighted sum for result [index], over bytes from [start] on, [stride] apart. */
        fun sum(
            index: Int,
            data: ByteArray,
            start: Int,
            stride: Int,
        ): Byte {
            var sum = 1 shl (PRECISION_BITS - 1)
            var at = start
            for (weight in fixed[index]) {
                sum += (data[at].toInt() and 0xFF) * weight
                at += stride
            }
            return (sum shr PRECISION_BITS).coerceIn(0, 255).toByte()
        }

        companion object {
            fun of(
                source: Int,
                target: Int,
                filter: Filter,
            ): Weights {
                val scale = source.toDouble() / target
                val stretch = maxOf(scale, 1.0)
                val reach = filter.support * stretch
                val first = IntArray(target)
                val fixed =
                    Array(target) { index ->
                        val centre = (index + 0.5) * scale
                        // As in C: truncated towards zero, so what is below it counts as 0.
                        val low = (centre - reach + 0.5).toInt().coerceAtLeast(0)
                        val high = (centre + reach + 0.5).toInt().coerceAtMost(source)
                        first[index] = low
                        normalised(DoubleArray(high - low) { kernel(filter, it + low - centre + 0.5, stretch) })
                    }
                return Weights(first, fixed)
            }

            private fun normalised(weights: DoubleArray): IntArray {
                var sum = 0.0
                for (weight in weights) sum += weight
                return IntArray(weights.size) {
                    val part = (if (sum == 0.0) weights[it] else weights[it] / sum) * (1 shl PRECISION_BITS)
                    (if (part < 0) part - 0.5 else part + 0.5).toInt()
                }
            }

            private fun kernel(
                filter: Filter,
                distance: Double,
                stretch: Double,
            ): Double {
                val x = abs(distance * (1.0 / stretch))
                return when (filter) {
                    Filter.BILINEAR -> if (x < 1) 1 - x else 0.0
                    Filter.BICUBIC -> cubic(x)
                }
            }

            private fun cubic(x: Double): Double =
                when {
                    x < 1 -> ((BICUBIC_A + 2) * x - (BICUBIC_A + 3)) * x * x + 1
                    x < 2 -> (((x - 5) * x + 8) * x - 4) * BICUBIC_A
                    else -> 0.0
                }
        }
    }
}
