package dev.edgekit.core

import kotlin.test.Test
import kotlin.test.assertContains
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertTrue

class LabelsTest {
    @Test
    fun `labels are one a line, whatever the line ends are`() {
        assertEquals(listOf("cat", "dog", "fox"), Labels.parse("\uFEFFcat\r\ndog\r\nfox\r\n").names)
        assertEquals(listOf("cat", "", "fox"), Labels.parse("cat\n\nfox").names)
    }

    @Test
    fun `another number of labels than classes is refused with both`() {
        val message = assertFailsWith<ModelMismatchException> { Labels(listOf("cat")).check(tinyContract.primaryOutput) }.message!!
        assertContains(message, "1 labels")
        assertContains(message, "3 classes")
    }

    @Test
    fun `classes may lie on any axis, and an output without one is a single class`() {
        val output = tinyContract.primaryOutput
        Labels(List(3) { "$it" }).check(output.copy(shape = listOf(1, 3, 1, 1)))
        assertFailsWith<ModelMismatchException> { Labels(List(3) { "$it" }).check(output.copy(shape = emptyList())) }
    }

    @Test
    fun `of equal scores the lower index comes first`() {
        assertEquals(listOf(1, 3, 0), Labels(List(4) { "$it" }).top(floatArrayOf(1f, 2f, 0f, 2f), 3).map { it.index })
    }

    @Test
    fun `logits become probabilities, however large`() {
        val confidences = Labels.confidences(floatArrayOf(1000f, 999f, -1000f))
        assertEquals(0.7310586f, confidences[0], 1e-6f)
        assertEquals(1f, confidences.sum(), 1e-6f)
    }

    @Test
    fun `probabilities stay what they are`() {
        val given = floatArrayOf(0.75f, 0.2461f, 0f)
        assertEquals(given.toList(), Labels.confidences(given).toList())
        assertTrue(Labels.confidences(floatArrayOf(0.4f, 0.4f)).all { it == 0.5f })
    }
}
