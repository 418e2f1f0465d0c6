"""Read, check and write ``.onnx`` files."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from edgekit.runtimes.onnx_runtime import LAYOUTS_PROPERTY

if TYPE_CHECKING:
    from edgekit.recipe.schema import InputSpec


def with_layouts(model: Any, inputs: Iterable[InputSpec]) -> Any:
    """A copy of the ``ModelProto`` whose metadata says which of its inputs are images, and how
    their axes are ordered: what a session opened on the bare file goes by.

    Inputs of layout ``any`` are not mentioned.
    """
    import onnx

    made = onnx.ModelProto()
    made.CopyFrom(model)
    kept = [prop for prop in model.metadata_props if prop.key != LAYOUTS_PROPERTY]
    del made.metadata_props[:]
    made.metadata_props.extend(kept)
    layouts = {spec.name: spec.layout for spec in inputs if spec.layout != "any"}
    if layouts:
        made.metadata_props.add(
            key=LAYOUTS_PROPERTY, value=json.dumps(layouts, ensure_ascii=False, sort_keys=True)
        )
    return made
