package dev.edgekit.demo

import dev.edgekit.core.Delegate
import dev.edgekit.core.EngineOpener
import dev.edgekit.core.ModelMismatchException
import org.tensorflow.lite.DataType
import org.tensorflow.lite.Fake
import java.nio.ByteBuffer
import kotlin.test.BeforeTest
import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertFalse
import kotlin.test.assertTrue

/** The app's engine over LiteRT's stubs, which record what is opened (+) and closed (-). */
class LiteRtEngineTest {
    @BeforeTest
    fun reset() = Fake.reset()

    private fun open(delegate: Delegate) = LiteRtEngine.open(ByteBuffer.allocateDirect(1), delegate, threads = 1)

    private fun events(): List<String> = Fake.events.filterNot { it.endsWith("list") }

    @Test
    fun `the interpreter is closed before its delegate, and both once`() {
        for ((delegate, name) in listOf(Delegate.GPU to "gpu", Delegate.NNAPI to "nnapi")) {
            Fake.reset()
            val engine = open(delegate)
            engine.close()
            engine.close()
            assertEquals(listOf("+$name", "+interpreter", "-interpreter", "-$name"), events())
        }
    }

    @Test
    fun `the CPU has no delegate to close`() {
        open(Delegate.XNNPACK).close()
        assertEquals(listOf("+interpreter", "-interpreter"), events())
    }

    @Test
    fun `a model that cannot be loaded leaves no delegate open`() {
        Fake.failing += "+interpreter"
        assertFailsWith<IllegalStateException> { open(Delegate.GPU) }
        assertEquals(listOf("+gpu", "-gpu"), events())
    }

    @Test
    fun `a model whose ends no picture fills is closed with its delegate`() {
        Fake.dtype = DataType.BOOL
        assertFailsWith<ModelMismatchException> { open(Delegate.GPU) }
        assertEquals(listOf("+gpu", "+interpreter", "-interpreter", "-gpu"), events())
    }

    @Test
    fun `a delegate is closed even where its interpreter cannot be`() {
        Fake.failing += "-interpreter"
        val engine = open(Delegate.GPU)
        assertFailsWith<IllegalStateException> { engine.close() }
        assertEquals("-gpu", events().last())
    }

    @Test
    fun `a delegate is closed where opening and closing fail both`() {
        Fake.dtype = DataType.BOOL
        Fake.failing += "-interpreter"
        assertFailsWith<ModelMismatchException> { open(Delegate.GPU) }
        assertEquals("-gpu", events().last())
    }

    @Test
    fun `the list of devices is closed whatever comes of the delegate`() {
        Fake.failing += "+gpu"
        assertFailsWith<IllegalStateException> { open(Delegate.GPU) }
        assertTrue(LiteRtEngine.isGpuListed())
        assertEquals(listOf("+list", "-list", "+list", "-list"), Fake.events)
    }

    @Test
    fun `a device without the GPU library is not listed`() {
        Fake.failing += "+list"
        assertFalse(LiteRtEngine.isGpuListed())
    }

    @Test
    fun `an answer is read from its start, with a signature and without, run after run`() {
        for ((hasSignature, names) in listOf(true to ("image" to "scores"), false to ("in" to "out"))) {
            Fake.hasSignature = hasSignature
            open(Delegate.XNNPACK).use { engine ->
                assertEquals(names.first, engine.inputs.single().name)
                repeat(2) {
                    val answer = engine.run(EngineOpener.zeros(engine.inputs)).getValue(names.second)
                    assertEquals(listOf<Byte>(7, 8), listOf(answer.get(), answer.get()))
                }
            }
        }
    }
}
