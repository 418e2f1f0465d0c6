"""From a run folder into an Android project: model, labels, contract, golden vectors, Kotlin."""
