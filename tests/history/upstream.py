"""`PlannedUpstream`: answers each request by its plan, and keeps a ledger of what it was asked, sent and billed."""

import asyncio
import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from random import Random
from typing import Any, Final

from tests.history.plan import CallPlan, ExchangePlan, Fault, plan_call, plan_exchange
from tests.history.records import OWN_TOOL, REQUEST_ID, Exchange, Purpose, read_request_id, write_token
from tests.support.agent import plan_call as plan_tool_call
from tests.support.agent import write_plan
from tests.support.upstream import Completion, FakeToolCall, FakeUpstream, Gate
from tests.support.upstream.answers import Failure, Json
from tests.support.upstream.scripting import Answer, Asked

JUDGE: Final = "judge"
"""The model of the classifier."""
MODEL_OF_DELTA: Final = "claude-sonnet-4-5"
"""The provider's name of the model that speaks Anthropic's protocol."""
_STREAM: Final = {"Content-Type": "text/event-stream; charset=utf-8"}
_USAGE_MARK: Final = b'"usage": {'
_JSON: Final = {"Content-Type": "application/json"}
_SLOW_SECONDS: Final = 0.004
_JUNK: Final = b'data: {"choices": [{"delta": {"content": "\n\n'


class PlannedUpstream:
    """The upstream of all models. Its ledger has the exchanges of each call in the order of their arrival."""

    def __init__(self, fake: FakeUpstream) -> None:
        self.fake = fake
        self.seed = 0
        self._ledger: dict[int, list[Exchange]] = defaultdict(list)
        fake.always.play = (self._play, Gate(is_open=True))

    def begin_round(self, seed: int) -> None:
        """Answers by the plans of this seed from now on, with an empty ledger."""
        self.seed = seed
        self._ledger.clear()
        self.fake.forget()

    def read_ledger(self) -> dict[int, tuple[Exchange, ...]]:
        """Returns the exchanges by the number of their call."""
        return {number: tuple(exchanges) for number, exchanges in self._ledger.items()}

    def _play(self, asked: Asked) -> Answer:
        name = _read_name(asked.body)
        seed, number = read_request_id(name)
        if seed != self.seed:  # a client of an earlier round has left long ago
            return Answer(status=410, headers=_JSON)
        exchanges = self._ledger[number]
        purpose, prompt = _read_purpose(asked.body), _hash_prompt(asked.body)
        ordinal = len(exchanges) + 1
        plan = plan_exchange(self.seed, number, ordinal, is_judge=purpose is Purpose.ROUTING)
        exchange = Exchange(
            number=number,
            ordinal=ordinal,
            plan=plan,
            model="delta" if asked.body["model"] == MODEL_OF_DELTA else asked.body["model"],
            purpose=purpose,
            prompt=prompt,
            received=asyncio.get_running_loop().time(),
            is_mixed_up=asked.body.get("user", name) != name,
            body_bytes=len(json.dumps(asked.body)),
            pieces=(),
        )
        completion = self._write_answer(exchange, asked.body, exchanges)
        exchange.pieces = tuple(piece.text for piece in completion.pieces())
        exchanges.append(exchange)
        return _build_answer(exchange, completion, asked)

    def _write_answer(self, exchange: Exchange, body: Json, earlier: Sequence[Exchange]) -> Completion:
        plan = exchange.plan
        call = plan_call(self.seed, exchange.number)
        tokens = tuple(write_token(exchange.number, exchange.ordinal, position) for position in range(plan.tokens))
        usage = None if plan.fault is Fault.NO_USAGE else "null" if plan.fault is Fault.NULL_USAGE else _bill(plan)
        common: dict[str, Any] = {"model": exchange.model, "usage": usage}
        if exchange.purpose is Purpose.ANSWER or plan.is_nonsense or plan.fault is Fault.EMPTY:
            return Completion(content=tokens, **common)
        if exchange.purpose is Purpose.ROUTING:
            routes = body["response_format"]["json_schema"]["schema"]["properties"]["route"]["enum"]
            route = Random(f"{self.seed} route {exchange.number // 2}").choice(routes)
            return Completion(content=_cut(json.dumps({"route": route})), **common)
        thought = write_token(exchange.number, exchange.ordinal, 0)
        steps = list(dict.fromkeys(each.prompt for each in earlier if each.purpose is Purpose.STEP))
        step = steps.index(exchange.prompt) if exchange.prompt in steps else len(steps)
        return _write_step(call, step, thought, common, is_native="tools" in body)


def _write_step(call: CallPlan, step: int, thought: str, common: dict[str, Any], *, is_native: bool) -> Completion:
    wants_tool = step < call.tool_steps + call.may_pause
    tool_call = plan_tool_call("calculator", expression=f"{call.number} * 1000 + {step}")
    if step == call.tool_steps:
        tool_call = plan_tool_call(OWN_TOOL, id=str(call.number))
    if not is_native:
        return Completion(content=_cut(write_plan(*[tool_call] * wants_tool, thought=thought)), **common)
    calls = [FakeToolCall(f"c{step}", tool_call.name, _cut(tool_call.arguments))] * wants_tool
    return Completion(content=(thought,), tool_calls=calls, **common)


def _build_answer(exchange: Exchange, completion: Completion, asked: Asked) -> Answer:
    plan = exchange.plan
    match plan.fault:
        case Fault.STATUS | Fault.RATE_LIMIT:
            headers = _JSON | ({"Retry-After": plan.retry_after} if plan.retry_after else {})
            body = json.dumps(asked.dialect.failure(Failure(status=plan.status))).encode()
            return Answer(status=plan.status, headers=headers, ending=_finish(exchange, body))
        case Fault.HTML:
            return Answer(headers={"Content-Type": "text/html"}, ending=_finish(exchange, b"<html>hello</html>"))
        case Fault.NO_CHOICES:
            empty = asked.dialect.event({"id": "x", "object": "chat.completion.chunk", "model": "x", "choices": []})
            if exchange.model == "delta":
                (empty,) = asked.dialect.ending(Completion(finish_reason=None), asked.body)
            return Answer(headers=_STREAM, ending=_finish(exchange, empty, asked.dialect.done))
        case Fault.RESET_FIRST | Fault.CLOSE_FIRST:
            exchange.is_over = True
            return Answer(headers=None, end="reset" if plan.fault is Fault.RESET_FIRST else "close")
        case Fault.HANG_FIRST:
            exchange.is_over = True
            return Answer(headers=None, end="hang")
        case Fault.RESET | Fault.CLOSE | Fault.END | Fault.STALL:
            ends = {Fault.RESET: "reset", Fault.CLOSE: "close", Fault.END: "end", Fault.STALL: "hang"}
            parts = _send(exchange, _select_first(exchange, completion, asked))
            return Answer(headers=_STREAM, pieces=_mark_over(exchange, parts), end=ends[plan.fault])  # type: ignore[arg-type]
        case Fault.JUNK | Fault.ERROR:
            last = _JUNK if plan.fault is Fault.JUNK else asked.dialect.error_event(_build_error(plan))
            parts = _send(exchange, _select_first(exchange, completion, asked))
            return Answer(headers=_STREAM, pieces=parts, ending=_finish(exchange, last))
        case _:
            return _build_finished(exchange, completion, asked)


def _build_finished(exchange: Exchange, completion: Completion, asked: Asked) -> Answer:
    plan, dialect = exchange.plan, asked.dialect
    done = () if plan.fault is Fault.NO_DONE else (dialect.done,)
    ending = (*dialect.ending(completion, asked.body), *done)
    parts = _send(exchange, dialect.pieces(completion))
    interval = _SLOW_SECONDS if plan.fault is Fault.SLOW else 0.0
    if plan.fault is Fault.TOGETHER:
        return Answer(headers=_STREAM, ending=_finish(exchange, b"".join((*parts, *ending))))
    if plan.fault is Fault.SPLIT:
        parts = (half for part in parts for half in (part[: len(part) // 2], part[len(part) // 2 :]))
    if plan.fault is Fault.COMMENTS:
        parts = (part for each in parts for part in (dialect.comment, each))
    return Answer(headers=_STREAM, pieces=parts, ending=_finish(exchange, *ending), interval_seconds=interval)


def _select_first(exchange: Exchange, completion: Completion, asked: Asked) -> Iterable[bytes]:
    """Returns the events before the fault."""
    return list(asked.dialect.pieces(completion))[: exchange.plan.whole_tokens]


def _send(exchange: Exchange, parts: Iterable[bytes]) -> Iterator[bytes]:
    """Yields the events of the tokens, and counts each before it is written: what is written may have been read."""
    for part in parts:
        exchange.sent = min(exchange.sent + 1, len(exchange.pieces))
        exchange.is_usage_sent = exchange.is_usage_sent or _USAGE_MARK in part
        yield part


def _finish(exchange: Exchange, *parts: bytes) -> Iterator[bytes]:
    """Yields what ends the answer, and records it before it is written."""
    for part in parts:
        exchange.is_usage_sent = exchange.is_usage_sent or _USAGE_MARK in part
        exchange.is_over = part is parts[-1]
        yield part


def _mark_over(exchange: Exchange, parts: Iterable[bytes]) -> Iterator[bytes]:
    yield from parts
    exchange.is_over = True


def _read_name(body: Json) -> str:
    """Returns the name of the call behind a request: the last one, because what goes on repeats the first prompt."""
    names = [match[0] for match in REQUEST_ID.finditer(json.dumps(body["messages"]))]
    return max(names, key=read_request_id, default="")


def _read_purpose(body: Json) -> Purpose:
    if body["model"] == JUDGE:
        return Purpose.ROUTING
    plans = "response_format" in body or ("tools" in body and body.get("tool_choice") != "none")
    return Purpose.STEP if plans else Purpose.ANSWER


def _hash_prompt(body: Json) -> str:
    messages = [body["messages"], body["model"] == JUDGE]
    return hashlib.sha256(json.dumps(messages, sort_keys=True).encode()).hexdigest()


def _bill(plan: ExchangePlan) -> Json:
    return {
        "prompt_tokens": plan.input_tokens,
        "completion_tokens": plan.output_tokens,
        "total_tokens": plan.input_tokens + plan.output_tokens,
        "prompt_tokens_details": {"cached_tokens": plan.cached_tokens},
    }


def _build_error(plan: ExchangePlan) -> Json:
    return {"message": "The upstream failed.", "type": "server_error", "param": None, "code": plan.error_code}


def _cut(text: str) -> tuple[str, ...]:
    """Cuts a text into tokens."""
    return tuple(text[start : start + 7] for start in range(0, len(text), 7))
