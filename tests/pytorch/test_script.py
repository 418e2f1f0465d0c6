"""TorchScript files: what is written, what is not, and what is refused."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from edgekit.cache import Cache
from edgekit.errors import ConversionError, MismatchError
from edgekit.pytorch.baseline import float_baseline
from edgekit.pytorch.description import FILE, Description, describe
from edgekit.pytorch.script import RUNTIME, example, save
from edgekit.pytorch.script_fixed import Fixed
from edgekit.recipe.schema import InputSpec
from edgekit.types import ArtefactFormat
from tests.methods.torch_jobs import torch_source

ROWS = InputSpec("rows", (1, 4))
DESCRIPTION = describe((ROWS,), ("output",), kept_float={})


class Dense(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.head = nn.Linear(4, 3)

    def forward(self, rows: Tensor) -> Tensor:
        answer: Tensor = self.head(rows)
        return answer


class Branching(Dense):
    def forward(self, rows: Tensor) -> Tensor:
        return super().forward(rows) if rows.sum() > 0 else rows[:, :3]


def test_the_file_holds_module_and_description_only(tmp_path: Path) -> None:
    module, rows = Dense(), torch.ones(1, 4)
    file = tmp_path / "model.ts"
    assert save(module, [(rows,)], DESCRIPTION, file) == Fixed()
    torch.testing.assert_close(torch.jit.load(str(file))(rows), module(rows))
    with zipfile.ZipFile(file) as archive:
        names = archive.namelist()
        content = b"".join(archive.read(name) for name in names)
    assert f"archive/extra/{FILE}" in names
    assert not [name for name in names if "traced_inputs" in name or name.endswith("debug_pkl")]
    assert str(Path(__file__).parent).encode() not in content
    assert [path.name for path in tmp_path.iterdir()] == ["model.ts"]


def test_operators_of_a_later_file_format_are_written_too(tmp_path: Path) -> None:
    module, rows, file = nn.Sequential(Dense(), nn.GELU()), torch.ones(1, 4), tmp_path / "model.ts"
    save(module, [(rows,)], DESCRIPTION, file)
    torch.testing.assert_close(torch.jit.load(str(file))(rows), module(rows))


@pytest.mark.slow
def test_the_same_module_gives_the_same_bytes_in_another_process(
    tmp_path: Path, repository: Path
) -> None:
    """In one process torch numbers the types it has traced before."""
    program = (
        "import sys; from pathlib import Path; import torch\n"
        "from tests.pytorch.test_script import DESCRIPTION, Dense, save\n"
        "save(Dense(), [(torch.ones(1, 4),)], DESCRIPTION, Path(sys.argv[1]))"
    )
    for name in ("a", "b"):
        command = [sys.executable, "-c", program, str(tmp_path / name)]
        subprocess.run(command, check=True, cwd=repository, stderr=subprocess.DEVNULL)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_path_that_values_choose_is_refused_whatever_the_examples_do(tmp_path: Path) -> None:
    with pytest.raises(
        ConversionError, match=r"path of Branching.*test_script\.py:\d+ \(ret"
    ) as at:
        save(Branching(), [(torch.ones(1, 4),)], DESCRIPTION, tmp_path / "model.ts")
    assert "torch.where" in str(at.value.hint)
    assert not (tmp_path / "model.ts").exists()


def test_a_number_read_from_the_input_is_refused_once_it_differs(tmp_path: Path) -> None:
    class Reading(Dense):
        def forward(self, rows: Tensor) -> Tensor:
            return super().forward(rows) * (2 if rows.max().item() > 5 else 1)

    ones, twos = torch.ones(1, 4), 2 * torch.ones(1, 4)
    fixed = save(Reading(), [(ones,), (ones,)], DESCRIPTION, tmp_path / "model.ts")
    assert "rows.max().item()" in fixed.values[0]
    with pytest.raises(ConversionError, match=r"a number of Reading.*test_script\.py"):
        save(Reading(), [(ones,), (twos,)], DESCRIPTION, tmp_path / "other.ts")


def test_sizes_checks_and_constants_are_no_paths(tmp_path: Path) -> None:
    class Careful(Dense):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("flag", torch.tensor(True))

        def forward(self, rows: Tensor) -> Tensor:
            assert rows.shape[1] == 4
            if rows.shape[0] > 7:
                rows = rows[:7]
            assert (rows < 1e9).all(), "large"
            if rows.isnan().any() or (rows.isinf().any()):
                raise ValueError("not finite")
            return super().forward(rows) if self.flag else rows

    fixed = save(Careful(), [(torch.ones(1, 4),)], DESCRIPTION, tmp_path / "model.ts")
    assert len(fixed.values) == 2
    assert all(word in str(fixed.values) for word in ("1e9", "isnan"))
    assert any("rows.shape[0] > 7" in line for line in fixed.sizes)


def test_torch_layers_that_compare_sizes_are_no_paths(tmp_path: Path) -> None:
    class Layers(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = nn.LSTM(4, 4, batch_first=True)
            self.attention = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)

        def forward(self, rows: Tensor) -> Tensor:
            states, _ = self.rnn(rows[:, None].expand(-1, 3, -1))
            answer: Tensor = self.attention(states)
            return answer

    examples = [(torch.ones(1, 4),), (-torch.ones(1, 4),)]
    assert save(Layers().eval(), examples, DESCRIPTION, tmp_path / "model.ts") == Fixed()


def test_state_that_changes_between_calls_is_found_by_the_answers(tmp_path: Path) -> None:
    class Counting(Dense):
        calls = 0

        def forward(self, rows: Tensor) -> Tensor:
            self.calls += 1
            return super().forward(rows) * self.calls

    with pytest.raises(MismatchError, match="answers otherwise") as caught:
        save(Counting(), [(torch.ones(1, 4),)], DESCRIPTION, tmp_path / "model.ts")
    assert "pt2e" in str(caught.value.hint)
    assert not (tmp_path / "model.ts").exists()


def test_what_cannot_be_traced_is_told_in_a_line(tmp_path: Path) -> None:
    class Texts(nn.Module):
        def forward(self, rows: Tensor) -> str:
            return "text"

    with pytest.raises(ConversionError, match="Texts cannot be traced"):
        save(Texts(), [(torch.ones(1, 4),)], DESCRIPTION, tmp_path / "model.ts")


def test_the_float_baseline_is_made_once(tmp_path: Path) -> None:
    source = torch_source(Dense().eval(), (ROWS,))
    rows = torch.ones(1, 4)
    written = []

    def write(path: Path, description: Description) -> None:
        written.append(path)
        save(source.value, [(rows,)], description, path)

    baseline, again = (
        float_baseline(source, ArtefactFormat.TORCHSCRIPT, RUNTIME, write, cache=Cache(tmp_path))
        for _ in range(2)
    )
    assert again.files == baseline.files
    assert len(written) == 1
    with baseline.open_session(1) as session:
        assert session.info.runtime == "torchscript"
        found = session.run({"rows": rows.numpy()})["output"]
    torch.testing.assert_close(torch.from_numpy(found), source.value(rows).detach())
    assert baseline.size_bytes == baseline.files["model"].stat().st_size


def test_examples_are_permuted_to_the_modules_layout() -> None:
    import numpy as np

    image = np.arange(24, dtype=np.float32).reshape(1, 2, 4, 3)
    (tensor,) = example({"image": image}, (InputSpec("image", (1, 3, 2, 4), layout="NCHW"),))
    assert tuple(tensor.shape) == (1, 3, 2, 4)
    assert float(tensor[0, 2, 1, 3]) == image[0, 1, 3, 2]
