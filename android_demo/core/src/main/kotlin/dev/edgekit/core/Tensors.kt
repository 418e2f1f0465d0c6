package dev.edgekit.core

import java.nio.ByteBuffer
import java.nio.ByteOrder

/** From real values to a tensor's bytes and back, by its own scale and zero point. */
object Tensors {
    /** A direct buffer for [spec], in native byte order. */
    fun allocate(spec: TensorSpec): ByteBuffer = allocate(spec.sizeBytes)

    /** [values] as [spec] stores them. Throws [ModelMismatchException] of another number of values. */
    fun of(
        values: FloatArray,
        spec: TensorSpec,
    ): ByteBuffer {
        if (values.size != spec.elements) {
            throw ModelMismatchException("${values.size} values for '${spec.name}', which is ${spec.describe()}.")
        }
        val buffer = allocate(spec)
        val range = spec.dtype.range
        if (range == null) {
            values.forEach(buffer::putFloat)
        } else {
            val quantization = quantizationOf(spec)
            for (value in values) put(buffer, spec.dtype, stored(value, quantization, range))
        }
        buffer.rewind()
        return buffer
    }

    /** Pixels as they are, for a model that normalises them itself. */
    fun ofPixels(pixels: PixelImage): ByteBuffer {
        val buffer = allocate(pixels.data.size)
        buffer.put(pixels.data)
        buffer.rewind()
        return buffer
    }

    /** The real values in [tensor], which is left where it was. */
    fun values(
        tensor: ByteBuffer,
        spec: TensorSpec,
    ): FloatArray {
        val buffer = tensor.duplicate().order(ByteOrder.nativeOrder())
        buffer.rewind()
        if (buffer.remaining() != spec.sizeBytes) {
            throw ModelMismatchException(
                "${buffer.remaining()} bytes of '${spec.name}', which is ${spec.describe()}.",
            )
        }
        if (spec.dtype == DType.FLOAT32) return FloatArray(spec.elements) { buffer.getFloat() }
        val (scale, zeroPoint) = quantizationOf(spec)
        return FloatArray(spec.elements) { (read(buffer, spec.dtype) - zeroPoint).toFloat() * scale }
    }

    private fun stored(
        real: Float,
        quantization: Quantization,
        range: IntRange,
    ): Int {
        require(!real.isNaN()) { "a NaN cannot be quantized" }
        val steps = Math.rint((real / quantization.scale).toDouble()) + quantization.zeroPoint
        return steps.coerceIn(range.first.toDouble(), range.last.toDouble()).toInt()
    }

    private fun put(
        buffer: ByteBuffer,
        dtype: DType,
        value: Int,
    ) {
        if (dtype.bytes == 1) buffer.put(value.toByte()) else buffer.putShort(value.toShort())
    }

    private fun read(
        buffer: ByteBuffer,
        dtype: DType,
    ): Int =
        when (dtype) {
            DType.INT8 -> buffer.get().toInt()
            DType.UINT8 -> buffer.get().toInt() and 0xFF
            DType.INT16 -> buffer.getShort().toInt()
            DType.FLOAT32 -> error("a float is not stored as an integer")
        }

    private fun quantizationOf(spec: TensorSpec): Quantization =
        spec.quantization ?: throw ModelMismatchException("'${spec.name}' is ${spec.describe()} without a scale.")

    private fun allocate(sizeBytes: Int): ByteBuffer = ByteBuffer.allocateDirect(sizeBytes).order(ByteOrder.nativeOrder())
}
