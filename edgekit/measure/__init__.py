"""Measurements: size, fidelity, accuracy, latency. Each returns one frozen dataclass whose fields,
``raw`` ones aside, are the keys of its part of report.json."""
