package dev.edgekit.core

import dev.edgekit.core.Attempt.Outcome
import kotlin.test.Test
import kotlin.test.assertContains
import kotlin.test.assertContentEquals
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertNull

class ClassifierTest {
    private val policy = DelegatePolicy(apiLevel = 30)
    private val made = mutableListOf<FakeEngine>()

    private fun open(
        contract: Contract = tinyContract,
        labels: Labels = tinyLabels,
        policy: DelegatePolicy = this.policy,
        factory: (Delegate) -> FakeEngine,
    ): Classifier = Classifier.open(contract, labels, { factory(it).also(made::add) }, policy)

    private fun assertAllClosed() = assertEquals(made.map { 1 }, made.map { it.closed })

    @Test
    fun `a picture becomes class names, best first`() {
        open { FakeEngine() }.use { classifier ->
            val found = classifier.classify(picture(5, 3) { 255 }, count = 2)
            assertEquals(listOf("dog", "fox"), found.top.map { it.label })
            assertEquals(listOf(1f, 0.25f), found.top.map { it.score })
            assertContentEquals(ByteArray(12) { 1 }, made.single().fed)
            assertEquals(Delegate.GPU, classifier.effective)
        }
        assertAllClosed()
    }

    @Test
    fun `a delegate that throws at creation is passed over with its reason`() {
        val classifier =
            open { delegate ->
                if (delegate == Delegate.GPU) throw UnsatisfiedLinkError("no libGLES") else FakeEngine()
            }
        assertEquals(Delegate.GPU, classifier.requested)
        assertEquals(Delegate.XNNPACK, classifier.effective)
        assertEquals(Attempt(Delegate.GPU, Outcome.FAILED_AT_CREATION, "no libGLES"), classifier.attempts.first())
        classifier.close()
        assertAllClosed()
    }

    @Test
    fun `the best there is means the GPU, and a device it does not list is told why it gets the CPU`() {
        open(policy = DelegatePolicy(apiLevel = 30, gpuListed = false)) { FakeEngine() }.use { classifier ->
            assertEquals(Delegate.GPU, classifier.requested)
            assertEquals(Delegate.XNNPACK, classifier.effective)
            assertEquals("gpu: the GPU delegate does not list this device", classifier.attempts.passedOver())
        }
        open { FakeEngine() }.use { assertNull(it.attempts.passedOver()) }
    }

    @Test
    fun `a delegate that throws at its first run is closed and passed over`() {
        val classifier =
            open { delegate ->
                FakeEngine(onRun = { if (delegate == Delegate.GPU) throw IllegalStateException("bad op") })
            }
        assertEquals(Delegate.XNNPACK, classifier.effective)
        assertEquals(Outcome.FAILED_AT_FIRST_RUN, classifier.attempts.first().outcome)
        assertEquals(listOf(1, 0), made.map { it.closed })
        classifier.close()
        assertAllClosed()
    }

    @Test
    fun `when every delegate fails all is closed and said`() {
        val error = assertFailsWith<NoDelegateException> { open { FakeEngine(onRun = { error("it burns") }) } }
        assertContains(error.message!!, "gpu: it burns")
        assertContains(error.message!!, "xnnpack: it burns")
        assertEquals(2, made.size)
        assertAllClosed()
    }

    @Test
    fun `float ends where int8 was promised are refused and closed`() {
        val float = tinyContract.float()
        val error = assertFailsWith<ModelMismatchException> { open { FakeEngine(float) } }
        assertContains(error.message!!, "promises input 'image' as int8 [1, 2, 2, 3], the model has float32 [1, 2, 2, 3]")
        assertAllClosed()
    }

    @Test
    fun `another scale is refused`() {
        val other = listOf(tinyContract.image.tensor.copy(quantization = Quantization(0.25f, -1)))
        val error = assertFailsWith<ModelMismatchException> { open { FakeEngine(inputs = other) } }
        assertContains(error.message!!, "another scale")
        assertAllClosed()
    }

    @Test
    fun `an output of another name is refused`() {
        val other = listOf(tinyContract.primaryOutput.copy(name = "logits"))
        val error = assertFailsWith<ModelMismatchException> { open { FakeEngine(outputs = other) } }
        assertContains(error.message!!, "no output 'scores', only [logits]")
        assertAllClosed()
    }

    @Test
    fun `labels and tasks that do not fit are refused before anything is opened`() {
        assertFailsWith<ModelMismatchException> { open(labels = Labels(listOf("cat"))) { FakeEngine() } }
        val other = tinyContract.copy(meaning = Meaning("segmentation", "scores", null))
        assertFailsWith<ContractException> { open(contract = other) { FakeEngine() } }
        assertEquals(emptyList(), made)
    }

    @Test
    fun `a float answer that is NaN is refused`() {
        val nan = ByteArray(12) { if (it % 4 < 2) 0 else -1 }.apply { for (at in 2..11 step 4) this[at] = -64 }
        val swapped = if (java.nio.ByteOrder.nativeOrder() == java.nio.ByteOrder.LITTLE_ENDIAN) nan else nan.reversedArray()
        val float = tinyContract.float()
        open(contract = float) { FakeEngine(float, answer = swapped) }.use { classifier ->
            assertContains(assertFailsWith<ModelMismatchException> { classifier.classify(picture(2, 2)) }.message!!, "NaN")
        }
    }

    @Test
    fun `a runtime that fails later is a message, not a crash`() {
        open { FakeEngine(onRun = { if (it == 1) throw IllegalStateException("context lost") }) }.use { classifier ->
            val error = assertFailsWith<EngineException> { classifier.classify(picture(2, 2)) }
            assertEquals("The model failed on gpu: context lost", error.message)
        }
        assertAllClosed()
    }

    @Test
    fun `a measurement counts bare runs on a clock`() {
        var now = 0L
        val engine = FakeEngine(onRun = { now += if (it < 3) 9_000_000 else 2_000_000 })
        val opened = OpenedEngine(engine, Delegate.XNNPACK, Delegate.XNNPACK, emptyList())
        val times = Classifier(tinyContract, tinyLabels, opened) { now }.measure(runs = 5, warmUpRuns = 3)
        assertEquals(9.0, times.firstMs)
        assertEquals(2.0, times.medianMs)
        assertEquals(8, engine.runs)
    }

    @Test
    fun `a measurement that is stopped keeps what it has`() {
        val engine = FakeEngine()
        val opened = OpenedEngine(engine, Delegate.XNNPACK, Delegate.XNNPACK, emptyList())
        val times = Classifier(tinyContract, tinyLabels, opened).measure(runs = 50, warmUpRuns = 3) { engine.runs >= 6 }
        assertEquals(3, times.runs)
    }
}
