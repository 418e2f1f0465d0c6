"""Arithmetic on arrays of answers and counts: no model, no file, no stage of a run."""
