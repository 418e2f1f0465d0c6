"""A Keras model as one function from named tensors to named tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from edgekit.capture import captured_output
from edgekit.errors import SourceError
from edgekit.recipe.schema import InputSpec
from edgekit.runtimes.tf_function import tf_cause
from edgekit.tensorflow.function import TFModel, require_tensorflow
from edgekit.types import TensorInfo


def as_function(
    model: Any, inputs: tuple[InputSpec, ...], outputs: tuple[str, ...], *, name: str
) -> TFModel:
    """``model`` (a ``keras.Model`` or ``tf_keras.Model``) in inference mode.

    Inputs are called as their Input layers, outputs as the keys of a dict or the layers that make
    them. A subclassed model has no names of its own: it takes those of ``inputs`` in call order
    and, unless it returns a dict, those of ``outputs``.

    Raises:
        SourceError: a subclassed model that does not take ``inputs`` or returns other outputs.
    """
    if not getattr(model, "inputs", None):
        return _subclassed(model, inputs, outputs, name)
    tensorflow = require_tensorflow()
    infos = tuple(_info(tensor) for tensor in model.inputs)
    structure = getattr(model, "input", None) if len(infos) > 1 else _only_input(model)
    names = _output_names(model)

    def call(**tensors: Any) -> Mapping[str, Any]:
        flat = [tensors[info.name] for info in infos]
        packed = flat[0] if structure is None else tensorflow.nest.pack_sequence_as(structure, flat)
        return dict(zip(names, tensorflow.nest.flatten(model(packed, training=False)), strict=True))

    return TFModel(call=call, inputs=infos, outputs=names, holder=model)


def _only_input(model: Any) -> Any:
    """The structure around a single input where it is a dict; a bare tensor suits all else."""
    try:
        structure = model.input
    except AttributeError:  # a Sequential that was not called yet
        return None
    return structure if isinstance(structure, dict) else None


def _info(tensor: Any) -> TensorInfo:
    """Of a symbolic tensor of either library; what is more than a plain array is in its dtype."""
    tensorflow = require_tensorflow()
    dtype = tensorflow.as_dtype(tensor.dtype).name
    spec = getattr(tensor, "type_spec", None)  # tf_keras
    for kind, types in (("ragged", "RaggedTensorSpec"), ("sparse", "SparseTensorSpec")):
        if getattr(tensor, kind, False) or type(spec).__name__ == types:
            dtype = f"{kind} {dtype}"
    shape = tuple(-1 if size is None else int(size) for size in tensor.shape)
    return TensorInfo(tensor.name.split(":")[0], shape, dtype)


def _output_names(model: Any) -> tuple[str, ...]:
    try:
        structure = model.output
    except AttributeError:  # as in _only_input
        structure = None
    if isinstance(structure, dict):
        return tuple(sorted(structure))  # the order in which a dict is flattened
    names = getattr(model, "output_names", None) or [model.layers[-1].name]
    taken: list[str] = []
    for name in names:  # one layer may make two outputs
        count = sum(other == name or other.startswith(f"{name}_") for other in taken)
        taken.append(name if name not in taken else f"{name}_{count}")
    return tuple(taken)


def _subclassed(
    model: Any, inputs: tuple[InputSpec, ...], outputs: tuple[str, ...], name: str
) -> TFModel:
    infos = tuple(TensorInfo(spec.name, (-1,) * len(spec.shape), spec.dtype) for spec in inputs)

    def answer(*tensors: Any) -> Any:
        return model(tensors[0] if len(tensors) == 1 else list(tensors), training=False)

    structure = _traced(answer, inputs, name)
    names = tuple(sorted(structure)) if isinstance(structure, dict) else outputs
    tensorflow = require_tensorflow()
    found = len(tensorflow.nest.flatten(structure))
    if found != len(names):
        raise SourceError(
            f"{name} returns {found} outputs, but model.outputs names {len(names)} "
            f"({', '.join(names)})",
            hint="Name every output, in the model's order, under model.outputs.",
        )

    def call(**tensors: Any) -> Mapping[str, Any]:
        found = answer(*(tensors[info.name] for info in infos))
        return dict(zip(names, tensorflow.nest.flatten(found), strict=True))

    return TFModel(call=call, inputs=infos, outputs=names, holder=model)


def _traced(answer: Callable[..., Any], inputs: tuple[InputSpec, ...], name: str) -> Any:
    tensorflow = require_tensorflow()
    specs = [tensorflow.TensorSpec(spec.shape, spec.dtype) for spec in inputs]
    with captured_output():
        try:
            function = tensorflow.function(answer).get_concrete_function(*specs)
        except Exception as error:  # the user's own model
            given = ", ".join(f"{spec.dtype} {list(spec.shape)}" for spec in inputs)
            raise SourceError(
                f"{name} does not take {given}: {tf_cause(error)}",
                hint="Correct model.inputs: several are handed over as one list, in that order.",
            ) from error
    return function.structured_outputs
