"""Architectures whose public weights can be installed but whose code can not."""
