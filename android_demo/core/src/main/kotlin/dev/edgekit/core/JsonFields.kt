package dev.edgekit.core

/** A JSON object that is read field by field; what is wrong with it is said with its place. */
internal class JsonFields(
    private val values: Map<*, *>,
    private val place: String,
) {
    fun text(name: String): String = value(name) as? String ?: wrong(name, "a text")

    fun textOrNull(name: String): String? = if (values[name] == null) null else text(name)

    fun int(name: String): Int = asInt(value(name)) ?: wrong(name, "a whole number")

    fun positiveInt(name: String): Int = int(name).takeIf { it > 0 } ?: wrong(name, "a number above 0")

    fun float(name: String): Float = asFloat(value(name)) ?: wrong(name, "a number")

    fun floats(name: String): List<Float> = list(name).map { asFloat(it) ?: wrong(name, "a list of numbers") }

    fun ints(name: String): List<Int> = list(name).map { asInt(it) ?: wrong(name, "a list of whole numbers") }

    fun objects(name: String): List<JsonFields> =
        list(name).mapIndexed { index, item ->
            JsonFields(item as? Map<*, *> ?: wrong(name, "a list of objects"), "$place.$name[$index]")
        }

    fun fields(name: String): JsonFields = JsonFields(value(name) as? Map<*, *> ?: wrong(name, "an object"), "$place.$name")

    fun has(name: String): Boolean = values[name] != null

    /** Refuses a field that says anything but [expected]: this code does that and nothing else. */
    fun require(
        name: String,
        expected: Any,
    ) {
        if (values[name] != expected) {
            fail("$name is ${quoted(values[name])}, this code does ${quoted(expected)}")
        }
    }

    fun fail(reason: String): Nothing = throw ContractException("contract.json: $place: $reason.")

    private fun list(name: String): List<*> = value(name) as? List<*> ?: wrong(name, "a list")

    private fun value(name: String): Any? = if (name in values) values[name] else fail("$name is missing")

    private fun asInt(value: Any?): Int? = (value as? Long)?.takeIf { it in Int.MIN_VALUE..Int.MAX_VALUE }?.toInt()

    private fun asFloat(value: Any?): Float? = (value as? Number)?.toDouble()?.toFloat()?.takeIf { it.isFinite() }

    private fun wrong(
        name: String,
        wanted: String,
    ): Nothing = fail("$name is ${quoted(values[name])}, not $wanted")

    private fun quoted(value: Any?): String =
        when (value) {
            is String -> "\"$value\""
            is Map<*, *> -> "an object"
            is List<*> -> "a list"
            else -> "$value"
        }
}
