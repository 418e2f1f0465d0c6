package dev.edgekit.core

import java.nio.ByteBuffer
import kotlin.test.Test
import kotlin.test.assertContains
import kotlin.test.assertContentEquals
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertTrue

class PreprocessorTest {
    private fun bytes(buffer: ByteBuffer): ByteArray = ByteArray(buffer.remaining()).also { buffer.duplicate().get(it) }

    private fun input(
        tensor: TensorSpec,
        vararg steps: Step,
    ) = InputSpec(tensor, listOf(Step.Decode, *steps))

    @Test
    fun `normalising and quantizing follow the contract`() {
        val preprocessor = Preprocessor(tinyContract.image)
        // 0 -> -1.0 -> -2 - 1; 255 -> 1.0 -> 2 - 1; 127 -> -0.0039 -> 0 - 1; 160 -> 0.2549 -> 1 - 1
        val image = picture(2, 2) { listOf(0, 255, 127, 160)[it % 4] }
        val expected = ByteArray(12) { byteArrayOf(-3, 1, -1, 0)[it % 4] }
        val tensor = preprocessor.tensor(image)
        assertContentEquals(expected, bytes(tensor))
        assertTrue(tensor.isDirect)
    }

    @Test
    fun `a model that takes pixels gets them as they are`() {
        val spec = TensorSpec("image", listOf(1, 2, 2, 3), DType.UINT8, Quantization(0.0078125f, 128))
        val image = picture(2, 2)
        val tensor = Preprocessor(input(spec, Step.Layout(spec.shape, DType.UINT8))).tensor(image)
        assertContentEquals(image.data, bytes(tensor))
    }

    @Test
    fun `the longer side is truncated and a crop's half rounds to even`() {
        val spec = TensorSpec("image", listOf(1, 4, 4, 3), DType.UINT8, null)
        val steps = arrayOf(Step.ResizeShorterSide(5, Filter.BILINEAR), Step.CentreCrop(4, 4), Step.Layout(spec.shape, DType.UINT8))
        // 7x8 -> 5x5 (5.71 truncated); (5 - 4) / 2 = 0.5 -> 0
        val image = picture(7, 8)
        val expected = Resampling.resize(image, 5, 5, Filter.BILINEAR).crop(0, 0, 4, 4)
        assertContentEquals(expected.data, Preprocessor(input(spec, *steps)).pixels(image).data)
    }

    @Test
    fun `a picture that cannot come to the input is refused with both sizes`() {
        val spec = TensorSpec("image", listOf(1, 4, 4, 3), DType.UINT8, null)
        val crop = Preprocessor(input(spec, Step.CentreCrop(4, 4), Step.Layout(spec.shape, DType.UINT8)))
        assertContains(assertFailsWith<ImageException> { crop.pixels(picture(3, 9)) }.message!!, "3x9 pixels before a crop of 4x4")
        val bare = Preprocessor(input(spec, Step.Layout(spec.shape, DType.UINT8)))
        assertContains(assertFailsWith<ImageException> { bare.pixels(picture(3, 9)) }.message!!, "the model takes 4x4")
    }

    @Test
    fun `a grey model gets one channel`() {
        val spec = TensorSpec("image", listOf(1, 2, 2, 1), DType.UINT8, null)
        val grey = Preprocessor(input(spec, Step.Grey, Step.Layout(spec.shape, DType.UINT8)))
        assertEquals(4, grey.tensor(picture(2, 2)).remaining())
    }
}
