"""`RepeatedText`: a text that came in deltas, and that its protocol sends again as a whole."""

import json
from dataclasses import dataclass, field

from reasoning_grpc.litellm_model.answers.errors import MalformedAnswer


@dataclass(slots=True)
class RepeatedText:
    """The text of one part of an answer, as far as it has arrived."""

    _deltas: list[str] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        """Whether nothing of the text has arrived."""
        return not self._deltas

    def add(self, delta: str) -> None:
        """Records a delta."""
        if delta:
            self._deltas.append(delta)

    def is_same(self, text: str) -> bool:
        """Whether this is all that has arrived, and more than nothing."""
        return bool(text) and "".join(self._deltas) == text

    def find_rest(self, whole: str) -> str:
        """Returns what the whole text has beyond its deltas, which is all of it where a server sends no deltas.

        Servers may strip what they repeat, or write JSON another way. Raises MalformedAnswer for another text, because
        then one of the two is wrong.
        """
        if not self._deltas or not whole:
            return whole
        seen = "".join(self._deltas)
        if whole.startswith(seen):
            return whole[len(seen) :]
        if seen.strip() == whole.strip() or _is_equal_json(seen, whole):
            return ""
        raise MalformedAnswer("a text differs from its deltas")


def _is_equal_json(one: str, other: str) -> bool:
    try:
        return bool(json.loads(one) == json.loads(other))
    except (ValueError, RecursionError):
        return False
