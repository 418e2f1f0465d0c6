"""Phones for every test of this room."""

from tests.phones import adb, plug

__all__ = ["adb", "plug"]
