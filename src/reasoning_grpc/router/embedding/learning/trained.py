"""`TrainedRouter`: the weights that turn an embedded conversation into probabilities of routes, and their file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import numpy as np

from reasoning_grpc.router.embedding.encoder import MODEL_HASH, MODEL_NAME, EmbeddingUnusable
from reasoning_grpc.router.embedding.learning.logistic import Array, Weights, softmax

FEATURES: Final = 1024
"""The length of the vectors of a conversation and of its opening, one after the other."""
_FORMAT: Final = 1


class _File(msgspec.Struct, forbid_unknown_fields=True):
    """The file of a trained router: JSON, with numbers of five digits."""

    format: int
    embedding: str
    embedding_sha256: str
    examples: int
    temperature: Annotated[float, msgspec.Meta(gt=0)]
    routes: list[str]
    centre: list[float]
    weights: list[list[float]]
    bias: list[float]


@dataclass(frozen=True, slots=True)
class TrainedRouter:
    """Chooses among the routes that it was trained for."""

    routes: tuple[str, ...]
    weights: Weights
    temperature: float
    examples: int
    """The number of examples that it was trained with."""

    def estimate(self, features: Array, names: Sequence[str]) -> Mapping[str, float]:
        """Returns the probability of each of these routes; a route that it was not trained for is left out."""
        known = [name for name in names if name in self.routes]
        if not known:
            return {}
        scores = self.weights.score(features)[[self.routes.index(name) for name in known]]
        return dict(zip(known, map(float, softmax(scores / self.temperature)), strict=True))

    def write(self, file: Path) -> None:
        """Writes the file. Raises OSError."""
        file.write_bytes(msgspec.json.format(msgspec.json.encode(self._describe()), indent=0) + b"\n")

    def _describe(self) -> _File:
        return _File(
            format=_FORMAT,
            embedding=MODEL_NAME,
            embedding_sha256=MODEL_HASH,
            examples=self.examples,
            temperature=round(self.temperature, 5),
            routes=list(self.routes),
            centre=_round(self.weights.centre),
            weights=[_round(row) for row in self.weights.matrix],
            bias=_round(self.weights.bias),
        )


def read_trained_router(file: Path) -> TrainedRouter:
    """Reads the file of a trained router. Raises EmbeddingUnusable."""
    try:
        content = msgspec.json.decode(file.read_bytes(), type=_File)
    except OSError as exc:
        raise EmbeddingUnusable(f"The router's file {file} cannot be read: {exc.strerror}.") from exc
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise EmbeddingUnusable(f"The router's file {file} is not the file of a trained router: {exc}.") from exc
    if problem := _find_problem(content):
        raise EmbeddingUnusable(f"The router's file {file} {problem}.")
    weights = Weights(np.array(content.centre), np.array(content.weights), np.array(content.bias))
    return TrainedRouter(tuple(content.routes), weights, content.temperature, content.examples)


def _find_problem(content: _File) -> str:
    if content.format != _FORMAT:
        return f"has the format {content.format}, and this version reads format {_FORMAT}"
    if content.embedding_sha256 != MODEL_HASH:
        return "was trained with another embedding; train it again"
    routes = len(content.routes)
    has_its_shape = (
        len(set(content.routes)) == routes > 1
        and len(content.weights) == len(content.bias) == routes
        and all(len(row) == FEATURES for row in (*content.weights, content.centre))
    )
    return "" if has_its_shape else "has weights that do not belong to its routes"


def _round(values: np.ndarray[Any, Any]) -> list[float]:
    return [round(float(value), 5) for value in values]
