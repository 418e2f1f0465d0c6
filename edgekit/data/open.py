"""From the text a recipe gives to an open dataset."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Literal

from edgekit.data.arrays import list_array_images, open_arrays
from edgekit.data.audio import AudioForm
from edgekit.data.audio_dataset import (
    Recording,
    folder_recordings,
    manifest_recordings,
    open_audio,
)
from edgekit.data.dataset import Dataset, ImageList
from edgekit.data.folder import list_folder
from edgekit.data.idx_dataset import open_idx
from edgekit.data.image_dataset import open_images
from edgekit.data.manifest import Manifest, list_images, load_manifest, shipped_manifests
from edgekit.data.preprocess import Preprocessor
from edgekit.data.readings import Readings
from edgekit.data.stream import list_stream_images, open_stream
from edgekit.data.text_dataset import open_texts
from edgekit.data.tokens import open_tokenizer
from edgekit.errors import DataError, UsageError
from edgekit.progress import Progress, SilentProgress
from edgekit.recipe.anchor import names_function
from edgekit.recipe.schema import InputSpec, PreprocessSpec
from edgekit.types import Role

_ARRAYS = frozenset({".npy", ".npz"})
_MANIFESTS = frozenset({".yaml", ".yml"})


def open_dataset(
    dataset: str,
    *,
    role: Role,
    preprocess: PreprocessSpec,
    inputs: tuple[InputSpec, ...],
    samples: int | None,
    crops: bool = True,
    on_broken: Literal["error", "skip"] = "error",
    base: Path | None = None,
    progress: Progress = SilentProgress(),  # noqa: B008 - it has no state
    readings: Readings | None = None,
    lazy: bool = False,
) -> Dataset:
    """Open what ``dataset`` names: a shipped manifest, a manifest's path, a folder, .npy or .npz,
    or a function of the user's, see ``stream``.

    ``samples`` is the most there will be; ``None`` takes everything once (or the manifest's own
    count of crops). Fewer than there are is a fair part, the same one every time. More samples than
    images gives crops where the manifest has them for the role; ``crops=False`` never does. Paths
    are relative to ``base`` (default: the working folder). ``readings`` are told of functions.
    ``lazy`` leaves image files undecoded until their sample is asked for.

    Raises:
        DataError: unknown, empty or broken.
        UsageError: it does not fit the model's inputs or the preprocessing.
        FetchError, IntegrityError: a file of a manifest, or the tokenizer, could not be had.
        MissingError: a package that texts or recordings need is not installed.
        SourceError: a function that is not there.
    """
    by_function = names_function(dataset)
    if by_function:
        if preprocess.kind == "arrays":
            return open_stream(
                dataset,
                role,
                inputs,
                preprocess,
                samples,
                on_broken=on_broken,
                base=base,
                progress=progress,
                readings=readings,
            )
        if preprocess.kind != "image":
            raise UsageError(
                f"{dataset} is a function, and preprocess.kind is '{preprocess.kind}'",
                hint="A function yields model inputs (kind: arrays) or uint8 images (kind: image).",
            )
    path = Path() if by_function else find_dataset(dataset, base)
    if preprocess.kind == "arrays":
        if path.suffix not in _ARRAYS:
            raise UsageError(
                f"preprocess.kind is 'arrays' but {dataset} is not an .npy or .npz file"
            )
        return open_arrays(path, role, inputs, preprocess, samples)
    manifest = load_manifest(path) if path.suffix in _MANIFESTS and path.is_file() else None
    if preprocess.kind == "text":
        return open_texts(
            _with_texts(dataset, manifest),
            role,
            open_tokenizer(preprocess, inputs, progress),
            samples=samples,
            on_broken=on_broken,
            progress=progress,
        )
    if preprocess.kind == "audio":
        return open_audio(
            path.stem if manifest is None else manifest.name,
            _recordings(path, manifest, role, progress),
            role,
            AudioForm.of(preprocess, inputs),
            samples=samples,
            on_broken=on_broken,
            progress=progress,
        )
    if len(inputs) != 1:
        names = ", ".join(spec.name for spec in inputs)
        raise UsageError(
            f"images fill one input, the model has {len(inputs)} ({names})",
            hint="Give an .npz with one array an input, and preprocess.kind: arrays",
        )
    preprocessor = Preprocessor(preprocess, inputs[0])
    if manifest is not None and manifest.idx:
        return open_idx(manifest, role, preprocessor, samples=samples, progress=progress)
    if by_function:
        listed = list_stream_images(
            dataset,
            role,
            samples,
            on_broken=on_broken,
            base=base,
            progress=progress,
            readings=readings,
        )
    else:
        listed = _list_images(path, manifest, role, on_broken, progress)
    return open_images(
        listed,
        role,
        preprocessor,
        samples=samples,
        crops=crops,
        on_broken=on_broken,
        progress=progress,
        lazy=lazy,
    )


def _recordings(
    path: Path, manifest: Manifest | None, role: Role, progress: Progress
) -> list[Recording]:
    if manifest is not None and manifest.audio:
        return manifest_recordings(manifest, role, progress)
    if path.is_dir():
        return folder_recordings(path, role)
    raise UsageError(
        f"preprocess.kind is 'audio' but {path} lists no recordings",
        hint="Give a folder of recordings, or a manifest (.yaml) with 'audio:'.",
    )


def _with_texts(dataset: str, manifest: Manifest | None) -> Manifest:
    if manifest is None:
        raise UsageError(
            f"preprocess.kind is 'text' but {dataset} is not a dataset manifest",
            hint="Name your .csv or .tsv file under 'texts:' in a manifest (.yaml) that says "
            "which of its columns is the text.",
        )
    if not manifest.texts:
        raise UsageError(f"preprocess.kind is 'text' but {dataset} lists images")
    return manifest


def find_dataset(dataset: str, base: Path | None = None) -> Path:
    """The file or folder that ``dataset`` names; a shipped name wins over a path of that name.

    Raises:
        DataError: there is none; the hint has the nearest names.
    """
    shipped = shipped_manifests()
    if dataset in shipped:
        return shipped[dataset]
    path = Path(dataset.removeprefix("file:")).expanduser()
    if not path.is_absolute() and base is not None:
        path = base / path
    if path.exists():
        return path
    beside = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
    near = difflib.get_close_matches(path.name, [*shipped, *beside], n=3)
    raise DataError(
        f"there is no dataset '{dataset}'",
        hint=(
            f"Did you mean {' or '.join(near)}?"
            if near
            else f"Give a path, or one of the shipped ones: {', '.join(sorted(shipped))}"
        ),
    )


def _list_images(
    path: Path,
    manifest: Manifest | None,
    role: Role,
    on_broken: Literal["error", "skip"],
    progress: Progress,
) -> ImageList:
    if path.is_dir():
        return list_folder(path, role, on_broken)
    if path.suffix in _ARRAYS:
        return list_array_images(path, role)
    if manifest is not None and manifest.audio:
        raise UsageError(
            f"{path} lists recordings, but preprocess.kind is 'image'",
            hint="Write preprocess.kind: audio, and the model's sample_rate_hz.",
        )
    if manifest is not None and manifest.texts:
        raise UsageError(
            f"{path} lists texts, but preprocess.kind is 'image'",
            hint="Write preprocess.kind: text, and a tokenizer beside it.",
        )
    if manifest is not None:
        return list_images(manifest, role, progress)
    raise DataError(
        f"{path} is not a dataset",
        hint="Give an image folder, a manifest (.yaml), or an .npy or .npz file. A manifest names "
        "IDX files and tables of texts.",
    )
