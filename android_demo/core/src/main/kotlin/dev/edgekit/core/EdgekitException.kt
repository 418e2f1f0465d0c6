package dev.edgekit.core

/** Something a person can act on; [message] says what happened and what to do next. */
open class EdgekitException(
    message: String,
    cause: Throwable? = null,
) : Exception(message, cause)

/** contract.json cannot be read, or asks for what this code does not do. */
class ContractException(
    message: String,
    cause: Throwable? = null,
) : EdgekitException(message, cause)

/** The model is not the one its contract or its labels speak of. */
class ModelMismatchException(
    message: String,
) : EdgekitException(message)

/** A picture that the preprocessing cannot take. */
class ImageException(
    message: String,
    cause: Throwable? = null,
) : EdgekitException(message, cause)

/** The runtime failed at an invocation after it had run before. */
class EngineException(
    message: String,
    cause: Throwable,
) : EdgekitException(message, cause)

/** No delegate could run the model; [attempts] holds why, one by one. */
class NoDelegateException(
    val attempts: List<Attempt>,
) : EdgekitException(
        "No delegate could run the model: " + attempts.joinToString("; ") { "${it.delegate.id}: ${it.reason}" },
    )
