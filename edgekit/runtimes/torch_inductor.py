"""ExportedPrograms (``.pt2``) compiled for this CPU by AOTInductor, for timing.

A program is compiled once for its content, the versions of torch and torchao, the CPU and the
number of threads; the result is kept in edgekit's cache. Its answers are compared with those of the
program itself when it is made, since kernels may be fast and wrong.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.cache import Cache, content_key, file_sha256
from edgekit.capture import captured_output
from edgekit.errors import SessionError, UsageError
from edgekit.numerics.fidelity import fidelity
from edgekit.pytorch.description import Description
from edgekit.runtimes.cause import condensed_cause
from edgekit.runtimes.predict import predict
from edgekit.runtimes.session import SessionInfo
from edgekit.runtimes.torch_export import (
    installed,
    load_program,
    read_program_description,
    refuse_signature,
    register_operators,
)
from edgekit.runtimes.torch_export import (
    open_file as open_uncompiled,
)
from edgekit.runtimes.torch_module import TorchSession
from edgekit.sources.pytorch import require_torch
from edgekit.types import Array, Sample

if TYPE_CHECKING:
    import torch

RUNTIME = "torch_inductor"
AGREES_DB = 16.0
"""Least SQNR of the compiled answers against the program's own. On a CPU without INT8 dot product
MobileNetV2 gives 20 dB with weights of 7 bits, which cannot saturate, and 3 to 13 with 8."""
_PACKAGE = "compiled.pt2"
_FINDINGS = "findings.json"
# Raise when the same program would be compiled otherwise.
_REVISION = 1
_TRIAL = "#include <cmath>\n#include <vector>\nint main() { return 0; }\n"
_TRIAL_LIMIT_S = 60


@cache
def can_compile() -> bool:
    """Whether there is a C++ compiler that compiles a small program with the standard library."""
    compiler = shutil.which(os.environ.get("CXX", "g++")) or shutil.which("clang++")
    if compiler is None:
        return False
    try:
        tried = subprocess.run(
            [compiler, "-x", "c++", "-std=c++17", "-fsyntax-only", "-"],
            input=_TRIAL.encode(),
            capture_output=True,
            timeout=_TRIAL_LIMIT_S,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return tried.returncode == 0


def open_file(path: Path, *, threads: int, signature: str | None) -> TorchSession:
    """Open a ``.pt2``, compiled, which takes about half a minute at the first time.

    Raises:
        SessionError: it cannot be compiled here, or as ``torch_export.open_file``.
        UsageError, MissingError: as ``torch_export.open_file``.
    """
    refuse_signature(path, signature)
    if threads < 1:
        raise UsageError(f"threads must be at least 1, not {threads}")
    description = read_program_description(path)
    if not can_compile():
        raise SessionError(
            "compiling a PyTorch program needs a C++ compiler that works, and there is none",
            hint="Install g++, or name another in the environment variable CXX.",
        )
    torch = require_torch()
    key = content_key(
        {
            "program": file_sha256(path),
            "torch": str(torch.__version__),
            "torchao": installed("torchao"),
            "cpu": _cpu(),
            "threads": threads,
            "revision": _REVISION,
        }
    )
    made = Cache().get_or_make(
        "compiled", key, lambda folder: _compile(path, folder, description, threads)
    )
    if "torchao" in description.tools:
        register_operators(path.name, description)
    findings = json.loads((made.path / _FINDINGS).read_text(encoding="utf-8"))
    return _open_package(made.path / _PACKAGE, description, threads, findings["sqnr_db"])


def _compile(path: Path, folder: Path, description: Description, threads: int) -> None:
    """Write the compiled program into ``folder``, and how well it agrees with the program."""
    import torch

    program, _ = load_program(path)
    failure: Exception | None = None
    quantized = "torchao" in description.tools
    with captured_output() as output, _compiling_for(threads, quantized):
        if quantized and platform.machine() in ("x86_64", "AMD64"):
            _as_unsigned(program.graph_module)
        try:
            # Compiled code takes the memory layout for granted that its program was traced with.
            traced = torch.export.export(program.module(check_guards=False), _examples(description))
            torch._inductor.aoti_compile_and_package(traced, package_path=str(folder / _PACKAGE))
        except Exception as error:  # noqa: BLE001 - the compiler's depths raise many types
            failure = error
        said = output.tail(3)
    if failure is not None:
        cause = condensed_cause(f"{type(failure).__name__}: {failure}", said)
        raise SessionError(f"{path.name} cannot be compiled: {cause}") from failure
    sample = Sample("noise", "noise", _noise(description))
    with (
        open_uncompiled(path, threads=threads, signature=None) as reference,
        _open_package(folder / _PACKAGE, description, threads, None) as compiled,
    ):
        found = fidelity(
            predict(reference, [sample]),
            predict(compiled, [sample]),
            primary=description.outputs[0],
            classification=False,
        )
    findings = {"sqnr_db": min(output.sqnr_db for output in found.outputs.values())}
    (folder / _FINDINGS).write_text(json.dumps(findings), encoding="utf-8")


@contextmanager
def _compiling_for(threads: int, quantized: bool) -> Iterator[None]:
    """Inductor set for CPU inference, its own files away from the user's folders."""
    import torch
    import torch._inductor.config as config

    if quantized:
        # Registers the patterns that make INT8 kernels of quantize, operator, dequantize.
        import torchao.quantization.pt2e.quantizer.x86_inductor_quantizer  # noqa: F401

    variable = "TORCHINDUCTOR_CACHE_DIR"
    before, threads_before = os.environ.get(variable), torch.get_num_threads()
    settings = {
        "freezing": True,  # weights become constants, laid out as the kernels want them
        "compile_threads": 1,  # more would leave worker processes behind
        "cpp_cache_precompile_headers": False,  # they are kept in a folder of their own
        "aot_inductor.precompile_headers": False,
    }
    with (
        tempfile.TemporaryDirectory(prefix="edgekit-inductor-") as own,
        warnings.catch_warnings(),
        torch.no_grad(),
        config.patch(settings),
    ):
        warnings.simplefilter("ignore")
        os.environ[variable] = own
        torch.set_num_threads(threads)
        try:
            yield
        finally:
            torch.set_num_threads(threads_before)
            if before is None:
                os.environ.pop(variable, None)
            else:
                os.environ[variable] = before


def _as_unsigned(graph: torch.fx.GraphModule) -> None:
    """Hold int8 activations as uint8, 128 higher, in place: the same numbers exactly.

    The kernels of x86 multiply unsigned activations by signed weights and refuse other ones.
    """
    import torch

    quantize = torch.ops.quantized_decomposed.quantize_per_tensor.default
    dequantize = torch.ops.quantized_decomposed.dequantize_per_tensor.default
    for node in graph.graph.nodes:
        if node.target is not quantize or node.args[5] is not torch.int8:
            continue
        if any(user.target is not dequantize for user in node.users):
            continue  # an operator works on the stored integers: their type is its business
        for end in (node, *node.users):
            tensor, scale, zero_point, low, high, _ = end.args
            end.args = (tensor, scale, zero_point + 128, low + 128, high + 128, torch.uint8)
        if "val" in node.meta:
            node.meta["val"] = node.meta["val"].to(torch.uint8)
    graph.recompile()


def _open_package(
    package: Path, description: Description, threads: int, sqnr_db: float | None
) -> TorchSession:
    import torch

    try:
        with captured_output():
            module = torch._inductor.aoti_load_package(str(package))
    except Exception as error:  # RuntimeError, OSError from a loader that says little
        raise SessionError(
            f"the compiled program cannot be loaded: {condensed_cause(str(error))}"
        ) from error
    return _CompiledSession(module, description, threads, sqnr_db)


def _examples(description: Description) -> tuple[torch.Tensor, ...]:
    """Zeros in the memory layout that ``TorchSession`` feeds: compiled code relies on it."""
    import torch

    def zeros(shape: tuple[int, ...], dtype: str, layout: str) -> torch.Tensor:
        made = torch.zeros(shape, dtype=getattr(torch, dtype))
        return made.to(memory_format=torch.channels_last) if layout == "NCHW" else made

    return tuple(zeros(spec.shape, spec.dtype, spec.layout) for spec in description.inputs)


def _noise(description: Description) -> dict[str, Array]:
    """Repeatable feeds, channels-last: normal noise, ones where an input takes integers."""
    rng = np.random.default_rng(0)
    feeds: dict[str, Array] = {}
    for spec in description.inputs:
        shape = tuple(spec.shape)
        if spec.layout == "NCHW":
            shape = (shape[0], *shape[2:], shape[1])
        floating = np.dtype(spec.dtype).kind == "f"
        feeds[spec.name] = (
            rng.normal(size=shape).astype(spec.dtype) if floating else np.ones(shape, spec.dtype)
        )
    return feeds


def _cpu() -> str:
    """What compiled code may rely on: the architecture and the features it was compiled for."""
    import torch

    return f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()} {_cpu_flags()}"


@cache
def _cpu_flags() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor()
    return next((line for line in lines if line.lower().startswith(("flags", "features"))), "")


class _CompiledSession(TorchSession):
    """A session of fixed shapes that says how it was made."""

    def __init__(
        self, module: Any, description: Description, threads: int, sqnr_db: float | None
    ) -> None:
        super().__init__(
            module,
            description.inputs,
            description.outputs,
            threads,
            runtime_name=RUNTIME,
            one_by_one=True,  # compiled for one batch
        )
        self._sqnr_db = sqnr_db

    @cached_property
    def info(self) -> SessionInfo:
        plain = super().info
        caveat = None
        if self._sqnr_db is not None and self._sqnr_db < AGREES_DB:
            caveat = (
                f"compiled to kernels that answer otherwise than the program itself "
                f"({self._sqnr_db:.1f} dB SQNR on noise): on an x86 CPU without INT8 dot product "
                "they saturate where weights use all of 8 bits"
            )
        return replace(plain, version=f"{plain.version}, inductor", caveat=caveat)


__all__ = ["AGREES_DB", "RUNTIME", "can_compile", "open_file"]
