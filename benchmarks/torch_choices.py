"""Print the tables in docs/ that the choices of PyTorch's methods rest on, measured on dev samples.

``python -m benchmarks.torch_choices --part fx``
"""

from __future__ import annotations

import copy
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import TYPE_CHECKING, Any

import click
import numpy as np
from rich.table import Table

from benchmarks.context import circumstances, conclude, headline, new_console, say
from edgekit.measure.host import this_host

if TYPE_CHECKING:
    from benchmarks.torch_dev import DevModel

LIBRARIES = ("torch", "torchao", "litert-torch", "tokenizers", "numpy", "pillow")
ESTIMATORS = ("minmax", "mean_minmax")
LABELLED_SAMPLES = 1000
"""Of texts and small pictures, for which they are no great work."""


def fx(folder: Path) -> list[Table]:
    """FX graph mode: engines, estimators, and kernels that are wrong."""
    from benchmarks.torch_dev import open_dev_model, quality, quality_table, quantized
    from edgekit.pytorch.engines import supported_engines

    model = open_dev_model("mobilenet_fx")
    rows = {}
    for engine in supported_engines():
        for estimator in ESTIMATORS:
            name = f"{engine}, {estimator}"
            say(f"FX: {name}")
            made = quantized(model, folder / name, backend=engine, estimator=estimator)
            rows[name] = quality(model, made.artefact)
    return [quality_table(f"MobileNetV2, {len(model.dev)} dev samples", rows), kernels()]


def kernels() -> Table:
    """Modules alone on random values, their weights per tensor, beside their own references."""
    import torch
    from torch import nn

    from edgekit.pytorch.engines import supported_engines

    torch.manual_seed(0)
    x = torch.randn(8, 16, 12, 12)
    transposed = nn.ConvTranspose2d(16, 16, 2, stride=2, groups=16)
    rows: dict[str, tuple[nn.Module, torch.Tensor]] = {
        "PReLU()": (nn.PReLU(), x),
        "PReLU(16)": (nn.PReLU(16), x),
        "ConvTranspose2d(16, 8, 2, stride=2)": (nn.ConvTranspose2d(16, 8, 2, stride=2), x),
        "ConvTranspose2d(16, 16, 2, stride=2, groups=16)": (transposed, x),
        "ReLU6(), contiguous": (nn.ReLU6(), x),
        "ReLU6(), channels-last": (nn.ReLU6(), x.to(memory_format=torch.channels_last)),
    }
    table = Table("SQNR dB from its reference", *supported_engines(), title="Kernels of FX")
    for name, (module, given) in rows.items():
        found = [f"{_kernel_db(module, given, engine):.1f}" for engine in supported_engines()]
        table.add_row(name, *found)
    return table


def _kernel_db(module: Any, x: Any, engine: str) -> float:
    import torch
    from torch.ao.quantization import MinMaxObserver, QConfig, get_default_qconfig_mapping
    from torch.ao.quantization.quantize_fx import convert_fx, convert_to_reference_fx, prepare_fx

    from edgekit.pytorch.export import quiet_warnings
    from edgekit.runtimes.torchscript import on_engine

    mapping = get_default_qconfig_mapping("qnnpack")
    # Pairs of 7 bits and 8 fit int16: what is wrong here is no saturation.
    weight = MinMaxObserver.with_args(
        dtype=torch.qint8, qscheme=torch.per_tensor_symmetric, quant_min=-63, quant_max=63
    )
    activation = MinMaxObserver.with_args(dtype=torch.quint8)
    config: Any = QConfig  # untyped
    mapping.set_object_type(torch.nn.ConvTranspose2d, config(activation, weight))
    with on_engine(engine, "the module"), quiet_warnings(), torch.inference_mode():
        network = torch.nn.Sequential(copy.deepcopy(module)).eval()
        prepared = prepare_fx(network, mapping, (x,))
        prepared(x)
        wanted = convert_to_reference_fx(copy.deepcopy(prepared))(x)
        noise = (wanted - convert_fx(prepared)(x)).square().sum()
    return float(10 * torch.log10(wanted.square().sum() / noise))


def pt2e(folder: Path) -> list[Table]:
    """PT2E: estimators."""
    from benchmarks.torch_dev import open_dev_model, quality, quality_table, quantized

    tables = []
    for recipe, methods in (
        ("mobilenet_pt2e", ("pt2e", "pt2e_tflite")),
        ("efficientnet_lite0_int8", ("pt2e",)),
    ):
        model = open_dev_model(recipe)
        rows = {}
        for method in methods:
            for estimator in ESTIMATORS:
                name = f"{method}, {estimator}"
                say(f"{recipe}: {name}")
                made = quantized(model, folder / recipe / name, method=method, estimator=estimator)
                rows[name] = quality(model, made.artefact)
        tables.append(quality_table(f"{recipe}, {len(model.dev)} dev samples", rows))
    return tables


def lite0(folder: Path) -> list[Table]:
    """PT2E: edgekit's quantizer beside litert-torch's, both with exact extremes."""
    from benchmarks.torch_dev import (
        open_dev_model,
        quality,
        quality_of,
        quality_table,
        quantized,
    )

    model = open_dev_model("efficientnet_lite0_int8")
    rows = {}
    ways: dict[str, dict[str, Any]] = {
        "litert-torch's, weights per tensor": {"per_channel": False},
        "litert-torch's, weights per channel": {},
        "... smallest weight scale 2^-20": {"weight_eps": 2.0**-20},
        "... per channel, the clamp fused": {"fuse_clamps": True},
    }
    for name, options in ways.items():
        say(f"EfficientNet-Lite0: {name}")
        rows[name] = quality_of(model, by_litert_torch(model, **options))
    say("EfficientNet-Lite0: edgekit")
    made = quantized(model, folder, method="pt2e", estimator="minmax")
    rows["edgekit's, weights per channel"] = quality(model, made.artefact)
    return [quality_table(f"EfficientNet-Lite0, {len(model.dev)} dev samples", rows)]


def by_litert_torch(
    model: DevModel,
    *,
    per_channel: bool = True,
    weight_eps: float = 2.0**-12,
    fuse_clamps: bool = False,
) -> np.ndarray:
    """Answers [N, classes] of PT2E with litert-torch's quantizer and observers of exact extremes.

    ``fuse_clamps`` shows the quantizer a ReLU, which it fuses, wherever the model has a ReLU6.
    """
    from edgekit.pytorch.export import export_source, load_torchao, quiet_warnings, torch_threads

    load_torchao()  # before anything else loads it, and says so
    from litert_torch.quantize.pt2e_quantizer import (
        PT2EQuantizer,
        get_symmetric_quantization_config,
    )
    from torchao.quantization.pt2e.observer import MinMaxObserver, PerChannelMinMaxObserver
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    from benchmarks.direct_torch import answers, calibrate
    from benchmarks.torch_dev import threads
    from edgekit.pytorch.script import example

    config = get_symmetric_quantization_config(is_per_channel=per_channel)
    kind = PerChannelMinMaxObserver if per_channel else MinMaxObserver
    activation = replace(
        config.input_activation,
        observer_or_fake_quant_ctr=MinMaxObserver.with_args(eps=2.0**-12),
    )
    weight = replace(config.weight, observer_or_fake_quant_ctr=kind.with_args(eps=weight_eps))
    config = replace(
        config, input_activation=activation, output_activation=activation, weight=weight
    )
    inputs = model.source.inputs
    with torch_threads(threads()), quiet_warnings():
        graph: Any = export_source(model.source).module(check_guards=False)
        clamps = _clamps_to_relus(graph) if fuse_clamps else {}
        prepared = prepare_pt2e(graph, PT2EQuantizer().set_global(config))
        _relus_to_clamps(prepared, clamps)
        calibrate(prepared, [example(sample.feeds, inputs) for sample in model.calibration])
        converted = convert_pt2e(prepared)
        return answers(converted, [example(sample.feeds, inputs) for sample in model.dev])


def _clamps_to_relus(graph: Any) -> dict[str, tuple[Any, ...]]:
    """In place; the limits of each by the name of its node."""
    import torch

    limits = {}
    for node in graph.graph.nodes:
        if node.target in (torch.ops.aten.hardtanh.default, torch.ops.aten.hardtanh_.default):
            limits[node.name] = node.args[1:]
            node.target, node.args = torch.ops.aten.relu.default, node.args[:1]
    graph.recompile()
    return limits


def _relus_to_clamps(graph: Any, limits: dict[str, tuple[Any, ...]]) -> None:
    import torch

    for node in graph.graph.nodes:
        if node.name in limits:
            node.target = torch.ops.aten.hardtanh.default
            node.args = (node.args[0], *limits[node.name])
    graph.recompile()


def dynamic(folder: Path) -> list[Table]:
    """Dynamic INT8: bits of weights and activations, and torchao's product."""
    from benchmarks.torch_dev import open_dev_model, quality, quality_table, quantized
    from edgekit.recipe.schema import ModuleRule

    model = open_dev_model("minilm_dynamic", LABELLED_SAMPLES)
    eight = (ModuleRule(type="Linear", weight_bits=8),)
    rows = {}
    ways: dict[str, dict[str, Any]] = {
        "weights 7 bits per channel, activations 8": {},
        "weights 8 bits per channel, activations 7": {"modules": eight},
        "weights 8 bits per tensor, activations 7": {"modules": eight, "per_channel": False},
    }
    for name, options in ways.items():
        say(f"MiniLM: {name}")
        made = quantized(model, folder / name, backend="x86", **options)
        rows[name] = quality(model, made.artefact)
    return [quality_table(f"MiniLM, {len(model.dev)} dev samples", rows), products()]


def products() -> Table:
    """A product of MiniLM's size in float and by what torchao multiplies with, one thread."""
    import torch

    from benchmarks.direct_torch import time_in_turns
    from edgekit.pytorch.export import torch_threads

    a, b = torch.randint(-9, 9, (64, 384)), torch.randint(-9, 9, (384, 1536))
    narrow, wide = [x.to(torch.int8) for x in (a, b)], [x.float() for x in (a, b)]
    with torch_threads(1):
        times = time_in_turns(
            {
                "float": (lambda: torch.mm(*wide), 10),
                "aten._int_mm": (lambda: torch._int_mm(*narrow), 10),
            },
            rounds=5,
        )
    table = Table("64 x 384 by 384 x 1536, 1 thread", "median ms", title="Products")
    for name, each in times.items():
        table.add_row(name, f"{np.median(each):.2f}")
    return table


def qat(folder: Path) -> list[Table]:
    """Fine-tuning: what the recipe's steps and rate win back."""
    from benchmarks.torch_dev import open_dev_model, quality, quality_table, quantized
    from edgekit.methods.fine_tuning import WITHOUT

    model = open_dev_model("fashion_qat", LABELLED_SAMPLES)
    say("fashion_qat")
    made = quantized(model, folder)
    artefacts = {WITHOUT: made.alternatives[WITHOUT], "fine-tuned": made.artefact}
    rows = {name: quality(model, artefact) for name, artefact in artefacts.items()}
    return [quality_table(f"fashion_qat, {len(model.dev)} dev samples", rows)]


PARTS: dict[str, Callable[[Path], list[Table]]] = {
    "fx": fx,
    "pt2e": pt2e,
    "lite0": lite0,
    "dynamic": dynamic,
    "qat": qat,
}


@click.command()
@click.option("--part", type=click.Choice([*PARTS, "all"]), default="all", show_default=True)
def main(part: str) -> None:
    """Measure on dev samples what the choices of PyTorch's methods rest on."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as edgekit sets it, before torch comes
    command = f"python -m benchmarks.torch_choices --part {part}"
    context = circumstances(command, this_host(), LIBRARIES)
    console = new_console()
    console.print(headline(context), markup=False)
    for name in PARTS if part == "all" else [part]:
        start = perf_counter()
        with TemporaryDirectory() as folder:
            for table in PARTS[name](Path(folder)):
                console.print(table)
        say(f"{name} took {perf_counter() - start:.0f} s")
    conclude(console, context, (), None)


if __name__ == "__main__":
    main()
