"""The router's embedding: chooses a route by the meaning of a conversation, in milliseconds, with no model call."""

from reasoning_grpc.router.embedding.classifier import EmbeddingClassifier, RouterTraining
from reasoning_grpc.router.embedding.encoder import (
    MODEL_HASH,
    MODEL_NAME,
    EmbeddingUnusable,
    SentenceEncoder,
    is_embedding_installed,
)
from reasoning_grpc.router.embedding.examples import (
    Example,
    InvalidExamples,
    build_route_examples,
    load_bundled_examples,
    parse_examples,
)
from reasoning_grpc.router.embedding.runner import EmbeddingRunner

__all__ = [
    "MODEL_HASH",
    "MODEL_NAME",
    "EmbeddingClassifier",
    "EmbeddingRunner",
    "EmbeddingUnusable",
    "Example",
    "InvalidExamples",
    "RouterTraining",
    "SentenceEncoder",
    "build_route_examples",
    "is_embedding_installed",
    "load_bundled_examples",
    "parse_examples",
]
