"""Thresholds, and the verdict they lead to."""
