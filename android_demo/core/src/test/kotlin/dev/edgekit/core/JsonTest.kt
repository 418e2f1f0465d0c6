package dev.edgekit.core

import kotlin.test.Test
import kotlin.test.assertContains
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith

class JsonTest {
    private fun reason(text: String): String = assertFailsWith<JsonException> { Json.parse(text) }.message!!

    @Test
    fun `every kind of value is read`() {
        val text = """ {"a": [1, -2.5, 1e3, true, false, null, "x"], "b": {}, "c": []} """
        val expected =
            mapOf(
                "a" to listOf(1L, -2.5, 1000.0, true, false, null, "x"),
                "b" to emptyMap<String, Any?>(),
                "c" to emptyList<Any?>(),
            )
        assertEquals(expected, Json.parse(text))
    }

    @Test
    fun `escapes are read and written`() {
        val text = "quote \" slash \\ line \n tab \t bell \u0007 snowman \u2603 face \uD83D\uDE00"
        assertEquals(text, Json.parse(Json.write(text)))
        assertEquals("\u2603\uD83D\uDE00/\b\u000C", Json.parse("\"\\u2603\\ud83D\\uDE00\\/\\b\\f\""))
    }

    @Test
    fun `what is written is read back`() {
        val value = mapOf("a" to listOf(1L, 2.5, null, mapOf("b" to "")), "c" to emptyMap<String, Any?>(), "d" to true)
        assertEquals(value, Json.parse(Json.write(value)))
    }

    @Test
    fun `a float32 scale is read to the bit`() {
        val read = (Json.parse("0.01865844801068306") as Double).toFloat()
        assertEquals(0.01865844801068306.toFloat(), read)
        assertEquals(Long.MAX_VALUE, Json.parse("9223372036854775807"))
        assertEquals(9.223372036854775808e18, Json.parse("9223372036854775808"))
    }

    @Test
    fun `damage is named with its place`() {
        assertEquals("line 2, column 3: '}' starts no value", reason("[1,\n  }"))
        assertContains(reason("{\"a\": 1"), "',' is expected")
        assertContains(reason(""), "ends too early")
        assertContains(reason("[1] 2"), "something follows the end")
        assertContains(reason("{\"a\": 1, \"a\": 2}"), "twice")
        assertContains(reason("\"\\x\""), "no escape")
        assertContains(reason("\"\\u12g4\""), "hexadecimal")
        assertContains(reason("\"a\nb\""), "control character")
        assertContains(reason("\"a"), "not closed")
        assertContains(reason("01"), "something follows")
        assertContains(reason("-"), "not a number")
        assertContains(reason("1e999"), "too large")
        assertContains(reason("nul"), "'null' is expected")
        assertContains(reason("[1,]"), "starts no value")
    }

    @Test
    fun `deep nesting is refused, not a crash`() {
        assertContains(reason("[".repeat(100_000)), "nested deeper")
    }

    @Test
    fun `no number that JSON lacks is written`() {
        assertFailsWith<IllegalArgumentException> { Json.write(listOf(Double.NaN)) }
    }
}
