"""Files from where they are published: a path, or inside a package of PyPI, npm or Debian."""

from edgekit.fetch.resolve import fetch, fetch_first, fetch_package
from edgekit.fetch.source import Source, parse_source

__all__ = ["Source", "fetch", "fetch_first", "fetch_package", "parse_source"]
