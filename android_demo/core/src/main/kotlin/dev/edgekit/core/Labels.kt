package dev.edgekit.core

import kotlin.math.abs
import kotlin.math.exp

/** One line of an answer; [confidence] is a fraction of 1. */
data class Ranked(
    val index: Int,
    val label: String,
    val score: Float,
    val confidence: Float,
)

/** Class names, in the order of the model's output. */
class Labels(
    val names: List<String>,
) {
    /** Throws [ModelMismatchException] where there are not as many names as classes. */
    fun check(output: TensorSpec) {
        val classes = output.elements
        if (names.size != classes) {
            throw ModelMismatchException(
                "labels.txt has ${names.size} labels, output '${output.name}' has $classes classes: export them again.",
            )
        }
    }

    /** The [count] best of [scores], best first; of equal ones the lower index, as edgekit ranks. */
    fun top(
        scores: FloatArray,
        count: Int,
    ): List<Ranked> {
        val confidences = confidences(scores)
        return scores.indices
            .sortedWith(compareByDescending<Int> { scores[it] }.thenBy { it })
            .take(count)
            .map { Ranked(it, names.getOrElse(it) { index -> "class $index" }, scores[it], confidences[it]) }
    }

    companion object {
        private const val SUM_TOLERANCE = 0.05f

        /** One name a line, as edgekit writes labels.txt. */
        fun parse(text: String): Labels =
            Labels(
                text
                    .removePrefix("\uFEFF")
                    .lines()
                    .map(String::trim)
                    .dropLastWhile(String::isEmpty),
            )

        /**
         * Scores that are probabilities already (none negative, a sum of about 1, which INT8 holds
         * to a few hundredths) stay; others are taken for logits and go through a softmax.
         */
        fun confidences(scores: FloatArray): FloatArray {
            if (scores.all { it >= 0 } && abs(scores.sum() - 1) < SUM_TOLERANCE) return scores.copyOf()
            val largest = scores.max()
            val powers = FloatArray(scores.size) { exp(scores[it] - largest) }
            val sum = powers.sum()
            return FloatArray(scores.size) { powers[it] / sum }
        }
    }
}
