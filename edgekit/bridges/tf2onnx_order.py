"""tf2onnx in one order: it walks through sets, whose order is another in every process.

Which of two ways to push a Transpose along is taken hangs on it, so the same model comes out with
other operators, and not only other names. Sets that keep the order of insertion end that.
"""

from __future__ import annotations

import sys
from collections.abc import Hashable, Iterable, Iterator, MutableSet
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T", bound=Hashable)


class OrderedSet(MutableSet[T]):
    """What tf2onnx uses of ``set``, in the order of insertion."""

    def __init__(self, items: Iterable[T] = ()) -> None:
        self._items = dict.fromkeys(items)

    def __contains__(self, item: object) -> bool:
        return item in self._items

    def __iter__(self) -> Iterator[T]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def add(self, value: T) -> None:
        self._items[value] = None

    def discard(self, value: T) -> None:
        self._items.pop(value, None)

    def update(self, *others: Iterable[T]) -> None:
        for other in others:
            self._items.update(dict.fromkeys(other))

    def union(self, *others: Iterable[T]) -> OrderedSet[T]:
        made = OrderedSet(self)
        made.update(*others)
        return made

    def intersection(self, other: Iterable[T]) -> OrderedSet[T]:
        kept = OrderedSet(other)
        return OrderedSet(item for item in self if item in kept)

    def difference(self, other: Iterable[T]) -> OrderedSet[T]:
        gone = OrderedSet(other)
        return OrderedSet(item for item in self if item not in gone)

    def issubset(self, other: Iterable[T]) -> bool:
        return not self.difference(other)

    def copy(self) -> OrderedSet[T]:
        return OrderedSet(self)


@contextmanager
def ordered_sets() -> Iterator[None]:
    """While the block runs, ``set`` means ``OrderedSet`` in every module of tf2onnx loaded."""
    modules: list[Any] = [
        module
        for name, module in list(sys.modules.items())
        if name.partition(".")[0] == "tf2onnx" and "set" not in vars(module)
    ]
    for module in modules:
        module.set = OrderedSet
    try:
        yield
    finally:
        for module in modules:
            del module.set
