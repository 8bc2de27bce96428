"""`AnswerSizes`: learns how long the answers of each model are."""

import math
from collections import OrderedDict, deque
from typing import Final

_UNKNOWN_TOKENS: Final = 1024
"""The estimate for a model with too few answers to learn from."""
_LEAST_ANSWERS: Final = 20
"""With fewer answers, the longest of them would stand for the 95th percentile."""
_MOST_ANSWERS: Final = 256
_MOST_MODELS: Final = 1000
_ANSWERS_BETWEEN: Final = 16
"""So many answers are recorded before the percentile is found again, which takes about as long as recording them."""
_SHARE: Final = 0.95


class _Answers:
    """The latest answers of one model."""

    __slots__ = ("percentile", "recorded", "sizes")

    def __init__(self) -> None:
        self.sizes = deque[int](maxlen=_MOST_ANSWERS)
        self.recorded = 0
        self.percentile = _UNKNOWN_TOKENS


class AnswerSizes:
    """Estimates the tokens of an answer by the 95th percentile of the latest answers of its model."""

    def __init__(self) -> None:
        self._models = OrderedDict[str, _Answers]()
        """The models, the one that answered longest ago first."""

    def record(self, model: str, output_tokens: int) -> None:
        """Records an answer that was whole."""
        answers = self._models.get(model)
        if answers is None:
            answers = self._models[model] = _Answers()
            if len(self._models) > _MOST_MODELS:
                self._models.popitem(last=False)
        self._models.move_to_end(model)
        answers.sizes.append(output_tokens)
        answers.recorded += 1
        if answers.recorded == _LEAST_ANSWERS or not answers.recorded % _ANSWERS_BETWEEN:
            sizes = sorted(answers.sizes)
            if len(sizes) >= _LEAST_ANSWERS:
                answers.percentile = sizes[math.ceil(_SHARE * len(sizes)) - 1]

    def estimate(self, model: str) -> int:
        """Returns how many tokens an answer of this model has at most, in 19 of 20 cases."""
        answers = self._models.get(model)
        return _UNKNOWN_TOKENS if answers is None else answers.percentile
