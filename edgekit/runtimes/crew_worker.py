"""A worker of a ``Crew``: ``python -m edgekit.runtimes.crew_worker``, spoken to by lines of JSON.

The first line is the setup, every other one the number of a part to answer; each is answered by
one line when its file is written. The dataset is a pickle that the parent wrote: the parent is
whom this process trusts in any case.
"""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any, BinaryIO

from edgekit.data.dataset import Dataset
from edgekit.errors import EdgekitError
from edgekit.runtimes import open_session, parts
from edgekit.runtimes.worker import pipes


def main() -> None:
    """Work until the parent closes the pipe."""
    requests, answers = pipes()
    try:
        _work(requests, answers)
    except EdgekitError as error:
        told = {"type": type(error).__name__, "message": error.message, "hint": error.hint}
        _say(answers, {"error": told})


def _work(requests: BinaryIO, answers: BinaryIO) -> None:
    setup = json.loads(requests.readline())
    with Path(setup["dataset"]).open("rb") as stream:
        dataset: Dataset = pickle.load(stream)
    folder, stamp = Path(setup["folder"]), setup["stamp"]
    with open_session(Path(setup["model"]), runtime=setup["runtime"]) as session:
        for line in requests:
            number = int(line)
            part = parts.answer(session, dataset, number, skip_broken=setup["skip_broken"])
            parts.write(parts.file_of(folder, number), stamp, number, part)
            done = {"number": number, "answered": part.answered, "failed": part.failed}
            _say(answers, done)


def _say(answers: BinaryIO, what: Any) -> None:
    answers.write(json.dumps(what).encode() + b"\n")
    answers.flush()


if __name__ == "__main__":
    main()
