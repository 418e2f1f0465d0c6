package dev.edgekit.core

import dev.edgekit.core.Attempt.Outcome
import java.io.File
import kotlin.test.Test
import kotlin.test.assertContains
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertNull

class DeviceReportTest {
    private val times = LatencyStatistics.of(listOf(30.0, 5.0, 4.0, 6.0), warmUpRuns = 1)
    private val measured =
        listOf(
            DelegateMeasurement(
                requested = Delegate.GPU,
                effective = Delegate.XNNPACK,
                runtime = "LiteRT 1.4.0",
                quantized = times,
                float = LatencyStatistics.of(listOf(30.0, 10.0), warmUpRuns = 1),
                attempts = listOf(Attempt(Delegate.GPU, Outcome.FAILED_AT_CREATION, "no OpenCL")),
                failure = null,
                memoryMb = 81.5,
                warnings = listOf("the float model was cold"),
            ),
            DelegateMeasurement(Delegate.NNAPI, null, null, null, null, emptyList(), failure = "NNAPI is deprecated"),
        )
    private val phone = Phone("Pixel \"9\"", 35)

    private fun devices(report: String): List<Map<*, *>> {
        val latency = (Json.parse(report) as Map<*, *>)["latency"] as Map<*, *>
        return (latency["devices"] as List<*>).map { it as Map<*, *> }
    }

    @Test
    fun `a fallback is told with its reason and never called the delegate that was asked for`() {
        val (gpu, nnapi) = devices(DeviceReport.write("""{"schema": 1, "latency": {"host": {}}}""", phone, measured, 4))
        assertEquals("gpu", gpu["delegate_requested"])
        assertEquals("xnnpack", gpu["delegate_effective"])
        assertEquals("gpu: no OpenCL", gpu["fallback"])
        assertContains(gpu["warnings"] as List<*>, "the float model was cold")
        assertEquals(5.0, gpu["median_ms"])
        assertEquals(10.0, (gpu["float"] as Map<*, *>)["median_ms"])
        assertNull(gpu["speedup"])
        assertNull(gpu["ci_low"])
        assertEquals(false, nnapi["measured"])
        assertEquals("NNAPI is deprecated", nnapi["why"])
    }

    @Test
    fun `all else of the run's report stays`() {
        val report =
            Json.parse(
                DeviceReport.write("""{"schema": 1, "verdict": "pass", "latency": {"host": {"a": 1}}}""", phone, measured, 4),
            )
        assertEquals("pass", (report as Map<*, *>)["verdict"])
        assertEquals(mapOf("a" to 1L), (report["latency"] as Map<*, *>)["host"])
    }

    @Test
    fun `what is no report is refused`() {
        for (text in listOf("{", "[]", """{"schema": 2, "latency": {}}""", """{"schema": 1}""")) {
            assertContains(assertFailsWith<ContractException> { DeviceReport.write(text, phone, measured, 4) }.message!!, "report.json")
        }
    }

    /** The reader on the other side is edgekit's own: it is given the file afterwards. */
    @Test
    fun `a real report is written out for Python to read`() {
        val folder = File(System.getProperty("edgekit.report") ?: return)
        val written = DeviceReport.write(File(folder, "report.json").readText(), phone, measured, 4)
        File(folder, "written.json").writeText(written)
        assertEquals(2, devices(written).size)
    }
}
