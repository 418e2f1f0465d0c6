"""The MiniLM encoder, held to the BERT that its weights were trained in."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch.nn import functional

from edgekit.zoo.minilm import MiniLMSentiment, minilm_sentiment

TOKENS = 12


@pytest.fixture(scope="module")
def model() -> Iterator[MiniLMSentiment]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield minilm_sentiment().eval()


@pytest.fixture(scope="module")
def text() -> tuple[torch.Tensor, torch.Tensor]:
    """Two texts, of 12 and of 5 tokens."""
    ids = torch.randint(30522, (2, TOKENS), generator=torch.Generator().manual_seed(0))
    mask = torch.ones(2, TOKENS, dtype=torch.int64)
    mask[1, 5:] = 0
    return ids, mask


def test_its_names_and_shapes_are_the_checkpoints(model: MiniLMSentiment) -> None:
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    assert len(shapes) == 103  # the checkpoint's 104 without pooler and positions, and the head
    for name, shape in {
        "embeddings.word_embeddings.weight": (30522, 384),
        "embeddings.position_embeddings.weight": (512, 384),
        "embeddings.token_type_embeddings.weight": (2, 384),
        "embeddings.LayerNorm.bias": (384,),
        "encoder.layer.0.attention.self.query.weight": (384, 384),
        "encoder.layer.5.attention.output.LayerNorm.weight": (384,),
        "encoder.layer.5.intermediate.dense.weight": (1536, 384),
        "encoder.layer.5.output.dense.weight": (384, 1536),
        "classifier.weight": (2, 384),
    }.items():
        assert shapes[name] == shape


def test_it_computes_what_bert_of_transformers_computes(
    model: MiniLMSentiment, text: tuple[torch.Tensor, torch.Tensor]
) -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.BertConfig(
        vocab_size=30522,
        hidden_size=384,
        num_hidden_layers=6,
        num_attention_heads=12,
        intermediate_size=1536,
        max_position_embeddings=512,
    )
    bert = transformers.BertModel(config, add_pooling_layer=False).eval()
    state = model.state_dict()
    own = {name: value for name, value in state.items() if not name.startswith("classifier.")}
    bert.load_state_dict(own, strict=True)
    ids, mask = text
    with torch.inference_mode():
        tokens = bert(input_ids=ids, attention_mask=mask).last_hidden_state
        means = torch.stack([tokens[0].mean(0), tokens[1, :5].mean(0)])
        expected = functional.normalize(means)
        torch.testing.assert_close(model.embed(ids, mask), expected, rtol=1e-4, atol=1e-5)


def test_embeddings_have_length_one_and_the_head_reads_them(
    model: MiniLMSentiment, text: tuple[torch.Tensor, torch.Tensor]
) -> None:
    with torch.inference_mode():
        embedded = model.embed(*text)
        torch.testing.assert_close(embedded.norm(dim=1), torch.ones(2))
        torch.testing.assert_close(model(*text), model.classifier(embedded))


def test_padding_plays_no_part(
    model: MiniLMSentiment, text: tuple[torch.Tensor, torch.Tensor]
) -> None:
    ids, mask = text
    other = torch.where(mask == 1, ids, 7)
    with torch.inference_mode():
        expected = model.embed(ids, mask)
        torch.testing.assert_close(model.embed(other, mask), expected)
        alone = model.embed(ids[1:, :5], mask[1:, :5])
        torch.testing.assert_close(alone, expected[1:])
        assert not torch.allclose(model.embed(ids, torch.ones_like(mask))[1], expected[1])


def test_a_text_without_tokens_gives_numbers(model: MiniLMSentiment) -> None:
    zeros = torch.zeros(1, TOKENS, dtype=torch.int64)
    with torch.inference_mode():
        assert bool(torch.isfinite(model(zeros, zeros)).all())


def test_a_traced_and_an_exported_one_answer_alike(
    model: MiniLMSentiment, text: tuple[torch.Tensor, torch.Tensor]
) -> None:
    ids, mask = (part[1:] for part in text)
    with torch.inference_mode():
        expected = model(ids, mask)
        # Traced on another text: nothing of it may stay behind.
        traced = torch.jit.trace(model, (torch.zeros_like(ids), torch.ones_like(mask)))
        torch.testing.assert_close(traced(ids, mask), expected)
    exported = torch.export.export(model, (ids, mask)).module()
    torch.testing.assert_close(exported(ids, mask), expected)
