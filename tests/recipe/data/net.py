"""Stands for a user's own factory; never imported by these tests."""
