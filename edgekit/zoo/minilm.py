"""Sentiment of a sentence: the MiniLM-L6 sentence encoder with a linear head.

The encoder is BERT (Devlin et al. 2018, arXiv:1810.04805) at MiniLM's size (Wang et al. 2020,
arXiv:2002.10957). Its modules have the names of the ``all-MiniLM-L6-v2`` checkpoint, so that those
weights load strictly; of them only the pooler and the stored positions have no place here, since
sentence embeddings are the mean over tokens. It is written out, rather than taken from
transformers, because it then needs torch alone and is plain to every tracer.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

_VOCABULARY = 30522
_POSITIONS = 512
_WIDTH = 384
_HEADS = 12
_LAYERS = 6
_FEED_FORWARD = 1536
_EPSILON = 1e-12


class Embeddings(nn.Module):
    """Token ids ``[N, T]`` int64 to ``[N, T, width]``; every token is of the first sentence."""

    def __init__(self) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(_VOCABULARY, _WIDTH)
        self.position_embeddings = nn.Embedding(_POSITIONS, _WIDTH)
        self.token_type_embeddings = nn.Embedding(2, _WIDTH)
        self.LayerNorm = nn.LayerNorm(_WIDTH, eps=_EPSILON)

    def forward(self, input_ids: Tensor) -> Tensor:
        positions = torch.arange(input_ids.shape[1], device=input_ids.device).expand_as(input_ids)
        # Looked up like any other, because a quantized table has no rows to be read directly.
        first_sentence = self.token_type_embeddings(torch.zeros_like(input_ids))
        words = self.word_embeddings(input_ids) + first_sentence
        embedded: Tensor = self.LayerNorm(words + self.position_embeddings(positions))
        return embedded


class SelfAttention(nn.Module):
    """Every token looks at every other that ``bias`` (added to the scores) leaves visible."""

    def __init__(self) -> None:
        super().__init__()
        self.query = nn.Linear(_WIDTH, _WIDTH)
        self.key = nn.Linear(_WIDTH, _WIDTH)
        self.value = nn.Linear(_WIDTH, _WIDTH)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        query, key, value = (
            projection(x).unflatten(2, (_HEADS, -1)).transpose(1, 2)
            for projection in (self.query, self.key, self.value)
        )
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        return mixed.transpose(1, 2).flatten(2)


class Residual(nn.Module):
    """``LayerNorm(dense(x) + residual)``."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.dense = nn.Linear(inputs, _WIDTH)
        self.LayerNorm = nn.LayerNorm(_WIDTH, eps=_EPSILON)

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        y: Tensor = self.LayerNorm(self.dense(x) + residual)
        return y


class Attention(nn.Module):
    """Self-attention and what follows it."""

    def __init__(self) -> None:
        super().__init__()
        self.self = SelfAttention()
        self.output = Residual(_WIDTH)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        y: Tensor = self.output(self.self(x, bias), x)
        return y


class Intermediate(nn.Module):
    """The wide half of the feed-forward part."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(_WIDTH, _FEED_FORWARD)

    def forward(self, x: Tensor) -> Tensor:
        return functional.gelu(self.dense(x))


class Layer(nn.Module):
    """Attention, then feed-forward; ``[N, T, width]`` in and out."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = Attention()
        self.intermediate = Intermediate()
        self.output = Residual(_FEED_FORWARD)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        attended = self.attention(x, bias)
        y: Tensor = self.output(self.intermediate(attended), attended)
        return y


class Encoder(nn.Module):
    """The layers, one after another."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.ModuleList(Layer() for _ in range(_LAYERS))

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        for layer in self.layer:
            x = layer(x, bias)
        return x


class MiniLMSentiment(nn.Module):
    """Inputs ``input_ids`` and ``attention_mask``, both int64 ``[N, T]`` with T up to 512; output
    logits ``[N, num_classes]``. The mask is 1 for tokens and 0 for padding."""

    def __init__(self, num_classes: int = 2) -> None:
        super().__init__()
        self.embeddings = Embeddings()
        self.encoder = Encoder()
        self.classifier = nn.Linear(_WIDTH, num_classes)

    def embed(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """The sentence embeddings, float32 ``[N, 384]`` of length 1: the mean over the tokens."""
        mask = attention_mask.to(torch.float32)
        # The lowest finite number rather than minus infinity, which makes NaN of an empty text.
        bias = (1.0 - mask)[:, None, None, :] * torch.finfo(torch.float32).min
        tokens = self.encoder(self.embeddings(input_ids), bias)
        weights = mask.unsqueeze(2)
        mean = (tokens * weights).sum(1) / weights.sum(1).clamp(min=1e-9)
        return functional.normalize(mean)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.embed(input_ids, attention_mask))
        return logits


def minilm_sentiment(num_classes: int = 2) -> MiniLMSentiment:
    """A MiniLMSentiment with random weights; load the encoder's state dict and the head's."""
    return MiniLMSentiment(num_classes)
