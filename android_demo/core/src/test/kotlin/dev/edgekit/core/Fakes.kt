package dev.edgekit.core

import java.nio.ByteBuffer

/** A model of 2x2 pixels and three classes. */
val tinyContract =
    Contract(
        inputs =
            listOf(
                InputSpec(
                    TensorSpec("image", listOf(1, 2, 2, 3), DType.INT8, Quantization(0.5f, -1)),
                    listOf(
                        Step.Decode,
                        Step.Resize(2, 2, Filter.BILINEAR),
                        Step.Normalise(127.5f, listOf(1f, 1f, 1f), listOf(1f, 1f, 1f)),
                        Step.Layout(listOf(1, 2, 2, 3), DType.FLOAT32),
                    ),
                ),
            ),
        outputs = listOf(TensorSpec("scores", listOf(1, 3), DType.INT8, Quantization(0.25f, 2))),
        meaning = Meaning("classification", "scores", "labels.txt"),
    )

val tinyLabels = Labels(listOf("cat", "dog", "fox"))

/** Counts what is done to it; [onRun] may throw. */
class FakeEngine(
    contract: Contract = tinyContract,
    override val inputs: List<TensorSpec> = contract.inputs.map { it.tensor },
    override val outputs: List<TensorSpec> = contract.outputs,
    private val answer: ByteArray = byteArrayOf(0, 6, 3),
    private val onRun: (Int) -> Unit = {},
) : InferenceEngine {
    override val runtime = "fake 1"
    var runs = 0
    var closed = 0
    var fed: ByteArray = byteArrayOf()

    override fun run(inputs: Map<String, ByteBuffer>): Map<String, ByteBuffer> {
        check(closed == 0) { "closed" }
        onRun(runs++)
        val buffer = inputs.values.first()
        fed = ByteArray(buffer.remaining()).also { buffer.duplicate().get(it) }
        return mapOf(outputs.first().name to ByteBuffer.wrap(answer))
    }

    override fun close() {
        closed++
    }
}

fun picture(
    width: Int,
    height: Int,
    value: (Int) -> Int = { it * 37 },
): PixelImage = PixelImage(width, height, 3, ByteArray(width * height * 3) { value(it).toByte() })
