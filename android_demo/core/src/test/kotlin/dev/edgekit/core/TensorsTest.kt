package dev.edgekit.core

import java.nio.ByteBuffer
import kotlin.test.Test
import kotlin.test.assertContentEquals
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith

class TensorsTest {
    private fun spec(
        dtype: DType,
        quantization: Quantization?,
        size: Int,
    ) = TensorSpec("x", listOf(1, size), dtype, quantization)

    private fun roundTrip(
        dtype: DType,
        quantization: Quantization?,
        vararg values: Float,
    ): List<Float> {
        val spec = spec(dtype, quantization, values.size)
        return Tensors.values(Tensors.of(values, spec), spec).toList()
    }

    @Test
    fun `halves round to even and the ends saturate`() {
        val stored = Tensors.of(floatArrayOf(0.5f, 1.5f, 2.5f, -0.5f, -1.5f, 1e30f, -1e30f), spec(DType.INT8, Quantization(1f, 0), 7))
        assertContentEquals(byteArrayOf(0, 2, 2, 0, -2, 127, -128), ByteArray(7).also { stored.get(it) })
    }

    @Test
    fun `each type holds its own range`() {
        val scale = Quantization(0.5f, 3)
        assertEquals(listOf(-65.5f, 62f, 1f), roundTrip(DType.INT8, scale, -100f, 100f, 1f))
        assertEquals(listOf(-1.5f, 126f, 1f), roundTrip(DType.UINT8, scale, -100f, 1000f, 1f))
        assertEquals(listOf(-16385.5f, 16382f, 1f), roundTrip(DType.INT16, scale, -1e6f, 1e6f, 1f))
        assertEquals(listOf(-1e6f, 0.1f), roundTrip(DType.FLOAT32, null, -1e6f, 0.1f))
    }

    @Test
    fun `a NaN is refused`() {
        assertFailsWith<IllegalArgumentException> { roundTrip(DType.INT8, Quantization(1f, 0), Float.NaN) }
    }

    @Test
    fun `sizes and scales that do not fit are refused`() {
        assertFailsWith<ModelMismatchException> { Tensors.of(FloatArray(3), spec(DType.INT8, Quantization(1f, 0), 2)) }
        assertFailsWith<ModelMismatchException> { Tensors.of(FloatArray(2), spec(DType.INT8, null, 2)) }
        assertFailsWith<ModelMismatchException> { Tensors.values(ByteBuffer.allocate(3), spec(DType.FLOAT32, null, 1)) }
    }

    @Test
    fun `reading leaves the tensor where it was`() {
        val spec = spec(DType.INT8, Quantization(1f, 0), 2)
        val tensor = Tensors.of(floatArrayOf(1f, 2f), spec)
        tensor.get()
        assertEquals(listOf(1f, 2f), Tensors.values(tensor, spec).toList())
        assertEquals(1, tensor.position())
    }
}
