"""Multinomial logistic regression with numpy: fits weights, cross-validates, and calibrates probabilities.

The data are small, some hundred rows, so plain accelerated gradient descent fits them in a tenth of a second, and the
result does not depend on chance.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

Array = np.ndarray[Any, Any]

_PENALTY: Final = 1.0
"""The weight of the squared length of the weights; chosen on the tuning half of the labelled prompts."""
_STEPS: Final = 120
_TEMPERATURES: Final = tuple(0.25 * 1.06**step for step in range(50))
"""The temperatures that calibration tries, from 0.25 to about 4.5."""


@dataclass(frozen=True, slots=True)
class Weights:
    """A fitted model: the score of each class is a row of `matrix` times the centred features, plus its bias."""

    centre: Array
    matrix: Array
    bias: Array

    def score(self, features: Array) -> Array:
        """Returns a row of scores for each row of features."""
        scores: Array = (features - self.centre) @ self.matrix.T + self.bias
        return scores


def fit(features: Array, labels: Array, classes: int) -> Weights:
    """Fits the weights; every class counts the same, however many examples it has."""
    counts = np.bincount(labels, minlength=classes)
    importance = (len(labels) / (np.count_nonzero(counts) * np.maximum(counts, 1)))[labels]
    centre = features.mean(axis=0)
    rows = np.hstack([features - centre, np.ones((len(features), 1))]).astype(np.float64)
    targets = np.eye(classes)[labels]
    penalty = np.full(rows.shape[1], _PENALTY)
    penalty[-1] = 1e-3  # the bias is free, but a class without examples must not run away
    step = 1.0 / (0.5 * np.linalg.norm(rows * np.sqrt(importance)[:, None], 2) ** 2 + _PENALTY)
    current = ahead = np.zeros((classes, rows.shape[1]))
    momentum = 1.0
    for _ in range(_STEPS):
        errors = (softmax(rows @ ahead.T) - targets) * importance[:, None]
        following = ahead - step * (errors.T @ rows + penalty * ahead)
        next_momentum = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        ahead = following + (momentum - 1) / next_momentum * (following - current)
        current, momentum = following, next_momentum
    return Weights(centre, current[:, :-1], current[:, -1])


def cross_validate(features: Array, labels: Array, classes: int, *, folds: int = 5, seed: int = 1) -> Array:
    """Returns the scores that each row gets from weights which were fitted without its fold."""
    scores = np.zeros((len(labels), classes))
    for held_out in _split(labels, folds, seed):
        kept = np.setdiff1d(np.arange(len(labels)), held_out)
        scores[held_out] = fit(features[kept], labels[kept], classes).score(features[held_out])
    return scores


def find_temperature(scores: Array, labels: Array) -> float:
    """Returns the number by which scores are divided so that their probabilities explain the labels best.

    Guo et al., On calibration of modern neural networks, ICML 2017, section 4.2.
    """
    losses = [measure_log_loss(softmax(scores / each), labels) for each in _TEMPERATURES]
    return _TEMPERATURES[int(np.argmin(losses))]


def measure_log_loss(probabilities: Array, labels: Array) -> float:
    """Returns the mean negative logarithm of the probability of the right class."""
    return float(-np.log(np.maximum(probabilities[np.arange(len(labels)), labels], 1e-12)).mean())


def softmax(scores: Array) -> Array:
    """Returns the probabilities of the classes, row by row."""
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    probabilities: Array = powers / powers.sum(axis=-1, keepdims=True)
    return probabilities


def _split(labels: Array, folds: int, seed: int) -> Iterator[Array]:
    """Yields the rows of each fold; every fold has about the same share of each class."""
    order = np.random.default_rng(seed).permutation(len(labels))
    by_class = order[np.argsort(labels[order], kind="stable")]
    for fold in range(min(folds, len(labels))):
        yield by_class[fold::folds]
