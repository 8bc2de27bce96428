"""Checks of tokens and cost against the upstream's ledger: exact where it counted, else marked ESTIMATED."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from reasoning_grpc.domain import estimate_tokens
from reasoning_grpc.v1 import usage_pb2
from tests.history.plan import Fault
from tests.history.records import Exchange, Purpose
from tests.history.serving import PRICES

_FREE: Final = frozenset({Fault.STATUS, Fault.RATE_LIMIT})
_INPUT_KINDS: Final = frozenset(
    {usage_pb2.TOKEN_KIND_INPUT, usage_pb2.TOKEN_KIND_CACHED_INPUT, usage_pb2.TOKEN_KIND_CACHE_WRITE}
)


@dataclass(frozen=True, slots=True)
class Bill:
    """What one or more attempts may have used. Where the upstream counted, the least is the most."""

    least: tuple[int, int] = (0, 0)
    """Input and output tokens."""
    most: tuple[int, int] = (0, 0)
    may_be_estimated: bool = False
    must_be_estimated: bool = False

    def __add__(self, other: "Bill") -> "Bill":
        return Bill(
            (self.least[0] + other.least[0], self.least[1] + other.least[1]),
            (self.most[0] + other.most[0], self.most[1] + other.most[1]),
            self.may_be_estimated or other.may_be_estimated,
            self.must_be_estimated or other.must_be_estimated,
        )

    def or_nothing(self) -> "Bill":
        """Returns the bill of an attempt of which it is not known whether anything was used."""
        return Bill((0, 0), self.most, self.may_be_estimated, False)


def bill_exchange(exchange: Exchange, *, failed: bool, http_status: int | None = None, received: str = "") -> Bill:
    """Returns what an exchange may have used.

    `failed` says whether the server took it for a failure, with this HTTP status if that is known. `received` is the
    text that the client has got of it.
    """
    plan = exchange.plan
    counted = (plan.input_tokens, plan.output_tokens)
    if not failed and exchange.is_counted:
        return Bill(counted, counted)
    if plan.fault in _FREE and exchange.is_over:
        return Bill()
    texts = "".join(exchange.pieces) if not failed else received, exchange.sent_text
    low, high = (estimate_tokens(len(text.encode())) for text in texts)
    estimate = Bill((1, low), (exchange.body_bytes, high), True, True)
    if failed and exchange.is_usage_sent:  # the server may have read the usage, or not
        most = (max(counted[0], estimate.most[0]), max(counted[1], high))
        return Bill((1, min(counted[1], low)), most, True, False)
    if failed and (http_status or (http_status is None and not received)):
        return estimate.or_nothing()
    return estimate


def sum_bills(bills: Iterable[Bill]) -> Bill:
    """Adds bills."""
    return sum(bills, Bill())


def check_usage(usage: usage_pb2.Usage, bill: Bill, what: str) -> Iterator[str]:
    """Yields how token counts differ from a bill."""
    counts = (usage.input_tokens, usage.output_tokens)
    for name, count, least, most in zip(("input", "output"), counts, bill.least, bill.most, strict=True):
        if not least <= count <= most:
            bounds = str(least) if least == most else f"{least} to {most}"
            yield f"{what} has {count} {name} tokens, and the upstream's ledger {bounds}"
    if usage.total_tokens != sum(counts):
        yield f"{what} has {usage.total_tokens} tokens in all, which is not the sum of {counts}"
    estimated = usage.source == usage_pb2.USAGE_SOURCE_ESTIMATED
    if estimated and not bill.may_be_estimated:
        yield f"{what} is ESTIMATED, although the upstream counted"
    if not estimated and bill.must_be_estimated:
        yield f"{what} is not ESTIMATED, although the upstream did not count"


def check_cost(cost: usage_pb2.Cost, usage: usage_pb2.Usage, exact: Sequence[Exchange], what: str) -> Iterator[str]:
    """Yields how a cost differs from the prices of its tokens, and from what these finished exchanges cost."""
    if cost.total_nano_usd != sum(item.nano_usd for item in cost.items):
        yield f"{what}: the total {cost.total_nano_usd} is not the sum of its items"
    totals = {True: 0, False: 0}
    by_model = {(model, is_input): 0 for model in PRICES for is_input in (True, False)}
    for item in cost.items:
        is_input = item.kind in _INPUT_KINDS
        totals[is_input] += item.tokens
        by_model[item.model, is_input] += item.tokens
        price = PRICES[item.model][0 if is_input else 1] * 1000
        if item.nano_usd != item.tokens * price:
            yield f"{what}: {item.tokens} tokens of {item.model} cost {item.nano_usd}, at a price of {price}"
    if (totals[True], totals[False]) != (usage.input_tokens, usage.output_tokens):
        yield f"{what} is for {totals[True]} and {totals[False]} tokens, and the usage has others"
    for exchange in exact:
        by_model[exchange.model, True] -= exchange.plan.input_tokens
        by_model[exchange.model, False] -= exchange.plan.output_tokens
    for (model, is_input), rest in by_model.items():
        if rest < 0:
            yield f"{what} lacks {-rest} {'input' if is_input else 'output'} tokens of {model}"


def find_received(exchange: Exchange, text: str) -> str:
    """Returns the part of the client's text that comes from this exchange."""
    return text if exchange.purpose is Purpose.ANSWER and exchange.sent_text.startswith(text) else ""
