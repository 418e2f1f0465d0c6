package dev.edgekit.core

import kotlin.test.Test
import kotlin.test.assertContains
import kotlin.test.assertContentEquals
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith

class PixelImageTest {
    private val letters = PixelImage(3, 2, 1, "abcdef".encodeToByteArray())

    @Test
    fun `every EXIF orientation turns the picture upright`() {
        val expected =
            mapOf(
                0 to "abcdef",
                1 to "abcdef",
                2 to "cbafed",
                3 to "fedcba",
                4 to "defabc",
                5 to "adbecf",
                6 to "daebfc",
                7 to "fcebda",
                8 to "cfbead",
                9 to "abcdef",
            )
        for ((orientation, pixels) in expected) {
            val turned = letters.oriented(orientation)
            assertEquals(pixels, turned.data.decodeToString(), "orientation $orientation")
            assertEquals(if (orientation in 5..8) 2 else 3, turned.width)
        }
    }

    @Test
    fun `alpha is dropped, not blended`() {
        val image = PixelImage.fromArgb(intArrayOf(0x00102030, 0x7FFF8001.toInt()), 2, 1)
        assertContentEquals(byteArrayOf(0x10, 0x20, 0x30, -1, -128, 1), image.data)
    }

    @Test
    fun `grey is Pillow's luma`() {
        // Image.new("RGB", (1, 1), (r, g, b)).convert("L") in Pillow 13
        val known = mapOf(listOf(255, 0, 0) to 76, listOf(0, 255, 0) to 150, listOf(0, 0, 255) to 29, listOf(1, 2, 3) to 2)
        for ((rgb, luma) in known) {
            val grey = PixelImage(1, 1, 3, ByteArray(3) { rgb[it].toByte() }).grey()
            assertEquals(luma, grey.data.single().toInt() and 0xFF, "$rgb")
            assertEquals(1, grey.channels)
        }
    }

    @Test
    fun `BGR is RGB backwards`() {
        assertContentEquals(byteArrayOf(3, 2, 1, 6, 5, 4), picture(2, 1) { it + 1 }.reversedChannels().data)
    }

    @Test
    fun `a crop keeps rows and channels together`() {
        assertEquals("ef", letters.crop(top = 1, left = 1, height = 1, width = 2).data.decodeToString())
    }

    @Test
    fun `a preview is opaque, no larger than asked for and of the same colours`() {
        val preview = picture(9, 4) { it }.preview(side = 4)
        assertEquals(3, preview.width)
        assertEquals(2, preview.height)
        assertEquals(0xFF000102.toInt(), preview.argb[0])
        assertEquals(0xFF090A0B.toInt(), preview.argb[1])
        val grey = PixelImage(1, 1, 1, byteArrayOf(7)).preview(side = 4)
        assertEquals(0xFF070707.toInt(), grey.argb.single())
    }

    @Test
    fun `empty and huge pictures are refused with their size`() {
        assertContains(assertFailsWith<ImageException> { PixelImage(0, 4, 3, ByteArray(0)) }.message!!, "0x4")
        assertContains(
            assertFailsWith<ImageException> { PixelImage.checkSize(100_000, 100_000) }.message!!,
            "100000x100000",
        )
    }
}
