package dev.edgekit.demo

import android.content.ContentResolver
import android.graphics.Bitmap
import android.graphics.BitmapFactory
import android.net.Uri
import androidx.exifinterface.media.ExifInterface
import dev.edgekit.core.ImageException
import dev.edgekit.core.PixelImage
import java.io.IOException
import java.io.InputStream

/** A decoded picture, upright; [isReduced] says that it was made smaller on decoding. */
class Picture(
    val pixels: PixelImage,
    val fullWidth: Int,
    val fullHeight: Int,
) {
    val isReduced: Boolean get() = pixels.width.toLong() * pixels.height < fullWidth.toLong() * fullHeight
}

/** From a content URI to RGB8 pixels: where the preprocessing contract starts. */
class PictureReader(
    private val resolver: ContentResolver,
) {
    /** Throws [ImageException], [IOException], and [SecurityException] of a URI that was taken back. */
    fun read(uri: Uri): Picture {
        val bounds = BitmapFactory.Options().apply { inJustDecodeBounds = true }
        open(uri).use { BitmapFactory.decodeStream(it, null, bounds) }
        if (bounds.outWidth < 1 || bounds.outHeight < 1) throw ImageException("it is no picture Android can decode")
        val options =
            BitmapFactory.Options().apply {
                inSampleSize = sampleSize(bounds.outWidth, bounds.outHeight)
                inPreferredConfig = Bitmap.Config.ARGB_8888
                // Alpha is dropped, so colours must not be multiplied by it.
                inPremultiplied = false
                inScaled = false
            }
        val orientation =
            open(uri).use {
                ExifInterface(it).getAttributeInt(ExifInterface.TAG_ORIENTATION, ExifInterface.ORIENTATION_NORMAL)
            }
        val bitmap =
            open(uri).use { BitmapFactory.decodeStream(it, null, options) }
                ?: throw ImageException("it is damaged")
        val stored = pixels(bitmap)
        bitmap.recycle()
        val isTurned = orientation in ExifInterface.ORIENTATION_TRANSPOSE..ExifInterface.ORIENTATION_ROTATE_270
        return Picture(
            pixels = stored.oriented(orientation),
            fullWidth = if (isTurned) bounds.outHeight else bounds.outWidth,
            fullHeight = if (isTurned) bounds.outWidth else bounds.outHeight,
        )
    }

    private fun pixels(bitmap: Bitmap): PixelImage =
        PixelImage.fromArgbRows(bitmap.width, bitmap.height) { row, into ->
            bitmap.getPixels(into, 0, bitmap.width, 0, row, bitmap.width, 1)
        }

    private fun open(uri: Uri): InputStream = resolver.openInputStream(uri) ?: throw IOException("its app gives no access to it")

    private fun sampleSize(
        width: Int,
        height: Int,
    ): Int {
        var size = 1
        while (width.toLong() / size * (height / size) > MAX_PIXELS) size *= 2
        return size
    }

    private companion object {
        /** 24 megapixels take 96 MB as a bitmap and 72 MB as RGB; larger ones are halved. */
        const val MAX_PIXELS = 24_000_000
    }
}
