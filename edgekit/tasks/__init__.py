"""What outputs mean and how they are scored. A further task is one module and one row here."""

from __future__ import annotations

from edgekit.errors import UsageError
from edgekit.tasks.classification import Classification
from edgekit.tasks.task import OutputTask
from edgekit.tasks.tensors import Tensors

TASKS: dict[str, OutputTask] = {task.name: task for task in (Classification(), Tensors())}


def task_named(name: str) -> OutputTask:
    """The task a recipe names.

    Raises:
        UsageError: there is none of that name.
    """
    if name not in TASKS:
        raise UsageError(f"no task is called '{name}'; there is {', '.join(TASKS)}")
    return TASKS[name]
