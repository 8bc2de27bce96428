"""Finds which of the server's attempts is which exchange of the upstream's ledger, and which calls they belong to."""

from collections.abc import Sequence
from itertools import combinations, groupby
from typing import Final

from reasoning_grpc.v1 import errors_pb2, usage_pb2
from tests.history.records import Exchange, Purpose

UNSERVED: Final = "dead"
"""The model whose upstream refuses connections."""
_MAYBE_UNSEEN: Final = frozenset(
    {errors_pb2.ERROR_REASON_UPSTREAM_TIMEOUT, errors_pb2.ERROR_REASON_UPSTREAM_UNREACHABLE}
)
"""The failures of attempts that may end before the upstream has read their request."""
_Pairs = list[tuple[usage_pb2.Attempt, Exchange | None]]


def group_model_calls(exchanges: Sequence[Exchange]) -> list[list[Exchange]]:
    """Groups exchanges by model call: attempts at one call repeat its messages, and one call writes the answer."""
    return [list(group) for _, group in groupby(exchanges, key=_identify_call)]


def _identify_call(exchange: Exchange) -> str:
    # A fallback model may speak another protocol, which has the same messages in another form.
    return exchange.purpose.value if exchange.purpose is Purpose.ANSWER else exchange.prompt


def align_attempts(attempts: Sequence[usage_pb2.Attempt], exchanges: Sequence[Exchange]) -> _Pairs | None:
    """Returns each attempt with its exchange, or with None where the upstream saw nothing of it.

    Returns None when the upstream saw more attempts, fewer, or others than the server reports.
    """
    must_be_unseen = {place for place, attempt in enumerate(attempts) if attempt.model == UNSERVED}
    may_be_unseen = [
        place
        for place, attempt in enumerate(attempts)
        if attempt.failure in _MAYBE_UNSEEN and place not in must_be_unseen
    ]
    for unseen in combinations(may_be_unseen, max(0, len(attempts) - len(must_be_unseen) - len(exchanges))):
        seen = [place for place in range(len(attempts)) if place not in must_be_unseen and place not in unseen]
        if [attempts[place].model for place in seen] != [exchange.model for exchange in exchanges]:
            continue
        found = dict(zip(seen, exchanges, strict=True))
        return [(attempt, found.get(place)) for place, attempt in enumerate(attempts)]
    return None
