"""Datasets: where images and arrays come from, and how they become a model's inputs."""

from edgekit.data.checks import Finding, check_representative
from edgekit.data.dataset import Dataset
from edgekit.data.manifest import shipped_manifests
from edgekit.data.open import find_dataset, open_dataset
from edgekit.data.preprocess import Preprocessor

__all__ = [
    "Dataset",
    "Finding",
    "Preprocessor",
    "check_representative",
    "find_dataset",
    "open_dataset",
    "shipped_manifests",
]
