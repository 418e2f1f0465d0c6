package dev.edgekit.core

/** Text that is no JSON; [line] and [column] count from 1. */
class JsonException(
    val reason: String,
    val line: Int,
    val column: Int,
) : EdgekitException("line $line, column $column: $reason")

/**
 * JSON as RFC 8259 has it, to and from Kotlin values: `Map<String, Any?>`, `List<Any?>`, `String`,
 * `Double`, `Long` (whole numbers that fit one), `Boolean` and `null`.
 */
object Json {
    /** Nesting beyond this is refused: nothing edgekit writes comes near it. */
    const val MAX_DEPTH = 64

    /** Reads [text]; throws [JsonException]. */
    fun parse(text: String): Any? = JsonParser(text).document()

    /** Writes [value] with an indent of two, keys in their order, ending in a newline. */
    fun write(value: Any?): String = StringBuilder().also { it.value(value, "\n") }.append('\n').toString()

    private fun StringBuilder.value(
        value: Any?,
        newline: String,
    ) {
        when (value) {
            null, is Boolean, is Int, is Long -> {
                append(value)
            }

            is Float, is Double -> {
                val number = (value as Number).toDouble()
                require(number.isFinite()) { "$number is no number in JSON" }
                append(value)
            }

            is String -> {
                string(value)
            }

            is Map<*, *> -> {
                items(value.entries, '{', '}', newline) { (key, item), inner ->
                    string(key as String)
                    append(": ")
                    value(item, inner)
                }
            }

            is List<*> -> {
                items(value, '[', ']', newline) { item, inner -> value(item, inner) }
            }

            else -> {
                throw IllegalArgumentException("${value.javaClass.name} has no form in JSON")
            }
        }
    }

    private fun <T> StringBuilder.items(
        items: Collection<T>,
        open: Char,
        close: Char,
        newline: String,
        write: StringBuilder.(T, String) -> Unit,
    ) {
        append(open)
        val inner = "$newline  "
        items.forEachIndexed { index, item ->
            if (index > 0) append(',')
            append(inner)
            write(item, inner)
        }
        if (items.isNotEmpty()) append(newline)
        append(close)
    }

    private fun StringBuilder.string(text: String) {
        append('"')
        for (char in text) {
            when {
                char == '"' || char == '\\' -> append('\\').append(char)
                char == '\n' -> append("\\n")
                char < ' ' -> append("\\u").append(char.code.toString(16).padStart(4, '0'))
                else -> append(char)
            }
        }
        append('"')
    }
}

private class JsonParser(
    private val text: String,
) {
    private var at = 0

    fun document(): Any? {
        blanks()
        val value = value(0)
        blanks()
        if (at < text.length) fail("something follows the end")
        return value
    }

    private fun value(depth: Int): Any? {
        if (depth > Json.MAX_DEPTH) fail("nested deeper than ${Json.MAX_DEPTH}")
        return when (val char = peek()) {
            '{' -> {
                members(depth)
            }

            '[' -> {
                elements(depth)
            }

            '"' -> {
                string()
            }

            't' -> {
                word("true", true)
            }

            'f' -> {
                word("false", false)
            }

            'n' -> {
                word("null", null)
            }

            '-', in '0'..'9' -> {
                number()
            }

            else -> {
                fail(if (char == null) "the text ends too early" else "'$char' starts no value")
            }
        }
    }

    private fun members(depth: Int): Map<String, Any?> {
        val members = LinkedHashMap<String, Any?>()
        separated('}') {
            if (peek() != '"') fail("a name in quotes is expected")
            val start = at
            val name = string()
            if (name in members) failAt(start, "\"$name\" stands here twice")
            blanks()
            expect(':')
            blanks()
            members[name] = value(depth + 1)
        }
        return members
    }

    private fun elements(depth: Int): List<Any?> {
        val elements = ArrayList<Any?>()
        separated(']') { elements.add(value(depth + 1)) }
        return elements
    }

    private inline fun separated(
        close: Char,
        item: () -> Unit,
    ) {
        at++
        blanks()
        if (peek() == close) {
            at++
            return
        }
        while (true) {
            blanks()
            item()
            blanks()
            if (peek() == close) break
            expect(',')
        }
        at++
    }

    private fun string(): String {
        at++
        val result = StringBuilder()
        while (true) {
            val char = peek() ?: fail("a text is not closed")
            if (char < ' ') fail("a control character in a text")
            at++
            when (char) {
                '"' -> return result.toString()
                '\\' -> result.append(escaped())
                else -> result.append(char)
            }
        }
    }

    private fun escaped(): Char {
        val char = peek() ?: fail("a text is not closed")
        at++
        return when (char) {
            '"', '\\', '/' -> char
            'b' -> '\b'
            'f' -> '\u000C'
            'n' -> '\n'
            'r' -> '\r'
            't' -> '\t'
            'u' -> codeUnit()
            else -> failAt(at - 1, "'\\$char' is no escape")
        }
    }

    private fun codeUnit(): Char {
        val digits = text.substring(at, minOf(at + 4, text.length))
        if (digits.length < 4 || digits.any { Character.digit(it, 16) < 0 || it > 'f' }) {
            fail("four hexadecimal digits are expected")
        }
        at += 4
        return digits.toInt(16).toChar()
    }

    private fun number(): Any {
        val match = NUMBER.matchAt(text, at) ?: fail("not a number")
        val literal = match.value
        val whole = if (literal.any { it in ".eE" }) null else literal.toLongOrNull()
        val number: Any = whole ?: literal.toDouble()
        if (number is Double && number.isInfinite()) fail("$literal is too large")
        at = match.range.last + 1
        return number
    }

    private fun <T> word(
        word: String,
        value: T,
    ): T {
        if (!text.startsWith(word, at)) fail("'$word' is expected")
        at += word.length
        return value
    }

    private fun expect(char: Char) {
        if (peek() != char) fail("'$char' is expected")
        at++
    }

    private fun peek(): Char? = text.getOrNull(at)

    private fun blanks() {
        while (at < text.length && text[at] in " \t\r\n") at++
    }

    private fun fail(reason: String): Nothing = failAt(at, reason)

    private fun failAt(
        place: Int,
        reason: String,
    ): Nothing {
        val before = text.substring(0, minOf(place, text.length))
        throw JsonException(reason, before.count { it == '\n' } + 1, before.length - before.lastIndexOf('\n'))
    }

    private companion object {
        val NUMBER = Regex("-?(0|[1-9][0-9]*)(\\.[0-9]+)?([eE][+-]?[0-9]+)?")
    }
}
