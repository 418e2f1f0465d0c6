"""Files and folders from where they are published: PyPI, npm, Debian, or a path."""

from edgekit.fetch.folder import fetch_folder, tree_sha256
from edgekit.fetch.resolve import fetch, fetch_first, fetch_package
from edgekit.fetch.source import Source, parse_source

__all__ = [
    "Source",
    "fetch",
    "fetch_first",
    "fetch_folder",
    "fetch_package",
    "parse_source",
    "tree_sha256",
]
