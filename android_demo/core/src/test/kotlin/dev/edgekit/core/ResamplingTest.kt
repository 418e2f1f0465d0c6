package dev.edgekit.core

import kotlin.test.Test
import kotlin.test.assertContentEquals
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertSame
import kotlin.test.assertTrue

class ResamplingTest {
    private fun resized(
        values: IntArray,
        size: Int,
        filter: Filter,
    ): List<Int> {
        val image = PixelImage(values.size, 1, 1, ByteArray(values.size) { values[it].toByte() })
        return Resampling.resize(image, size, 1, filter).data.map { it.toInt() and 0xFF }
    }

    @Test
    fun `known rows of Pillow come out`() {
        // Image.fromarray(row).resize((size, 1), filter) in Pillow 13
        val row = intArrayOf(0, 255, 30, 200, 90, 10, 250)
        assertEquals(listOf(116, 126, 113), resized(row, 3, Filter.BILINEAR))
        assertEquals(listOf(116, 121, 117), resized(row, 3, Filter.BICUBIC))
        assertEquals(
            listOf(0, 96, 244, 133, 51, 150, 168, 104, 53, 20, 160, 250),
            resized(row, 12, Filter.BILINEAR),
        )
        assertEquals(
            listOf(0, 91, 253, 134, 34, 159, 188, 104, 33, 14, 169, 255),
            resized(row, 12, Filter.BICUBIC),
        )
    }

    @Test
    fun `one colour stays that colour at every size`() {
        for (filter in Filter.entries) {
            for (size in listOf(1, 2, 7, 16, 61, 200)) {
                val image = Resampling.resize(picture(31, 17) { 201 }, size, size + 3, filter)
                assertEquals(size, image.width)
                assertEquals(size + 3, image.height)
                assertTrue(image.data.all { it == 201.toByte() }, "$filter $size")
            }
        }
    }

    @Test
    fun `a picture of the right size is not touched`() {
        val image = picture(5, 4)
        assertSame(image, Resampling.resize(image, 5, 4, Filter.BICUBIC))
    }

    @Test
    fun `channels do not mix`() {
        val image = Resampling.resize(picture(9, 9) { if (it % 3 == 1) 255 else 0 }, 4, 4, Filter.BICUBIC)
        val green = ByteArray(4 * 4 * 3) { if (it % 3 == 1) -1 else 0 }
        assertContentEquals(green, image.data)
    }

    @Test
    fun `a size that no picture has is refused`() {
        assertFailsWith<ImageException> { Resampling.resize(picture(2, 2), 0, 2, Filter.BILINEAR) }
        assertFailsWith<ImageException> { Resampling.resize(picture(2, 2), 100_000, 100_000, Filter.BILINEAR) }
    }
}
