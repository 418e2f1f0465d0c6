"""What a recipe is: frozen dataclasses, one per section. YAML becomes these in ``load.py``.

A field's metadata carries what its type cannot say; validation and the reference page read it here:

``doc``                          one line for people
``above, at_least, at_most``     limits of a number, or of every number of a list or mapping
``refers``                       what a text names: ``source`` (a path, file:, pypi://, npm:// or
                                 deb://), ``dataset`` or ``factory``; relative paths in it belong
                                 to the folder of the file that wrote them
``may_be_empty``                 an empty text is a value
``default``                      what a required key is when it is not written, in words
``internal``                     not a key of the YAML
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from edgekit.recipe.gate_spec import GateSpec
from edgekit.recipe.key_doc import key_doc as _doc
from edgekit.recipe.latency_spec import LatencySpec

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class InputSpec:
    """One input of the source model, in the source framework's own layout."""

    name: str = field(metadata=_doc("name of the input; kept in the artefact's signature"))
    shape: tuple[int, ...] = field(
        metadata=_doc("fixed shape, batch first, e.g. [1, 3, 224, 224]", at_least=1)
    )
    dtype: Literal["float32", "int32", "int64", "uint8"] = field(
        default="float32", metadata=_doc("element type")
    )
    layout: Literal["NCHW", "NHWC", "any"] = field(
        default="any", metadata=_doc("meaning of the axes; 'any' is passed on as it is")
    )


@dataclass(frozen=True)
class LabelsSpec:
    """Where the class names come from."""

    source: str = field(
        metadata=_doc(
            "JSON list, JSON {index: name}, one name a line, or a .tflite file with labels in its "
            "metadata",
            refers="source",
        )
    )
    sha256: str | None = field(
        default=None, metadata=_doc("sha256 of that file; required for registry sources")
    )


@dataclass(frozen=True)
class CodeSpec:
    """A package that holds the factory's code: unpacked and imported from, never installed."""

    source: str = field(
        metadata=_doc("the package, e.g. pypi://name==version, or a folder", refers="source")
    )
    sha256: str | None = field(
        default=None,
        metadata=_doc("sha256 of the package's archive; required for registry sources"),
    )


@dataclass(frozen=True)
class MoreWeightsSpec:
    """A further state dict: with the first one it makes the whole, e.g. a head of your own."""

    source: str = field(metadata=_doc("the state dict", refers="source"))
    sha256: str | None = field(
        default=None, metadata=_doc("sha256 of that file; required for registry sources")
    )


@dataclass(frozen=True)
class ModelSpec:
    """The trained model."""

    framework: Literal["pytorch", "keras", "tensorflow", "onnx", "tflite"] = field(
        metadata=_doc("framework the model comes from; 'tensorflow' is a SavedModel or a function")
    )
    inputs: tuple[InputSpec, ...] = field(metadata=_doc("inputs of the model, in call order"))
    outputs: tuple[str, ...] = field(
        default=("output",), metadata=_doc("names of the outputs, in the model's order")
    )
    factory: str | None = field(
        default=None,
        metadata=_doc(
            "'package.module:callable', 'file.py:callable', 'torchvision:name' or 'timm:name'",
            refers="factory",
        ),
    )
    factory_args: Mapping[str, Any] = field(
        default_factory=dict, metadata=_doc("keyword arguments of the factory")
    )
    code: tuple[CodeSpec, ...] = field(
        default=(), metadata=_doc("packages the factory is imported from")
    )
    file: str | None = field(
        default=None,
        metadata=_doc(
            "a saved model instead of a factory: .pt2, TorchScript, .keras, .h5, a SavedModel "
            "folder, .onnx, .tflite",
            refers="source",
        ),
    )
    weights: tuple[str, ...] = field(
        default=(), metadata=_doc("sources of the state dict, tried in order", refers="source")
    )
    sha256: str | None = field(
        default=None,
        metadata=_doc("sha256 of the weights, or of 'file'; required for registry sources"),
    )
    more_weights: tuple[MoreWeightsSpec, ...] = field(
        default=(), metadata=_doc("state dicts that hold what the first one lacks")
    )
    unused_weights: tuple[str, ...] = field(
        default=(),
        metadata=_doc("globs of keys that the model has no place for, e.g. 'pooler.*'"),
    )
    trust_pickle: bool = field(
        default=False,
        metadata=_doc("load a pickle that can run code; only for files you made yourself"),
    )
    signature: str | None = field(
        default=None,
        metadata=_doc(
            "which signature of a SavedModel or .tflite",
            default="'serving_default', or the only one there is",
        ),
    )
    custom_objects: tuple[str, ...] = field(
        default=(),
        metadata=_doc(
            "classes and functions that a Keras file names, as 'file.py:name' or "
            "'package.module:name'",
            refers="factory",
        ),
    )
    trust_lambda: bool = field(
        default=False,
        metadata=_doc("load a Keras file with Lambda layers, which are code; only files of yours"),
    )
    labels: LabelsSpec | None = field(default=None, metadata=_doc("class names"))


@dataclass(frozen=True)
class ResizeSpec:
    """Pillow's antialiased resize; give shorter_side, or width and height."""

    shorter_side: int | None = field(
        default=None, metadata=_doc("pixels of the shorter side, aspect kept", at_least=1)
    )
    width: int | None = field(default=None, metadata=_doc("pixels", at_least=1))
    height: int | None = field(default=None, metadata=_doc("pixels", at_least=1))
    filter: Literal["bilinear", "bicubic"] = field(
        default="bilinear", metadata=_doc("resampling filter")
    )


@dataclass(frozen=True)
class CropSpec:
    """Centre crop."""

    width: int = field(metadata=_doc("pixels", at_least=1))
    height: int = field(metadata=_doc("pixels", at_least=1))


@dataclass(frozen=True)
class TokenizerSpec:
    """From a text to token ids, by a Hugging Face ``tokenizer.json``; padding is the file's own."""

    source: str = field(metadata=_doc("the tokenizer.json", refers="source"))
    sha256: str | None = field(
        default=None, metadata=_doc("sha256 of that file; required for registry sources")
    )
    max_length: int | None = field(
        default=None,
        metadata=_doc(
            "tokens kept of a text, special ones included",
            at_least=1,
            default="the length of the model's input",
        ),
    )


@dataclass(frozen=True)
class PreprocessSpec:
    """From decoded RGB8 pixels to the model's input: ``(pixel / divisor - mean) / std``; from a
    text to the inputs ``input_ids``, ``attention_mask`` and ``token_type_ids``."""

    kind: Literal["image", "arrays", "text", "audio"] = field(
        default="image",
        metadata=_doc(
            "'arrays' passes .npy/.npz data through untouched, 'text' tokenizes, 'audio' cuts "
            "recordings into windows"
        ),
    )
    resize: ResizeSpec | None = field(default=None, metadata=_doc("resize before the crop"))
    crop: CropSpec | None = field(default=None, metadata=_doc("centre crop after the resize"))
    colour: Literal["RGB", "BGR", "GRAY"] = field(default="RGB", metadata=_doc("channel order"))
    divisor: float = field(default=1.0, metadata=_doc("pixels are divided by this first", above=0))
    mean: tuple[float, ...] = field(
        default=(0.0,), metadata=_doc("subtracted, one value or one a channel")
    )
    std: tuple[float, ...] = field(
        default=(1.0,), metadata=_doc("divided by, one value or one a channel", above=0)
    )
    tokenizer: TokenizerSpec | None = field(
        default=None, metadata=_doc("what makes token ids of a text; for kind: text")
    )
    sample_rate_hz: int | None = field(
        default=None,
        metadata=_doc("rate of the model's input; for kind: audio, resampled to it", at_least=1),
    )


@dataclass(frozen=True)
class CalibrationSpec:
    """The representative dataset."""

    dataset: str = field(
        metadata=_doc(
            "shipped manifest, path of a manifest, a folder of images or recordings, a .npy/.npz "
            "file, or 'file.py:function' that yields samples",
            refers="dataset",
        )
    )
    samples: int = field(default=100, metadata=_doc("how many samples the ranges see", at_least=1))
    on_broken: Literal["error", "skip"] = field(
        default="error",
        metadata=_doc("what an unreadable file does: stop, or be named and skipped"),
    )


@dataclass(frozen=True)
class ModuleRule:
    """Treats some modules apart from the rest; of several rules that match one, the last counts. A
    rule that leaves a key out leaves that as it is."""

    name: str | None = field(
        default=None,
        metadata=_doc(
            "glob of dotted module names, e.g. 'features.0.*'; for litert_static of layers, "
            "e.g. 'model/front'"
        ),
    )
    type: str | None = field(
        default=None, metadata=_doc("glob of class names, e.g. 'Linear', or of .tflite operators")
    )
    place: Literal["first", "last"] | None = field(
        default=None, metadata=_doc("the first or the last layer that has weights")
    )
    method: Literal["float", "static", "dynamic"] | None = field(
        default=None, metadata=_doc("how these modules compute; 'float' leaves them out")
    )
    weight_bits: int | None = field(
        default=None,
        metadata=_doc(
            "bits of their weights; 8 if not given, 7 for Linear, LSTM and GRU by method "
            "'dynamic' on x86",
            at_least=2,
            at_most=8,
        ),
    )
    estimator: str | None = field(
        default=None,
        metadata=_doc("range estimator of what these layers give out; for litert_static"),
    )


@dataclass(frozen=True)
class QatSpec:
    """Short quantization-aware fine-tuning on samples of the calibration role."""

    steps: int = field(metadata=_doc("optimizer steps", at_least=1))
    training_step: str | None = field(
        default=None,
        metadata=_doc(
            "'file.py:function' called as function(model, inputs, labels) and returning the loss; "
            "by default cross-entropy of the first output",
            refers="factory",
        ),
    )
    batch: int = field(default=32, metadata=_doc("samples of a step", at_least=1))
    samples: int = field(
        default=10_000, metadata=_doc("labelled samples that steps are drawn from", at_least=1)
    )
    learning_rate: float = field(
        default=1e-4, metadata=_doc("of the Adam optimizer; falls to 0 along a cosine", above=0)
    )
    freeze_after: float = field(
        default=0.5,
        metadata=_doc(
            "share of the steps after which the ranges of activations are taken again, and stay",
            at_least=0,
            at_most=1,
        ),
    )


@dataclass(frozen=True)
class QuantizeSpec:
    """How the model is compressed. A method refuses the keys it has no use for."""

    method: str = field(
        default="auto",
        metadata=_doc(
            "quantization method, or 'auto': the best on the dev samples, see verdict.md"
        ),
    )
    backend: Literal["auto", "xnnpack", "x86", "arm", "onednn", "qnnpack", "fbgemm"] = field(
        default="auto", metadata=_doc("kernels that a PyTorch artefact is made for")
    )
    bridge: str = field(
        default="first",
        metadata=_doc(
            "last bridge to the method's format; 'first': of all ways the first that holds; "
            "'auto': all are tried, and the best on the dev samples is kept"
        ),
    )
    estimator: str = field(default="minmax", metadata=_doc("activation range estimator"))
    effort: Literal["fast", "balanced", "best", "auto"] = field(
        default="fast",
        metadata=_doc(
            "how far up the ladder of remedies: ranges alone, cheap ones, all; 'auto': until the "
            "limits hold on the dev samples with a margin, see accuracy.md"
        ),
    )
    raise_to: Literal["none", "int16", "float32"] = field(
        default="none",
        metadata=_doc(
            "precision that the fewest layers are raised to where the limits do not hold on the "
            "dev samples otherwise, see accuracy.md"
        ),
    )
    input_dtype: Literal["int8", "uint8", "int16", "float32"] = field(
        default="int8", metadata=_doc("type of the artefact's inputs")
    )
    output_dtype: Literal["int8", "uint8", "int16", "float32"] = field(
        default="int8", metadata=_doc("type of the artefact's outputs")
    )
    per_channel: bool = field(default=True, metadata=_doc("one weight scale per output channel"))
    allow_float_ops: tuple[str, ...] = field(
        default=(), metadata=_doc("TFLite operators that may stay float, e.g. [LEAKY_RELU]")
    )
    select_tf_ops: bool = field(
        default=False,
        metadata=_doc("let TFLiteConverter keep operators that only TensorFlow's own kernels run"),
    )
    embeddings: bool = field(
        default=True, metadata=_doc("int8 embedding tables too, where a method can")
    )
    modules: tuple[ModuleRule, ...] = field(
        default=(), metadata=_doc("modules treated apart: left out, or quantized otherwise")
    )
    qat: QatSpec | None = field(
        default=None, metadata=_doc("quantization-aware fine-tuning; without it there is none")
    )
    seed: int = field(
        default=0, metadata=_doc("seed of everything random in the method", at_least=0)
    )


MIN_WRITTEN_OPSET = 13
"""The oldest operator set that edgekit writes."""


@dataclass(frozen=True)
class OnnxSpec:
    """What a bridge writes where it makes an ONNX model."""

    opset: int | None = field(
        default=None,
        metadata=_doc(
            "version of ONNX's operator set",
            at_least=MIN_WRITTEN_OPSET,
            default="what the exporter prefers",
        ),
    )
    free_batch: bool = field(
        default=False,
        metadata=_doc("leave the first axis of every input open; runs still feed one sample"),
    )


@dataclass(frozen=True)
class EvaluateSpec:
    """What float and quantized are compared on."""

    dataset: str = field(
        metadata=_doc("as calibration.dataset; its eval role is used", refers="dataset")
    )
    task: Literal[
        "classification", "regression", "segmentation", "detection", "transcription", "tensors"
    ] = field(
        default="classification",
        metadata=_doc("meaning of the outputs; 'tensors' compares numbers only, see metrics.md"),
    )
    metrics: tuple[str, ...] = field(
        default=(),
        metadata=_doc("what is scored, e.g. [top1, recall]", default="those of the task"),
    )
    metric: str | None = field(
        default=None,
        metadata=_doc(
            "a metric of your own, 'file.py:function' or 'package.module:function', called as "
            "function(outputs, targets); it returns one score a sample, or one number",
            refers="factory",
        ),
    )
    metric_good: Literal["higher", "lower"] | None = field(
        default=None, metadata=_doc("which way your own metric is better; goes with 'metric'")
    )
    ignore_class: int | None = field(
        default=None,
        metadata=_doc("class of pixels that are not scored, e.g. 255; for segmentation"),
    )
    box_format: Literal["xyxy", "xywh", "yxyx", "cxcywh"] = field(
        default="xyxy",
        metadata=_doc("corners, corner and size, or centre and size; for detection"),
    )
    detections: tuple[str, ...] = field(
        default=(),
        metadata=_doc(
            "outputs that hold boxes, classes and scores, in this order; for detection",
            default="the primary output holds rows of box, score, class",
        ),
    )
    ctc_blank: int | None = field(
        default=None,
        metadata=_doc(
            "class of the blank; the output is then decoded greedily; for transcription",
            default="the output holds token ids",
            at_least=0,
        ),
    )
    word_separator: int | None = field(
        default=None,
        metadata=_doc(
            "token between words; for transcription",
            default="every token is a word",
            at_least=0,
        ),
    )
    samples: int = field(
        default=400, metadata=_doc("samples of the fidelity comparison", at_least=1)
    )
    labelled: bool = field(
        default=True, metadata=_doc("also score against labels, where the data has them")
    )
    on_broken: Literal["error", "skip"] = field(default="error", metadata=_doc("as in calibration"))
    broken_max: float = field(
        default=0.01,
        metadata=_doc(
            "share of the labelled samples that may be skipped, and one in any case; beyond it "
            "the run stops",
            at_least=0,
            at_most=1,
        ),
    )


@dataclass(frozen=True)
class Recipe:
    """A whole recipe."""

    name: str = field(metadata=_doc("names the run folder", default="the file's name"))
    model: ModelSpec = field(metadata=_doc("the trained model"))
    calibration: CalibrationSpec = field(metadata=_doc("the representative dataset"))
    evaluate: EvaluateSpec = field(metadata=_doc("what it is judged on"))
    quantize: QuantizeSpec = field(default=QuantizeSpec(), metadata=_doc("how it is compressed"))
    onnx: OnnxSpec = field(default=OnnxSpec(), metadata=_doc("ONNX models made on the way"))
    schema: int = field(default=SCHEMA_VERSION, metadata=_doc("version of this format; 1"))
    summary: str = field(
        default="", metadata=_doc("one line, shown by 'recipes list'", may_be_empty=True)
    )
    preprocess: PreprocessSpec = field(
        default=PreprocessSpec(), metadata=_doc("from pixels to the input")
    )
    gate: GateSpec = field(default=GateSpec(), metadata=_doc("limits of the verdict"))
    latency: LatencySpec = field(default=LatencySpec(), metadata=_doc("host latency"))
    origin: Path | None = field(
        default=None,
        compare=False,
        metadata=_doc("file it was read from; no part of the content", internal=True),
    )
