"""What a dataset is to the rest of edgekit, and what its images are before they are one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

from edgekit.data.crops import CropRule
from edgekit.types import Array, Role, Sample

if TYPE_CHECKING:
    from PIL.Image import Image

T = TypeVar("T")


class Dataset(Protocol):
    """Samples of one role, the same ones in the same order however often they are iterated."""

    @property
    def name(self) -> str: ...

    @property
    def role(self) -> Role: ...

    @property
    def fingerprint(self) -> str:
        """Content key of everything the samples depend on; for cache keys."""

    @property
    def labelled(self) -> bool:
        """Whether every sample has a label."""

    @property
    def targeted(self) -> bool:
        """Whether every sample has a target: a right answer that is an array."""

    @property
    def skipped(self) -> tuple[str, ...]:
        """Images left out because they could not be read, each with the reason."""

    @property
    def repeated(self) -> int:
        """Samples left out because their content also is in a role closer to the verdict."""

    @property
    def images(self) -> Mapping[str, str]:
        """``image_id`` to the sha256 of the content (of an image, a text, a row of arrays), in
        order of first use."""

    @property
    def value_range(self) -> tuple[float, float] | None:
        """What the preprocessing contract can produce, or ``None`` if it states nothing."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Sample]: ...

    def sample(self, index: int) -> Sample:
        """The sample at place ``index``, 0 first.

        Raises:
            DataError: it cannot be read; names it. Only of a dataset that was opened ``lazy``.
        """

    def pixels(self, index: int) -> Array:
        """uint8 ``[H, W, C]`` of sample ``index`` before scaling: where golden vectors start.

        Raises:
            UsageError: the dataset holds arrays or texts, which have no pixels.
        """


@dataclass(frozen=True)
class ImageRef:
    """An image that can be loaded. ``load`` gives mode RGB or raises ``DataError``."""

    id: str
    sha256: str
    label: int | None
    load: Callable[[], Image]


@dataclass(frozen=True)
class ImageList:
    """The images of one role, in the order they are taken, and how they may be cropped."""

    name: str
    images: tuple[ImageRef, ...]
    crops: CropRule | None = None
    skipped: tuple[str, ...] = ()


def split(items: Sequence[T], hashes: Sequence[str], role: Role) -> tuple[T, ...]:
    """The part of ``items`` that belongs to ``role``, by content.

    Distinct contents, ordered by sha256: 30 % are eval, 20 % dev, the rest calibration (rounded
    down, but at least one each where there are three; two give calibration and eval, one gives
    calibration). Equal content is never in two roles.
    """
    distinct = sorted(set(hashes))
    total = len(distinct)
    evals = max(1, total * 3 // 10) if total > 1 else 0
    devs = max(1, total * 2 // 10) if total > 2 else 0
    cut = {
        Role.EVAL: distinct[:evals],
        Role.DEV: distinct[evals : evals + devs],
        Role.CALIBRATION: distinct[evals + devs :],
    }[role]
    mine = set(cut)
    pairs = sorted((digest, position) for position, digest in enumerate(hashes) if digest in mine)
    return tuple(items[position] for _, position in pairs)
