"""Metadata: written by us, read by us and by the schema's own generated reader."""

from __future__ import annotations

import importlib.util
import io
import zipfile
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.errors import SourceError
from edgekit.fetch import fetch
from edgekit.runtimes.litert import LiteRTSession
from edgekit.tflite import flatbuffer
from edgekit.tflite.metadata import (
    AudioContent,
    Content,
    FeatureContent,
    ImageContent,
    ModelMetadata,
    Normalization,
    TensorMetadata,
)
from edgekit.tflite.metadata_read import decode, read_metadata
from edgekit.tflite.metadata_write import encode, label_files, with_metadata
from tests import tflite_models as models
from tests.tflite.graphs import with_constants_behind

READER = (
    "pypi://tflite-support==0.4.4/tensorflow_lite_support/metadata/metadata_schema_py_generated.py"
)
READER_SHA256 = "bcd857b0f5af7d74ec948e882d4d8e31f4bdd41dece562110d1ffcbd8453bf50"
LABELS = ("kit fox", "Bär", "", "d", "e")
METADATA = ModelMetadata(
    name="tiny",
    description="five classes",
    version="v2",
    author="somebody",
    license="Apache-2.0",
    inputs=(
        TensorMetadata(
            name="x",
            description="a photo",
            content=ImageContent("RGB", width=4, height=5),
            normalization=Normalization((127.5, 0.0, 1.0), (127.5, 1.0, 2.0)),
            minimum=(-1.0,),
            maximum=(1.0, 255.0, 127.0),
        ),
    ),
    outputs=(TensorMetadata(name="scores", content=FeatureContent(), labels=LABELS),),
)


@pytest.fixture(scope="module")
def written() -> bytes:
    return with_metadata(models.int8_model(), METADATA)


def test_what_is_written_is_read(written: bytes, tmp_path: Path) -> None:
    assert read_metadata(written) == METADATA
    file = tmp_path / "model.tflite"
    file.write_bytes(written)
    assert read_metadata(file) == METADATA


def test_a_model_without_any() -> None:
    assert read_metadata(models.int8_model()) is None


def test_the_model_answers_as_before(written: bytes) -> None:
    x = np.random.default_rng(0).integers(-128, 128, models.INPUT_SHAPE, np.int8)
    before, after = LiteRTSession(models.int8_model()), LiteRTSession(written)
    np.testing.assert_array_equal(before.run({"x": x})["scores"], after.run({"x": x})["scores"])
    assert after.info.inputs == before.info.inputs


def test_the_labels_can_be_read_in_place(written: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(written)) as archive:
        assert archive.testzip() is None
        (member,) = archive.infolist()
        assert member.filename == "labels.txt"
        assert member.compress_type == zipfile.ZIP_STORED
        assert archive.read(member).decode() == "\n".join(LABELS) + "\n"


def test_the_same_values_give_the_same_bytes(written: bytes) -> None:
    assert with_metadata(models.int8_model(), METADATA) == written


def test_the_buffer_is_aligned(written: bytes) -> None:
    """The schema demands it of every buffer (force_align: 16)."""
    content = encode(METADATA, label_files(METADATA))
    assert content[4:8] == b"M001"
    assert written.count(content) == 1
    assert written.index(content) % 16 == 0


def test_metadata_replaces_what_was_there(written: bytes) -> None:
    """With its files: the old zip does not stay behind."""
    other = ModelMetadata(
        name="other",
        inputs=METADATA.inputs,
        outputs=(TensorMetadata(labels=("only",)),),
    )
    again = with_metadata(written, other)
    assert read_metadata(again) == other
    assert b"kit fox" not in again
    assert len(flatbuffer.unpack(again).metadata) == 1
    assert len(flatbuffer.unpack(again).buffers) == len(flatbuffer.unpack(written).buffers)


def test_other_entries_stay() -> None:
    model = flatbuffer.unpack(models.float_model())
    entry = flatbuffer.schema().MetadataT()
    entry.name, entry.buffer = b"min_runtime_version", len(model.buffers)
    model.buffers.append(flatbuffer.schema().BufferT())
    model.buffers[-1].data = np.frombuffer(b"1.5.0\0", np.uint8)
    model.metadata = [entry]
    after = flatbuffer.unpack(with_metadata(flatbuffer.pack(model), METADATA))
    assert [flatbuffer.text(e.name) for e in after.metadata] == [
        "min_runtime_version",
        "TFLITE_METADATA",
    ]
    assert bytes(after.buffers[entry.buffer].data) == b"1.5.0\0"


def test_constants_behind_the_flatbuffer() -> None:
    """As ai-edge-quantizer writes them."""
    split = with_constants_behind(models.float_model())
    x = np.random.default_rng(0).normal(size=models.INPUT_SHAPE).astype(np.float32)
    found = LiteRTSession(with_metadata(split, METADATA)).run({"x": x})["scores"]
    np.testing.assert_allclose(found, models.reference(x, models.weights()), rtol=1e-4, atol=1e-5)


def test_two_lists_of_labels_are_two_files_and_one_list_is_one() -> None:
    ends = tuple(TensorMetadata(labels=labels) for labels in (("a",), ("b",), ("a",)))
    assert label_files(ModelMetadata(outputs=ends)) == {
        ("a",): "labels.txt",
        ("b",): "labels_2.txt",
    }
    two = ModelMetadata(inputs=METADATA.inputs, outputs=(ends[0], ends[1]))
    assert read_metadata(with_metadata(models.two_output_model(), two)) == two


def test_what_does_not_fit_the_model() -> None:
    with pytest.raises(ValueError, match="2 outputs are described, the model has 1"):
        with_metadata(models.float_model(), replace(METADATA, outputs=METADATA.outputs * 2))
    with pytest.raises(ValueError, match="is not one line"):
        label_files(ModelMetadata(outputs=(TensorMetadata(labels=("a\nb",)),)))


# Any values ---------------------------------------------------------------------------------------

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
floats = st.floats(width=32, allow_nan=False)
numbers = st.integers(0, 2**32 - 1)
contents: st.SearchStrategy[Content | None] = st.one_of(
    st.none(),
    st.just(FeatureContent()),
    st.builds(AudioContent, numbers, numbers),
    st.builds(ImageContent, st.sampled_from(["RGB", "GRAY", "unknown"]), numbers, numbers),
)
many = st.lists(floats, max_size=4).map(tuple)
some = st.lists(floats, min_size=1, max_size=4).map(tuple)
divisors = st.lists(floats.filter(bool), min_size=1, max_size=4).map(tuple)
lines = texts.filter(lambda text: text.splitlines() in ([text], []))
tensors = st.builds(
    TensorMetadata,
    texts,
    texts,
    contents,
    st.none() | st.builds(Normalization, some, divisors),
    many,
    many,
    st.lists(lines, max_size=4).map(tuple),
)
ends = st.lists(tensors, max_size=3).map(tuple)
metadata = st.builds(ModelMetadata, texts, texts, texts, texts, texts, ends, ends)


@given(metadata)
def test_any_values_come_back(value: ModelMetadata) -> None:
    files = label_files(value)
    stored = {name: ("\n".join(labels) + "\n").encode() for labels, name in files.items()}
    assert decode(encode(value, files), stored.__getitem__) == value


@given(st.data())
def test_damaged_bytes_are_an_error_or_other_values(data: st.DataObject) -> None:
    content = bytearray(encode(METADATA, label_files(METADATA)))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(content[: data.draw(st.integers(0, len(content)))])
    with suppress(ValueError):
        assert isinstance(decode(cut, lambda path: b"a\n"), ModelMetadata)


# Damage -------------------------------------------------------------------------------------------


def test_another_identifier() -> None:
    model = flatbuffer.unpack(with_metadata(models.float_model(), METADATA))
    buffer = model.buffers[model.metadata[0].buffer]
    buffer.data = np.frombuffer(bytes(buffer.data).replace(b"M001", b"M002"), np.uint8)
    with pytest.raises(SourceError, match=r"metadata of net\.tflite is damaged: .*'M002'.*'M001'"):
        read_metadata(flatbuffer.pack(model), "net.tflite")


def test_a_buffer_that_is_not_there(written: bytes) -> None:
    model = flatbuffer.unpack(written)
    model.metadata[0].buffer = 99
    with pytest.raises(SourceError, match="the buffer it names is not there"):
        read_metadata(flatbuffer.pack(model))


def test_the_label_file_is_gone_or_damaged(written: bytes) -> None:
    packed_again = flatbuffer.pack(flatbuffer.unpack(written))  # what a tool does that knows no zip
    with pytest.raises(SourceError, match=r"labels\.txt cannot be unpacked") as caught:
        read_metadata(packed_again)
    assert "remove it" in str(caught.value.hint)
    with pytest.raises(SourceError, match=r"labels\.txt cannot be unpacked: Bad CRC-32"):
        read_metadata(written.replace(b"kit fox\nB", b"kit fux\nB"))
    with pytest.raises(SourceError, match=r"names the file labels\.txt, which is not packed"):
        read_metadata(_renamed(written))
    with pytest.raises(SourceError, match="cannot read"):
        read_metadata(Path("nowhere.tflite"))


def _renamed(data: bytes) -> bytes:
    stream = io.BytesIO(flatbuffer.pack(flatbuffer.unpack(data)))
    with zipfile.ZipFile(stream, "a") as archive:
        archive.writestr("names.txt", "a\n")
    return stream.getvalue()


def test_labels_that_are_no_text(written: bytes) -> None:
    stream = io.BytesIO(flatbuffer.pack(flatbuffer.unpack(written)))
    with zipfile.ZipFile(stream, "a") as archive:
        archive.writestr("labels.txt", b"\xff\xfe")
    with pytest.raises(SourceError, match=r"labels\.txt is not UTF-8 text"):
        read_metadata(stream.getvalue())


# Others' reader -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def generated() -> Any:
    """The schema's generated module, as tflite-support ships it."""
    file = fetch(READER, sha256=READER_SHA256)
    spec = importlib.util.spec_from_file_location("metadata_schema_py_generated", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _buffer(data: bytes) -> bytearray:
    model = flatbuffer.unpack(data)
    (entry,) = model.metadata
    assert entry.name == b"TFLITE_METADATA"
    return bytearray(model.buffers[entry.buffer].data)


@pytest.mark.network
def test_the_schemas_own_reader_reads_it(generated: Any, written: bytes) -> None:
    buffer = _buffer(written)
    assert generated.ModelMetadata.ModelMetadataBufferHasIdentifier(buffer, 0)
    model = generated.ModelMetadataT.InitFromObj(
        generated.ModelMetadata.GetRootAsModelMetadata(buffer, 0)
    )
    assert (model.name, model.description) == (b"tiny", b"five classes")
    assert (model.version, model.author) == (b"v2", b"somebody")
    assert (model.license, model.minParserVersion) == (b"Apache-2.0", b"1.0.0")
    (subgraph,) = model.subgraphMetadata
    (image,) = subgraph.inputTensorMetadata
    assert (image.name, image.description) == (b"x", b"a photo")
    assert image.content.contentPropertiesType == generated.ContentProperties.ImageProperties
    properties = image.content.contentProperties
    assert properties.colorSpace == generated.ColorSpaceType.RGB
    assert (properties.defaultSize.width, properties.defaultSize.height) == (4, 5)
    (unit,) = image.processUnits
    assert unit.optionsType == generated.ProcessUnitOptions.NormalizationOptions
    assert list(unit.options.mean) == [127.5, 0.0, 1.0]
    assert list(unit.options.std) == [127.5, 1.0, 2.0]
    assert list(image.stats.min) == [-1.0]
    assert list(image.stats.max) == [1.0, 255.0, 127.0]
    (scores,) = subgraph.outputTensorMetadata
    assert scores.content.contentPropertiesType == generated.ContentProperties.FeatureProperties
    (labels,) = scores.associatedFiles
    assert labels.name == b"labels.txt"
    assert labels.type == generated.AssociatedFileType.TENSOR_AXIS_LABELS


@pytest.mark.network
def test_audio_asks_for_the_parser_that_knows_it(generated: Any) -> None:
    sound = ModelMetadata(
        inputs=(TensorMetadata(content=AudioContent(22050, 1)),), outputs=(TensorMetadata(),)
    )
    model = generated.ModelMetadataT.InitFromObj(
        generated.ModelMetadata.GetRootAsModelMetadata(bytearray(encode(sound, {})), 0)
    )
    assert model.minParserVersion == b"1.3.0"
    content = model.subgraphMetadata[0].inputTensorMetadata[0].content
    assert content.contentPropertiesType == generated.ContentProperties.AudioProperties
    assert content.contentProperties.sampleRate == 22050
    assert content.contentProperties.channels == 1


@pytest.mark.network
@given(value=metadata)
def test_what_the_schemas_own_writer_writes_is_read(generated: Any, value: ModelMetadata) -> None:
    """Through its objects: read by them, packed by them, read by us."""
    import flatbuffers

    files = label_files(value)
    stored = {name: ("\n".join(labels) + "\n").encode() for labels, name in files.items()}
    root = generated.ModelMetadata.GetRootAsModelMetadata(bytearray(encode(value, files)), 0)
    builder = flatbuffers.Builder(0)
    builder.Finish(generated.ModelMetadataT.InitFromObj(root).Pack(builder), b"M001")
    assert decode(bytes(builder.Output()), stored.__getitem__) == value
