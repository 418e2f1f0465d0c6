package dev.edgekit.core

/**
 * 8-bit pixels, row by row, [channels] bytes each (3: RGB or BGR, 1: grey). [data] is not copied and
 * not to be written to.
 */
class PixelImage(
    val width: Int,
    val height: Int,
    val channels: Int,
    val data: ByteArray,
) {
    init {
        checkSize(width, height)
        require(channels == 1 || channels == 3) { "$channels channels" }
        require(data.size == width * height * channels) {
            "${data.size} bytes for ${width}x$height pixels of $channels channels"
        }
    }

    /** One channel: the luma of Rec. 601 in Pillow's 16-bit fixed point. */
    fun grey(): PixelImage {
        if (channels == 1) return this
        val grey = ByteArray(width * height)
        for (pixel in grey.indices) {
            val at = 3 * pixel
            val luma = 19595 * at(at) + 38470 * at(at + 1) + 7471 * at(at + 2) + 32768
            grey[pixel] = (luma shr 16).toByte()
        }
        return PixelImage(width, height, 1, grey)
    }

    /** The channels in the other order. */
    fun reversedChannels(): PixelImage {
        val reversed = ByteArray(data.size)
        for (index in data.indices) {
            reversed[index] = data[index - index % channels + channels - 1 - index % channels]
        }
        return PixelImage(width, height, channels, reversed)
    }

    /** The part of that size from row [top] and column [left] on. */
    fun crop(
        top: Int,
        left: Int,
        height: Int,
        width: Int,
    ): PixelImage {
        val part = ByteArray(height * width * channels)
        for (row in 0 until height) {
            val start = ((top + row) * this.width + left) * channels
            data.copyInto(part, row * width * channels, start, start + width * channels)
        }
        return PixelImage(width, height, channels, part)
    }

    /**
     * The picture as it is meant to be seen: [exifOrientation] is the value of the EXIF tag
     * Orientation (1 to 8; anything else means 1, as Pillow takes it).
     */
    fun oriented(exifOrientation: Int): PixelImage =
        when (exifOrientation) {
            2 -> rearranged(width, height) { x, y -> y * width + width - 1 - x }
            3 -> rearranged(width, height) { x, y -> (height - 1 - y) * width + width - 1 - x }
            4 -> rearranged(width, height) { x, y -> (height - 1 - y) * width + x }
            5 -> rearranged(height, width) { x, y -> x * width + y }
            6 -> rearranged(height, width) { x, y -> (height - 1 - x) * width + y }
            7 -> rearranged(height, width) { x, y -> (height - 1 - x) * width + width - 1 - y }
            8 -> rearranged(height, width) { x, y -> x * width + width - 1 - y }
            else -> this
        }

    /** [source] gives the pixel here that comes to column x, row y there. */
    private inline fun rearranged(
        newWidth: Int,
        newHeight: Int,
        source: (Int, Int) -> Int,
    ): PixelImage {
        val moved = ByteArray(data.size)
        var to = 0
        for (y in 0 until newHeight) {
            for (x in 0 until newWidth) {
                val from = source(x, y) * channels
                for (channel in 0 until channels) moved[to++] = data[from + channel]
            }
        }
        return PixelImage(newWidth, newHeight, channels, moved)
    }

    private fun at(index: Int): Int = data[index].toInt() and 0xFF

    companion object {
        /** Larger pictures are refused: at three bytes a pixel this is 192 MB. */
        const val MAX_PIXELS = 64_000_000

        /** Throws [ImageException] of a size that no picture has, or that no phone can hold. */
        fun checkSize(
            width: Int,
            height: Int,
        ) {
            if (width < 1 || height < 1) throw ImageException("The picture is empty: ${width}x$height pixels.")
            if (width.toLong() * height > MAX_PIXELS) {
                throw ImageException(
                    "The picture is too large: ${width}x$height pixels, at most ${MAX_PIXELS / 1_000_000} million.",
                )
            }
        }

        /**
         * RGB of `0xAARRGGBB` pixels, as Android's `Bitmap.getPixels` gives them. Alpha is dropped:
         * decode with `inPremultiplied = false`, else colours under it are already darkened.
         */
        fun fromArgb(
            argb: IntArray,
            width: Int,
            height: Int,
        ): PixelImage {
            checkSize(width, height)
            require(argb.size == width * height) { "${argb.size} pixels for ${width}x$height" }
            val rgb = ByteArray(3 * argb.size)
            argb.forEachIndexed { pixel, value ->
                rgb[3 * pixel] = (value shr 16).toByte()
                rgb[3 * pixel + 1] = (value shr 8).toByte()
                rgb[3 * pixel + 2] = value.toByte()
            }
            return PixelImage(width, height, 3, rgb)
        }
    }
}
