"""`train_router`: fits a router to examples, cross-validates and calibrates it, and reports how good it is."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from reasoning_grpc.router.embedding.conversation import describe_conversation
from reasoning_grpc.router.embedding.encoder import SentenceEncoder
from reasoning_grpc.router.embedding.examples import Example
from reasoning_grpc.router.embedding.learning.logistic import (
    Array,
    cross_validate,
    find_temperature,
    fit,
    measure_log_loss,
    softmax,
)
from reasoning_grpc.router.embedding.learning.trained import TrainedRouter


@dataclass(frozen=True, slots=True)
class TrainingReport:
    """The cross-validated outcome of a training: each example was judged by weights that did not see it."""

    expected: tuple[str, ...]
    """The route of each example."""
    chosen: tuple[str, ...]
    """The route that was chosen for it."""
    confidences: tuple[float, ...]
    """The calibrated probability of the chosen route."""
    log_loss: float


def encode_described(encoder: SentenceEncoder, described: Sequence[tuple[str, str]]) -> Array:
    """Returns a row of features for each described conversation; all of them are encoded as one batch."""
    texts = list(dict.fromkeys(text for pair in described for text in pair))  # one message is its own opening
    rows = dict(zip(texts, encoder.encode(texts), strict=True))
    return np.array([np.concatenate([rows[whole], rows[opening]]) for whole, opening in described])


def train_router(
    encoder: SentenceEncoder, examples: Sequence[Example], *, max_messages: int
) -> tuple[TrainedRouter, TrainingReport]:
    """Returns the router, and the report. The examples are of at least two routes.

    One thread computes: several would wait for each other on cores that the server's calls need.
    """
    with threadpool_limits(limits=1, user_api="blas"):
        return _train(encoder, examples, max_messages)


def _train(
    encoder: SentenceEncoder, examples: Sequence[Example], max_messages: int
) -> tuple[TrainedRouter, TrainingReport]:
    routes = tuple(dict.fromkeys(example.route for example in examples))
    labels = np.array([routes.index(example.route) for example in examples])
    described = [describe_conversation(example.messages, max_messages=max_messages) for example in examples]
    features = encode_described(encoder, described)
    scores = cross_validate(features, labels, len(routes))
    temperature = find_temperature(scores, labels)
    probabilities = softmax(scores / temperature)
    best = probabilities.argmax(axis=1)
    report = TrainingReport(
        expected=tuple(example.route for example in examples),
        chosen=tuple(routes[index] for index in best),
        confidences=tuple(map(float, probabilities.max(axis=1))),
        log_loss=measure_log_loss(probabilities, labels),
    )
    return TrainedRouter(routes, fit(features, labels, len(routes)), temperature, len(examples)), report
