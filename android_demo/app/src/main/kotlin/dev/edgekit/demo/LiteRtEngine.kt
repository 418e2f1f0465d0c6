package dev.edgekit.demo

import dev.edgekit.core.DType
import dev.edgekit.core.Delegate
import dev.edgekit.core.InferenceEngine
import dev.edgekit.core.ModelMismatchException
import dev.edgekit.core.Quantization
import dev.edgekit.core.TensorSpec
import dev.edgekit.core.Tensors
import org.tensorflow.lite.DataType
import org.tensorflow.lite.Interpreter
import org.tensorflow.lite.Tensor
import org.tensorflow.lite.TensorFlowLite
import org.tensorflow.lite.gpu.CompatibilityList
import org.tensorflow.lite.gpu.GpuDelegate
import java.io.Closeable
import java.nio.ByteBuffer

/**
 * LiteRT's interpreter. A GPU delegate belongs to the thread that made it: open, run and close one
 * engine on one thread.
 */
class LiteRtEngine private constructor(
    private val interpreter: Interpreter,
    private val accelerator: Closeable?,
) : InferenceEngine {
    /** Of the first signature; contracts of files without one speak of the tensors themselves. */
    private val signature: String? = interpreter.signatureKeys.firstOrNull()
    private var isClosed = false

    override val runtime: String = "LiteRT ${TensorFlowLite.runtimeVersion()}"

    override val inputs: List<TensorSpec> =
        if (signature == null) {
            List(interpreter.inputTensorCount) { spec(interpreter.getInputTensor(it)) }
        } else {
            interpreter.getSignatureInputs(signature).map { name ->
                spec(interpreter.getInputTensorFromSignature(name, signature), name)
            }
        }

    override val outputs: List<TensorSpec> =
        if (signature == null) {
            List(interpreter.outputTensorCount) { spec(interpreter.getOutputTensor(it)) }
        } else {
            interpreter.getSignatureOutputs(signature).map { name ->
                spec(interpreter.getOutputTensorFromSignature(name, signature), name)
            }
        }

    private val answers: Map<String, ByteBuffer> = outputs.associate { it.name to Tensors.allocate(it) }

    override fun run(inputs: Map<String, ByteBuffer>): Map<String, ByteBuffer> {
        inputs.values.forEach { it.rewind() }
        answers.values.forEach { it.rewind() }
        if (signature == null) {
            val fed = this.inputs.map { inputs.getValue(it.name) }.toTypedArray<Any>()
            val answered = outputs.indices.associateWith<Int, Any> { answers.getValue(outputs[it].name) }
            interpreter.runForMultipleInputsOutputs(fed, answered)
        } else {
            interpreter.runSignature(inputs, answers, signature)
        }
        answers.values.forEach { it.rewind() }
        return answers
    }

    override fun close() {
        if (isClosed) return
        isClosed = true
        try {
            interpreter.close()
        } finally {
            accelerator?.close()
        }
    }

    companion object {
        /** Loads [model] on [delegate]; what was made before a failure is closed. */
        fun open(
            model: ByteBuffer,
            delegate: Delegate,
            threads: Int,
        ): LiteRtEngine {
            val options = Interpreter.Options().setNumThreads(threads).setUseXNNPACK(true)
            val accelerator = accelerator(delegate)
            var interpreter: Interpreter? = null
            try {
                accelerator?.let(options::addDelegate)
                interpreter = Interpreter(model, options)
                return LiteRtEngine(interpreter, accelerator)
            } catch (
                @Suppress("TooGenericExceptionCaught") error: Throwable,
            ) {
                // Whatever it is goes on; only the native memory must not stay.
                closeAfter(error, interpreter)
                closeAfter(error, accelerator)
                throw error
            }
        }

        private fun closeAfter(
            error: Throwable,
            opened: AutoCloseable?,
        ) {
            try {
                opened?.close()
            } catch (second: RuntimeException) {
                error.addSuppressed(second)
            }
        }

        /** Whether the GPU delegate's own list has this device. */
        fun isGpuListed(): Boolean =
            try {
                CompatibilityList().use { it.isDelegateSupportedOnThisDevice }
            } catch (_: LinkageError) {
                // Its library is missing; of a class that failed so before, NoClassDefFoundError.
                false
            }

        private fun accelerator(delegate: Delegate): org.tensorflow.lite.Delegate? =
            when (delegate) {
                Delegate.GPU -> CompatibilityList().use { GpuDelegate(it.bestOptionsForThisDevice) }
                Delegate.NNAPI -> nnapi()
                Delegate.XNNPACK -> null
            }

        // Deprecated with NNAPI itself in Android 15; only offered up to Android 14, on demand.
        @Suppress("DEPRECATION")
        private fun nnapi(): org.tensorflow.lite.Delegate =
            org.tensorflow.lite.nnapi
                .NnApiDelegate()

        private fun spec(
            tensor: Tensor,
            name: String = tensor.name(),
        ): TensorSpec {
            val dtype =
                when (tensor.dataType()) {
                    DataType.FLOAT32 -> DType.FLOAT32
                    DataType.INT8 -> DType.INT8
                    DataType.UINT8 -> DType.UINT8
                    DataType.INT16 -> DType.INT16
                    else -> throw ModelMismatchException("'$name' is ${tensor.dataType()}, which no picture fills.")
                }
            val params = tensor.quantizationParams()
            // A tensor without quantization has the scale 0.
            val quantization = if (params.scale == 0f) null else Quantization(params.scale, params.zeroPoint)
            return TensorSpec(name, tensor.shape().toList(), dtype, quantization)
        }
    }
}
