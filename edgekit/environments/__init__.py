"""Isolated environments: venvs of their own for tools whose pins fight edgekit's.

::

    <cache folder>/environments/<name>-<key>/            the venv; environment.json written last
    <cache folder>/environments/.<name>-<key>.lock       held alone to make, shared to use
    <cache folder>/environments/.<name>-<key>.making/    the venv before its rename into place

``key`` covers the lock file, the Python and the machine it is for. A tool is driven by a script
in ``workers/``, which reads and writes files and answers with one JSON line.
"""

from __future__ import annotations

from edgekit.environments.environment import Environment, LocalEnvironment, open_environment
from edgekit.environments.spec import (
    ENVIRONMENTS,
    EnvironmentSpec,
    environment_version,
    find_environment,
)
from edgekit.errors import WorkerError

__all__ = [
    "ENVIRONMENTS",
    "Environment",
    "EnvironmentSpec",
    "LocalEnvironment",
    "WorkerError",
    "environment_version",
    "find_environment",
    "open_environment",
]
