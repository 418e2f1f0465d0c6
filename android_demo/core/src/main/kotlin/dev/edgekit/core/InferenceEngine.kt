package dev.edgekit.core

import java.nio.ByteBuffer

/** A loaded model on one delegate. Not safe for use from several threads at once. */
interface InferenceEngine : AutoCloseable {
    /** Name and version of the runtime, for reports. */
    val runtime: String

    /** The model's own ends, as the runtime states them. */
    val inputs: List<TensorSpec>
    val outputs: List<TensorSpec>

    /** One invocation; returns when the answer can be read. Throws what the runtime throws. */
    fun run(inputs: Map<String, ByteBuffer>): Map<String, ByteBuffer>

    /** Frees the interpreter and its delegate; a second call does nothing. */
    override fun close()
}

/** Makes an engine on a delegate, or throws and leaves nothing open. */
fun interface EngineFactory {
    fun open(delegate: Delegate): InferenceEngine
}

/** An engine that has run once, and how it came to its delegate. Whoever has it closes it. */
class OpenedEngine(
    val engine: InferenceEngine,
    val requested: Delegate,
    val effective: Delegate,
    val attempts: List<Attempt>,
) : AutoCloseable {
    override fun close() = engine.close()
}

/** Goes through the delegates until one has run the model. */
object EngineOpener {
    /**
     * Opens what [policy] allows and feeds it zeros once. Engines that fail are closed.
     *
     * Throws [NoDelegateException] where none is left, and whatever [check] throws of an engine whose
     * ends are not the contract's: no other delegate would change those.
     */
    fun open(
        factory: EngineFactory,
        policy: DelegatePolicy,
        check: (InferenceEngine) -> Unit,
    ): OpenedEngine {
        var engine: InferenceEngine? = null
        var state = DelegateState.start(policy)
        try {
            while (true) {
                when (val now = state) {
                    is DelegateState.Creating -> {
                        val event =
                            attempt {
                                engine = factory.open(now.delegate)
                            }
                        state = DelegateState.next(now, event)
                    }

                    is DelegateState.FirstRun -> {
                        val opened = checkNotNull(engine)
                        check(opened)
                        val event = attempt { opened.run(zeros(opened.inputs)) }
                        if (event is DelegateState.Event.Failed) {
                            engine = null
                            closeQuietly(opened)
                        }
                        state = DelegateState.next(now, event)
                    }

                    is DelegateState.Running -> {
                        val opened = checkNotNull(engine)
                        engine = null
                        return OpenedEngine(opened, requested(policy, now.attempts), now.delegate, now.attempts)
                    }

                    is DelegateState.Exhausted -> {
                        throw NoDelegateException(now.attempts)
                    }
                }
            }
        } finally {
            engine?.let(::closeQuietly)
        }
    }

    /** Zeros for every input. */
    fun zeros(inputs: List<TensorSpec>): Map<String, ByteBuffer> = inputs.associate { it.name to Tensors.allocate(it) }

    private fun requested(
        policy: DelegatePolicy,
        attempts: List<Attempt>,
    ): Delegate = policy.wanted ?: attempts.first { it.isWanted }.delegate

    /** Runtimes throw much: IllegalArgumentException, UnsatisfiedLinkError, out of memory of a GPU. */
    private inline fun attempt(action: () -> Unit): DelegateState.Event =
        try {
            action()
            DelegateState.Event.Succeeded
        } catch (error: Exception) {
            DelegateState.Event.Failed(said(error))
        } catch (error: LinkageError) {
            DelegateState.Event.Failed(said(error))
        }

    private fun closeQuietly(engine: InferenceEngine) {
        // The failure that led here is what counts, and is on record.
        runCatching { engine.close() }
    }

    private fun said(error: Throwable): String = error.message?.lineSequence()?.first() ?: error.javaClass.simpleName
}
