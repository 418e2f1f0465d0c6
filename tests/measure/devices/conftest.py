"""Phones for every test of this room."""

from tests.phones import adb, adb_server, plug

__all__ = ["adb", "adb_server", "plug"]
