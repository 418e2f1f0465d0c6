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

        /** RGB of `0xAARRGGBB` pixels; see [fromArgbRows]. */
        fun fromArgb(
            argb: IntArray,
            width: Int,
            height: Int,
        ): PixelImage {
            require(argb.size == width * height) { "${argb.size} pixels for ${width}x$height" }
            return fromArgbRows(width, height) { row, into -> argb.copyInto(into, 0, row * width, (row + 1) * width) }
        }

        /**
         * RGB of rows of `0xAARRGGBB` pixels, which [read] puts into an array one by one, as Android's
         * `Bitmap.getPixels` does. Alpha is dropped: decode with `inPremultiplied = false`, else colours
         * under it are already darkened.
         */
        fun fromArgbRows(
            width: Int,
            height: Int,
            read: (row: Int, into: IntArray) -> Unit,
        ): PixelImage {
            checkSize(width, height)
            val rgb = ByteArray(3 * width * height)
            val pixels = IntArray(width)
            var to = 0
            for (row in 0 until height) {
                read(row, pixels)
                for (value in pixels) {
                    rgb[to++] = (value shr 16).toByte()
                    rgb[to++] = (value shr 8).toByte()
                    rgb[to++] = value.toByte()
                }
            }
            return PixelImage(width, height, 3, rgb)
        }
    }

    /** Opaque `0xAARRGGBB` pixels of a smaller copy to look at, no side longer than [side]. */
    fun preview(side: Int): Preview {
        val step = maxOf(1, (maxOf(width, height) + side - 1) / side)
        val columns = (width + step - 1) / step
        val rows = (height + step - 1) / step
        val argb =
            IntArray(columns * rows) {
                val from = (it / columns * step * width + it % columns * step) * channels
                val last = channels - 1
                (0xFF shl 24) or (at(from) shl 16) or (at(from + last / 2) shl 8) or at(from + last)
            }
        return Preview(columns, rows, argb)
    }

    /** See [preview]. */
    class Preview(
        val width: Int,
        val height: Int,
        val argb: IntArray,
    )
}
