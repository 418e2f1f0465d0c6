package dev.edgekit.core

/** Type of a tensor's elements; [id] is edgekit's and NumPy's name of it. */
enum class DType(
    val id: String,
    val bytes: Int,
    /** What an integer type holds, `null` of a float. */
    val range: IntRange?,
) {
    FLOAT32("float32", 4, null),
    INT8("int8", 1, -128..127),
    UINT8("uint8", 1, 0..255),
    INT16("int16", 2, -32768..32767),
    ;

    companion object {
        /** The type named [id], or `null`. */
        fun of(id: String): DType? = entries.firstOrNull { it.id == id }
    }
}

/** Affine quantization of a whole tensor: `real = scale * (stored - zeroPoint)`. */
data class Quantization(
    val scale: Float,
    val zeroPoint: Int,
)

/** One input or output of a model. */
data class TensorSpec(
    val name: String,
    val shape: List<Int>,
    val dtype: DType,
    /** `null` of a float tensor, and of integers that are no quantized values. */
    val quantization: Quantization?,
) {
    /** Number of elements. */
    val elements: Int get() = shape.fold(1) { product, size -> Math.multiplyExact(product, size) }

    /** Size of the tensor in memory. */
    val sizeBytes: Int get() = Math.multiplyExact(elements, dtype.bytes)

    /** `int8 [1, 224, 224, 3]`. */
    fun describe(): String = "${dtype.id} $shape"
}
