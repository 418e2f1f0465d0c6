package dev.edgekit.core

import java.nio.ByteBuffer
import java.security.MessageDigest

/**
 * What edgekit computed in Python for a few pictures, to be computed again here: `golden.json` and
 * the files it names. [read] gives the bytes of a file beside it.
 */
class GoldenVectors(
    private val read: (String) -> ByteArray,
) {
    /** One picture: decoded pixels as its file holds them, and what comes of them. */
    private class Vector(
        fields: Map<*, *>,
    ) {
        val name = fields["name"] as String
        val width = number(fields, "width")
        val height = number(fields, "height")
        val channels = number(fields, "channels")
        val orientation = number(fields, "exif_orientation")
        val pixels = fields["pixels"] as String
        val tensor = fields["tensor"] as String
        val valuesSha256 = fields["values_sha256"] as String?
        val answer = fields["answer"] as String?
        val top = (fields["top"] as List<*>?)?.map { it as Map<*, *> }
    }

    private val root: Map<*, *> =
        (Json.parse(read("golden.json").decodeToString()) as Map<*, *>).also {
            if (it["schema"] != SCHEMA) throw ContractException("golden.json has schema ${it["schema"]}, not $SCHEMA.")
        }
    private val vectors = (root["vectors"] as List<*>).map { Vector(it as Map<*, *>) }

    /** Names of the pictures. */
    val names: List<String> get() = vectors.map { it.name }

    /** What differs for the picture [name]: empty where everything is equal to the byte. */
    fun differences(
        name: String,
        contract: Contract,
        labels: Labels?,
    ): List<String> {
        val vector = vectors.first { it.name == name }
        val image = image(vector)
        val preprocessor = Preprocessor(contract.image)
        return listOfNotNull(
            difference("tensor", read(vector.tensor), bytes(preprocessor.tensor(image))),
            vector.valuesSha256?.let { promised ->
                val values = preprocessor.tensorAsFloat(image, contract)
                "float tensor: sha256 differs".takeIf { sha256(values) != promised }
            },
        ) + answer(vector, contract, labels)
    }

    private fun Preprocessor.tensorAsFloat(
        image: PixelImage,
        contract: Contract,
    ): ByteArray = bytes(Tensors.of(values(pixels(image)), contract.float().image.tensor))

    private fun answer(
        vector: Vector,
        contract: Contract,
        labels: Labels?,
    ): List<String> {
        if (vector.answer == null || vector.top == null) return emptyList()
        val output = contract.primaryOutput
        val scores = Tensors.values(ByteBuffer.wrap(read(vector.answer)), output)
        val top = (labels ?: Labels(emptyList())).top(scores, vector.top.size)
        return vector.top.zip(top).mapNotNull { (promised, found) ->
            val same =
                promised["index"] == found.index.toLong() &&
                    (labels == null || promised["label"] == found.label) &&
                    (promised["score"] as Number).toFloat() == found.score
            if (same) null else "answer: $found, not $promised"
        }
    }

    private fun image(vector: Vector): PixelImage {
        val stored = read(vector.pixels)
        val count = vector.width * vector.height
        require(stored.size == count * vector.channels) { "${vector.pixels} has ${stored.size} bytes" }
        val argb =
            IntArray(count) { pixel ->
                fun byte(channel: Int): Int = stored[pixel * vector.channels + channel].toInt() and 0xFF
                when (vector.channels) {
                    1 -> argb(255, byte(0), byte(0), byte(0))
                    3 -> argb(255, byte(0), byte(1), byte(2))
                    4 -> argb(byte(3), byte(0), byte(1), byte(2))
                    else -> error("${vector.channels} channels")
                }
            }
        return PixelImage.fromArgb(argb, vector.width, vector.height).oriented(vector.orientation)
    }

    private fun argb(
        alpha: Int,
        red: Int,
        green: Int,
        blue: Int,
    ): Int = (alpha shl 24) or (red shl 16) or (green shl 8) or blue

    private fun difference(
        what: String,
        promised: ByteArray,
        found: ByteArray,
    ): String? {
        if (promised.size != found.size) return "$what: ${found.size} bytes, not ${promised.size}"
        val wrong = promised.indices.filter { promised[it] != found[it] }
        if (wrong.isEmpty()) return null
        val first = wrong.first()
        return "$what: ${wrong.size} of ${found.size} bytes differ, the first at $first: ${found[first]}, not ${promised[first]}"
    }

    private fun bytes(buffer: ByteBuffer): ByteArray = ByteArray(buffer.remaining()).also { buffer.duplicate().get(it) }

    private fun sha256(bytes: ByteArray): String = MessageDigest.getInstance("SHA-256").digest(bytes).joinToString("") { "%02x".format(it) }

    private companion object {
        const val SCHEMA = 1L

        fun number(
            fields: Map<*, *>,
            name: String,
        ): Int = (fields[name] as Long).toInt()
    }
}
