"""What a model file is, in words that no file name can promise."""

from __future__ import annotations

from collections import Counter

from edgekit.types import ArtefactFormat, FileFacts, OperatorFact

_INTEGER_ENDS = frozenset({"int8", "uint8", "int16"})
_FLOAT_ENDS = frozenset({"float32", "float16"})


def kind_in_words(file: FileFacts, form: ArtefactFormat) -> str:
    """E.g. ``full-integer INT8``, ``a dynamic-range model, not full-integer``."""
    counts = Counter(operator.compute for operator in file.operators)
    total = sum(counts.values()) - counts["conversion"]
    integer = counts["int8"] + counts["int16"]
    dynamic, unpacked = counts["int8 dynamic"], counts["int8 weights"]
    floats = counts["float"] + dynamic + unpacked
    if not total:
        return "no operators that compute"
    if integer and not floats:
        return _full_integer(file, counts["int16"] > 0) + _written_as(file, form)
    if not integer and dynamic:
        return (
            f"a dynamic-range model, not full-integer: {dynamic} of {_operators(total)} with INT8 "
            "weights and float activations"
        )
    if not integer and unpacked:
        return (
            f"INT8 weights only, not full-integer: {unpacked} of {_operators(total)} unpack them "
            "and compute in float"
        )
    if not integer:
        if not floats:
            return "integers that are no quantized values"
        return _floating(file)
    bits = "INT16 and float" if counts["int16"] else "INT8 and float"
    return f"mixed {bits}: {floats} of {_operators(total)} float{_written_as(file, form)}"


def _operators(count: int) -> str:
    return f"{count} operator{'s' if count != 1 else ''}"


def _full_integer(file: FileFacts, sixteen: bool) -> str:
    name = "INT8 weights with INT16 activations" if sixteen else "INT8"
    ends = {"input": file.inputs, "output": file.outputs}
    floats = [end for end, infos in ends.items() if {i.dtype for i in infos} & _FLOAT_ENDS]
    if floats:
        return f"{name} with float {' and '.join(floats)}"
    unsigned = [end for end, infos in ends.items() if any(i.dtype == "uint8" for i in infos)]
    if unsigned:
        return f"full-integer {name} with uint8 {' and '.join(unsigned)}"
    return f"full-integer {name}"


def _written_as(file: FileFacts, form: ArtefactFormat) -> str:
    """ONNX writes integers in two ways."""
    if form is not ArtefactFormat.ONNX:
        return ""
    own = any(_is_integer_operator(operator) for operator in file.operators)
    return ", as integer operators" if own else ", as QDQ (float operators between conversions)"


def _is_integer_operator(operator: OperatorFact) -> bool:
    return operator.op.startswith("QLinear") or operator.op.endswith("Integer")


def _floating(file: FileFacts) -> str:
    halves = [op for op in file.operators if op.dtypes.split(" x ")[0].startswith("float16")]
    if not halves:
        return "float32"
    if all(operator.compute == "conversion" for operator in halves):
        return "float16 weights, computed in float32"
    return "float16"
