package dev.edgekit.core

/** Who executes the graph; [id] is the name in edgekit's reports. In the order they are tried. */
enum class Delegate(
    val id: String,
) {
    GPU("gpu"),
    NNAPI("nnapi"),
    XNNPACK("xnnpack"),
}

/** What came of one delegate. */
data class Attempt(
    val delegate: Delegate,
    val outcome: Outcome,
    val reason: String,
) {
    /** Not one that was skipped because nobody wants it. */
    val isWanted: Boolean get() = reason != NOT_ASKED_FOR

    /** How an attempt ended. */
    enum class Outcome { SKIPPED, FAILED_AT_CREATION, FAILED_AT_FIRST_RUN, RAN }
}

private const val NOT_ASKED_FOR = "not asked for"

/** What was wanted and did not run, with its reasons; `null` where there is no such thing. */
fun List<Attempt>.passedOver(): String? =
    filter { it.isWanted && it.outcome != Attempt.Outcome.RAN }
        .joinToString("; ") { "${it.delegate.id}: ${it.reason}" }
        .ifEmpty { null }

/** What may be tried. [wanted] alone is tried, and the CPU after it; `null`: all, best first. */
data class DelegatePolicy(
    val apiLevel: Int,
    val wanted: Delegate? = null,
    /** Whether the GPU delegate's own list of devices has this one. */
    val gpuListed: Boolean = true,
    /** NNAPI is deprecated from Android 15 on: only who asks for it gets it. */
    val allowNnapi: Boolean = false,
) {
    /** Why [delegate] is not to be tried, or `null`. */
    fun objection(delegate: Delegate): String? =
        when {
            wanted != null && delegate != wanted && delegate != Delegate.XNNPACK -> NOT_ASKED_FOR
            delegate == Delegate.GPU && !gpuListed -> "the GPU delegate does not list this device"
            delegate != Delegate.NNAPI -> null
            !allowNnapi && wanted != Delegate.NNAPI -> NOT_ASKED_FOR
            apiLevel < NNAPI_FIRST -> "NNAPI came with API $NNAPI_FIRST, this device has $apiLevel"
            apiLevel > NNAPI_LAST -> "NNAPI is deprecated beyond API $NNAPI_LAST, this device has $apiLevel"
            else -> null
        }

    private companion object {
        const val NNAPI_FIRST = 27
        const val NNAPI_LAST = 34
    }
}

/**
 * Where the choice stands. [next] gives the state after an event; an event that a state does not
 * know is a mistake of the caller.
 */
sealed interface DelegateState {
    val attempts: List<Attempt>

    /** [delegate] is to be created now. */
    data class Creating(
        val delegate: Delegate,
        val policy: DelegatePolicy,
        override val attempts: List<Attempt>,
    ) : DelegateState

    /** It was created; the first run is to show whether it works. */
    data class FirstRun(
        val delegate: Delegate,
        val policy: DelegatePolicy,
        override val attempts: List<Attempt>,
    ) : DelegateState

    /** It runs. */
    data class Running(
        val delegate: Delegate,
        override val attempts: List<Attempt>,
    ) : DelegateState

    /** None is left. */
    data class Exhausted(
        override val attempts: List<Attempt>,
    ) : DelegateState

    /** What happened. */
    sealed interface Event {
        data object Succeeded : Event

        data class Failed(
            val reason: String,
        ) : Event
    }

    companion object {
        /** The first delegate that [policy] allows. */
        fun start(policy: DelegatePolicy): DelegateState = after(null, policy, emptyList())

        /** What follows on [event]. */
        fun next(
            state: DelegateState,
            event: Event,
        ): DelegateState =
            when (state) {
                is Creating -> {
                    when (event) {
                        Event.Succeeded -> {
                            FirstRun(state.delegate, state.policy, state.attempts)
                        }

                        is Event.Failed -> {
                            failed(state.delegate, Attempt.Outcome.FAILED_AT_CREATION, event, state.policy, state.attempts)
                        }
                    }
                }

                is FirstRun -> {
                    when (event) {
                        Event.Succeeded -> {
                            val ran = Attempt(state.delegate, Attempt.Outcome.RAN, "created and run")
                            Running(state.delegate, state.attempts + ran)
                        }

                        is Event.Failed -> {
                            failed(state.delegate, Attempt.Outcome.FAILED_AT_FIRST_RUN, event, state.policy, state.attempts)
                        }
                    }
                }

                is Running, is Exhausted -> {
                    error("the choice has ended: $state")
                }
            }

        private fun failed(
            delegate: Delegate,
            outcome: Attempt.Outcome,
            event: Event.Failed,
            policy: DelegatePolicy,
            attempts: List<Attempt>,
        ): DelegateState = after(delegate, policy, attempts + Attempt(delegate, outcome, event.reason))

        private fun after(
            delegate: Delegate?,
            policy: DelegatePolicy,
            before: List<Attempt>,
        ): DelegateState {
            var attempts = before
            for (candidate in Delegate.entries.drop(if (delegate == null) 0 else delegate.ordinal + 1)) {
                val objection = policy.objection(candidate) ?: return Creating(candidate, policy, attempts)
                attempts = attempts + Attempt(candidate, Attempt.Outcome.SKIPPED, objection)
            }
            return Exhausted(attempts)
        }
    }
}
