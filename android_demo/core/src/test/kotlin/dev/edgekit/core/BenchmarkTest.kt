package dev.edgekit.core

import kotlin.test.Test
import kotlin.test.assertContains
import kotlin.test.assertEquals
import kotlin.test.assertNotNull
import kotlin.test.assertNull

class BenchmarkTest {
    private val made = mutableListOf<FakeEngine>()

    private fun model(
        contract: Contract,
        answer: ByteArray,
        fails: (Delegate) -> String? = { null },
    ) = OpenableModel(contract, tinyLabels) { delegate ->
        fails(delegate)?.let { throw IllegalArgumentException(it) }
        FakeEngine(contract, answer = answer).also(made::add)
    }

    private val quantized = model(tinyContract, ByteArray(3))
    private val float = model(tinyContract.float(), ByteArray(12))

    private fun benchmark(
        quantized: OpenableModel,
        float: OpenableModel?,
        policy: DelegatePolicy = DelegatePolicy(apiLevel = 30, allowNnapi = true),
    ) = Benchmark(quantized, float, policy, memoryMb = { 80.0 + made.size }, runs = 4, warmUpRuns = 2)

    @Test
    fun `every delegate is measured with both models and all is closed`() {
        val rows = benchmark(quantized, float).run()
        assertEquals(Delegate.entries.toList(), rows.map { it.requested })
        assertEquals(Delegate.entries.toList(), rows.map { it.effective })
        assertEquals(List(3) { 4 }, rows.map { it.quantized?.runs })
        assertEquals(List(3) { 4 }, rows.map { it.float?.runs })
        assertEquals(82.0, rows.first().memoryMb)
        assertEquals(List(6) { 1 }, made.map { it.closed })
        // One run to see whether it works, two to warm up.
        assertEquals(List(6) { 7 }, made.map { it.runs })
    }

    @Test
    fun `NNAPI that is not to be had is a row with its reason, not the CPU under its name`() {
        val rows = benchmark(quantized, float, DelegatePolicy(apiLevel = 36)).run()
        val nnapi = rows.first { it.requested == Delegate.NNAPI }
        assertNull(nnapi.quantized)
        assertEquals("NNAPI is deprecated beyond API 34, this device has 36", nnapi.failure)
    }

    @Test
    fun `a float model that falls back is not compared with a quantized one that does not`() {
        val onCpu = model(tinyContract.float(), ByteArray(12)) { if (it == Delegate.GPU) "no" else null }
        val gpu = benchmark(quantized, onCpu).run().first()
        assertEquals(Delegate.GPU, gpu.effective)
        assertNotNull(gpu.quantized)
        assertNull(gpu.float)
        assertEquals(listOf("the float model ran on xnnpack, which is no comparison"), gpu.warnings)
    }

    @Test
    fun `a float model that fails takes nothing from the quantized one`() {
        val rows = benchmark(quantized, model(tinyContract.float(), ByteArray(12)) { "too large" }).run()
        assertEquals(List(3) { 4 }, rows.map { it.quantized?.runs })
        for (row in rows) {
            assertNull(row.float)
            assertContains(row.warnings.single(), "the float model was not measured")
            assertContains(row.warnings.single(), "too large")
        }
        assertEquals(List(3) { 1 }, made.map { it.closed })
    }

    @Test
    fun `a model that runs nowhere is three rows with reasons`() {
        val rows = benchmark(model(tinyContract, ByteArray(3)) { "no" }, null).run()
        assertEquals(3, rows.count { it.failure != null })
        assertEquals(emptyList(), made)
    }

    @Test
    fun `when it is stopped what was measured is kept`() {
        val heard = mutableListOf<Delegate>()
        val rows = benchmark(quantized, null).run(stop = { heard.isNotEmpty() }) { heard += it.requested }
        assertEquals(listOf(Delegate.GPU), rows.map { it.requested })
        assertEquals(listOf(Delegate.GPU), heard)
    }
}
