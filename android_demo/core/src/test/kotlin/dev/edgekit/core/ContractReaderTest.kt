package dev.edgekit.core

import kotlin.test.Test
import kotlin.test.assertContains
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith

class ContractReaderTest {
    private val text =
        """
        {
          "schema": 1,
          "inputs": [{
            "name": "image", "shape": [1, 2, 2, 3], "dtype": "int8", "scale": 0.5, "zero_point": -1,
            "layout": "NHWC",
            "preprocess": [
              {"op": "decode", "to": "RGB8", "exif_orientation": "applied", "alpha": "dropped"},
              {"op": "resize", "height": 2, "width": 2, "filter": "bilinear", "antialias": true,
               "arithmetic": "Pillow 8-bit: weights in 22-bit fixed point, horizontal pass then vertical, each rounded and clipped to 0..255"},
              {"op": "normalise", "formula": "(pixel / divisor - mean[c]) / std[c]",
               "arithmetic": "float32, rounded after every operation",
               "divisor": 127.5, "mean": [1.0, 1.0, 1.0], "std": [1.0, 1.0, 1.0]},
              {"op": "layout", "to": "NHWC", "shape": [1, 2, 2, 3], "dtype": "float32"}
            ]
          }],
          "outputs": [{"name": "scores", "shape": [1, 3], "dtype": "int8", "scale": 0.25, "zero_point": 2}],
          "quantization": {
            "to_real": "scale * (stored - zero_point)",
            "to_stored": "clip(round_half_even(real / scale) + zero_point) to the range of dtype"
          },
          "meaning": {"task": "classification", "primary_output": "scores", "labels": "labels.txt"}
        }
        """.trimIndent()

    private fun refusal(
        from: String,
        to: String,
    ): String {
        assertContains(text, from)
        return assertFailsWith<ContractException> { ContractReader.read(text.replace(from, to)) }.message!!
    }

    @Test
    fun `a contract is read whole`() {
        assertEquals(tinyContract, ContractReader.read(text))
    }

    @Test
    fun `another schema is refused with what to do`() {
        val message = refusal("\"schema\": 1", "\"schema\": 2")
        assertContains(message, "schema 2")
        assertContains(message, "one version of edgekit")
    }

    @Test
    fun `arithmetic that this code does not do is refused, not half followed`() {
        assertContains(refusal("22-bit", "23-bit"), "inputs[0].preprocess[1]: arithmetic")
        assertContains(refusal("\"antialias\": true", "\"antialias\": false"), "antialias is false")
        assertContains(refusal("\"bilinear\"", "\"lanczos\""), "none of [bilinear, bicubic]")
        assertContains(refusal("std[c]\"", "std[c] + 1\""), "formula")
        assertContains(refusal("\"alpha\": \"dropped\"", "\"alpha\": \"blended\""), "alpha is \"blended\"")
        assertContains(refusal("round_half_even", "round_half_up"), "to_stored")
        assertContains(refusal("\"op\": \"resize\"", "\"op\": \"rotate\""), "\"rotate\" is no step")
        assertContains(refusal("\"layout\": \"NHWC\"", "\"layout\": \"NCHW\""), "layout is \"NCHW\"")
    }

    @Test
    fun `what is missing or of the wrong kind is named`() {
        assertContains(refusal("\"divisor\": 127.5,", ""), "divisor is missing")
        assertContains(refusal("\"divisor\": 127.5", "\"divisor\": 0"), "must not be 0")
        assertContains(refusal("\"divisor\": 127.5", "\"divisor\": \"127\""), "not a number")
        assertContains(refusal("\"primary_output\": \"scores\"", "\"primary_output\": \"logits\""), "none of the outputs [scores]")
        assertContains(refusal("\"dtype\": \"int8\", \"scale\": 0.25", "\"dtype\": \"int4\", \"scale\": 0.25"), "int4")
        assertContains(refusal("\"scale\": 0.25", "\"scale\": -0.25"), "not positive")
        assertContains(refusal("[1, 3]", "[-1, 3]"), "not fixed")
        assertContains(refusal("[1, 3]", "[99999, 99999]"), "too large")
        assertContains(refusal("[1, 3]", "[1, 9999999999]"), "not a list of whole numbers")
        assertContains(refusal("\"std\": [1.0, 1.0, 1.0]", "\"std\": [1.0]"), "mean has 3 values, std 1")
        assertContains(refusal("\"height\": 2", "\"height\": -2"), "not a number above 0")
    }

    @Test
    fun `steps that do not lead to the input are refused`() {
        val other = refusal("\"shape\": [1, 2, 2, 3], \"dtype\": \"float32\"", "\"shape\": [1, 4, 4, 3], \"dtype\": \"float32\"")
        assertContains(other, "the steps give [1, 4, 4, 3], the input takes [1, 2, 2, 3]")
        assertContains(refusal("\"dtype\": \"float32\"", "\"dtype\": \"uint8\""), "no way leads from uint8 to int8")
    }

    @Test
    fun `text that is no JSON or no object is refused`() {
        assertContains(assertFailsWith<ContractException> { ContractReader.read("{") }.message!!, "line 1")
        assertContains(assertFailsWith<ContractException> { ContractReader.read("[]") }.message!!, "no JSON object")
    }

    @Test
    fun `the float twin has float ends`() {
        val float = tinyContract.float()
        assertEquals(TensorSpec("image", listOf(1, 2, 2, 3), DType.FLOAT32, null), float.image.tensor)
        assertEquals(TensorSpec("scores", listOf(1, 3), DType.FLOAT32, null), float.primaryOutput)
    }
}
