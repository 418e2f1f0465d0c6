package dev.edgekit.core

import org.junit.runner.Description
import org.junit.runner.JUnitCore
import org.junit.runner.notification.Failure
import org.junit.runner.notification.RunListener
import kotlin.system.exitProcess

/** Runs the test classes named by [classNames] without Gradle; ends in `N passed, N failed`. */
fun main(classNames: Array<String>) {
    val failed = mutableSetOf<String>()
    val core = JUnitCore()
    core.addListener(
        object : RunListener() {
            override fun testFailure(failure: Failure) {
                failed += failure.description.displayName
                println("FAILED ${failure.description.displayName}\n${failure.trimmedTrace}")
            }

            override fun testFinished(description: Description) {
                if (description.displayName !in failed) println("passed ${description.displayName}")
            }
        },
    )
    val result = core.run(*classNames.map { Class.forName(it) }.toTypedArray())
    println("${result.runCount - failed.size} passed, ${failed.size} failed")
    exitProcess(if (result.runCount > 0 && failed.isEmpty()) 0 else 1)
}
