package dev.edgekit.core

import dev.edgekit.core.Attempt.Outcome
import dev.edgekit.core.DelegateState.Event
import kotlin.test.Test
import kotlin.test.assertContains
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertIs

class DelegatesTest {
    private fun firstTried(policy: DelegatePolicy): Delegate = assertIs<DelegateState.Creating>(DelegateState.start(policy)).delegate

    /** Every delegate fails at creation: what is tried, and what is said of the rest. */
    private fun course(policy: DelegatePolicy): List<Attempt> {
        var state = DelegateState.start(policy)
        while (state is DelegateState.Creating) state = DelegateState.next(state, Event.Failed("no"))
        return assertIs<DelegateState.Exhausted>(state).attempts
    }

    @Test
    fun `the GPU comes first and the CPU last`() {
        assertEquals(
            listOf(
                Delegate.GPU to Outcome.FAILED_AT_CREATION,
                Delegate.NNAPI to Outcome.SKIPPED,
                Delegate.XNNPACK to Outcome.FAILED_AT_CREATION,
            ),
            course(DelegatePolicy(apiLevel = 30)).map { it.delegate to it.outcome },
        )
    }

    @Test
    fun `NNAPI is tried only when allowed, from API 27 to 34`() {
        for (api in 24..36) {
            val tried = course(DelegatePolicy(apiLevel = api, allowNnapi = true)).first { it.delegate == Delegate.NNAPI }
            assertEquals(api in 27..34, tried.outcome == Outcome.FAILED_AT_CREATION, "API $api")
        }
        val reason = course(DelegatePolicy(apiLevel = 35, allowNnapi = true)).first { it.delegate == Delegate.NNAPI }.reason
        assertEquals("NNAPI is deprecated beyond API 34, this device has 35", reason)
    }

    @Test
    fun `a GPU that is not on the list is skipped with that reason`() {
        val policy = DelegatePolicy(apiLevel = 30, gpuListed = false)
        assertEquals(Delegate.XNNPACK, firstTried(policy))
        assertContains(course(policy).first().reason, "does not list this device")
    }

    @Test
    fun `who asks for one delegate gets it or the CPU`() {
        assertEquals(Delegate.NNAPI, firstTried(DelegatePolicy(apiLevel = 30, wanted = Delegate.NNAPI)))
        assertEquals(Delegate.XNNPACK, firstTried(DelegatePolicy(apiLevel = 36, wanted = Delegate.NNAPI)))
        assertEquals(Delegate.XNNPACK, firstTried(DelegatePolicy(apiLevel = 30, wanted = Delegate.XNNPACK)))
    }

    @Test
    fun `a failure at the first run leads on as one at creation does`() {
        val start = DelegateState.start(DelegatePolicy(apiLevel = 30))
        val created = assertIs<DelegateState.FirstRun>(DelegateState.next(start, Event.Succeeded))
        val second = assertIs<DelegateState.Creating>(DelegateState.next(created, Event.Failed("out of memory")))
        assertEquals(Delegate.XNNPACK, second.delegate)
        assertEquals(Attempt(Delegate.GPU, Outcome.FAILED_AT_FIRST_RUN, "out of memory"), second.attempts.first())
        val running = DelegateState.next(DelegateState.next(second, Event.Succeeded), Event.Succeeded)
        assertEquals(Delegate.XNNPACK, assertIs<DelegateState.Running>(running).delegate)
        assertEquals(Outcome.RAN, running.attempts.last().outcome)
    }

    @Test
    fun `nothing follows the end`() {
        assertFailsWith<IllegalStateException> { DelegateState.next(DelegateState.Exhausted(emptyList()), Event.Succeeded) }
    }
}
