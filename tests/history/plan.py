"""Plans: what each call is, and how the upstream misbehaves, drawn from a seed and the call's number alone."""

from dataclasses import dataclass, replace
from enum import Enum
from random import Random
from typing import Any, Final


class Rpc(Enum):
    """The RPC of a call."""

    COMPLETE = "Complete"
    STREAM = "StreamComplete"
    CLASSIFY = "Classify"


class Mode(Enum):
    """The routing mode that a call requests."""

    PASSTHROUGH = "passthrough"
    REASONING = "reasoning"
    AUTO = "auto"


class Turn(Enum):
    """The place of a call among those of one run of the agent that pauses."""

    FIRST = "first"
    CONTINUATION = "goes on"
    REPEAT = "goes on again"
    """The state has gone on already, so the call must be refused."""


class Fault(Enum):
    """How the upstream treats one request. The first ones are no faults: a finished answer, written in another way."""

    NONE = "none"
    SLOW = "slow tokens"
    TOGETHER = "one write"
    SPLIT = "events split over writes"
    COMMENTS = "comments between tokens"
    NO_USAGE = "no usage"
    NULL_USAGE = "usage null"
    NO_DONE = "no [DONE]"
    EMPTY = "finished without text"
    STATUS = "status"
    RATE_LIMIT = "429"
    RESET_FIRST = "reset before headers"
    CLOSE_FIRST = "close before headers"
    HANG_FIRST = "hang before headers"
    RESET = "reset in mid-stream"
    CLOSE = "close in mid-stream"
    END = "end without finish"
    STALL = "stall in mid-stream"
    JUNK = "malformed chunk"
    ERROR = "error in stream"
    HTML = "HTML in 200"
    NO_CHOICES = "no choices"


FINISHED: Final = frozenset(list(Fault)[: list(Fault).index(Fault.STATUS)])
"""The ways in which an answer reaches its end."""
UNCOUNTED: Final = frozenset({Fault.NO_USAGE, Fault.NULL_USAGE})
"""The ways in which the upstream says nothing of tokens."""
_FAULTS: Final = dict.fromkeys(Fault, 4) | {Fault.NONE: 60, Fault.SLOW: 20, Fault.TOGETHER: 20}
_FAULTS_OF_JUDGE: Final = dict.fromkeys(Fault, 1) | {Fault.NONE: 30}
STATUSES: Final = (400, 401, 402, 403, 404, 408, 409, 413, 422, 424, 500, 502, 503, 504, 529)
_RETRY_AFTER: Final = (None, None, "0", "1", "7", "3600", "abc", "-1")
MODELS: Final = {"alpha": 40, "beta": 20, "gamma": 10, "native": 15, "dead": 5, "delta": 20}
"""The models that calls name, with their weights. Nothing listens for dead; delta speaks Anthropic's protocol."""
_DIRECT_FALLBACKS: Final = (("delta",), ("delta", "alpha"))
_FALLBACKS: Final = ((), (), (), ("gamma",), ("gamma", "beta"))


_PATIENT: Final = {"deadline_seconds": None, "cancel_after_events": None, "cancel_after_seconds": None}
_CALLS: Final = 3_000_000
"""The most calls of a round that begin a run. The numbers behind them are of calls that go on with others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallPlan:
    """One call: what it requests, and how patient its client is."""

    number: int
    rpc: Rpc
    mode: Mode
    model: str
    fallbacks: tuple[str, ...]
    prompt_words: int
    includes_all: bool
    """Whether the request includes everything that can be included."""
    tool_steps: int
    """How often the model wants to use a tool before it is ready to answer, or the run pauses."""
    has_own_tool: bool = False
    """Whether the request brings a tool of its own, for which the run then pauses once."""
    deadline_seconds: float | None = None
    cancel_after_events: int | None = None
    cancel_after_seconds: float | None = None

    @property
    def turn(self) -> Turn:
        """The place of the call in its run."""
        return list(Turn)[self.number // _CALLS]

    @property
    def may_pause(self) -> bool:
        """Whether the model calls the caller's own tool in the end, and is not ready to answer."""
        return self.has_own_tool and self.turn is Turn.FIRST

    @property
    def is_patient(self) -> bool:
        """Whether the client waits for the end."""
        return self.deadline_seconds is self.cancel_after_events is self.cancel_after_seconds is None

    @property
    def may_go_on_late(self) -> bool:
        """Whether the classifier or a step may lose its part of the client's deadline, and the call go on."""
        return self.deadline_seconds is not None and self.mode is not Mode.PASSTHROUGH


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangePlan:
    """How the upstream treats one request."""

    fault: Fault
    tokens: int
    """The number of tokens of a text that is not JSON."""
    whole_tokens: int
    """The number of tokens that are sent before the fault, if the answer has so many."""
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    status: int = 0
    retry_after: str | None = None
    error_code: int | None = None
    """The code of an error in a stream."""
    is_nonsense: bool = False
    """Whether the text does not follow the schema that was requested."""


def find_number(first: int, turn: Turn) -> int:
    """Returns the number of the call that goes on with the run of the first call in this way."""
    return first + _CALLS * list(Turn).index(turn)


def are_twins(number: int) -> bool:
    """Whether this call and its neighbour are the same request by both RPCs, under the same faults."""
    return number // 2 % 4 != 3  # a quarter of the pairs classifies


def plan_call(seed: int, number: int) -> CallPlan:
    """Draws a call. The calls 2n and 2n + 1 request the same, by `StreamComplete` and by `Complete`.

    A call that goes on with the run of another one repeats its request.
    """
    if number >= _CALLS:
        return _plan_further_call(seed, number)
    shared = Random(f"{seed} request {number // 2}")
    own = Random(f"{seed} client {number}")
    rpc = (Rpc.COMPLETE if number % 2 else Rpc.STREAM) if are_twins(number) else Rpc.CLASSIFY
    mode = shared.choices(list(Mode), (60, 30, 10))[0] if rpc is not Rpc.CLASSIFY else Mode.AUTO
    is_direct = mode is Mode.PASSTHROUGH
    names = [name for name in MODELS if is_direct or name != "delta"]
    model = shared.choices(names, [MODELS[name] for name in names])[0]
    fallbacks = shared.choice(_FALLBACKS + (_DIRECT_FALLBACKS if is_direct else ()))
    request = {
        "number": number,
        "rpc": rpc,
        "mode": mode,
        "model": model,
        "fallbacks": tuple(name for name in fallbacks if name != model),
        "prompt_words": shared.choice((0, 1, 20, 400)),
        "includes_all": shared.random() < 0.7,
        "tool_steps": shared.randrange(3),
        "has_own_tool": mode is Mode.REASONING and shared.random() < 0.4,
    }
    return CallPlan(**request, **_draw_patience(own, rpc))  # type: ignore[arg-type]


def _plan_further_call(seed: int, number: int) -> CallPlan:
    first = plan_call(seed, number % _CALLS)
    tool_steps = Random(f"{seed} request {number // 2}").randrange(2)
    changes: dict[str, Any] = {**_PATIENT, **_draw_patience(Random(f"{seed} client {number}"), first.rpc)}
    return replace(first, number=number, tool_steps=tool_steps, **changes)


def _draw_patience(own: Random, rpc: Rpc) -> dict[str, float | int]:
    chance = own.random()
    if chance < 0.12:
        return {"deadline_seconds": own.choice((0.002, 0.005, 0.01, 0.02, 0.1, 0.3, 0.8))}
    if chance < 0.24 and rpc is Rpc.STREAM:
        return {"cancel_after_events": own.randrange(1, 12)}
    if chance < 0.30:
        return {"cancel_after_seconds": own.choice((0.0, 0.01, 0.05, 0.2, 0.5))}
    return {}


def plan_exchange(seed: int, number: int, ordinal: int, *, is_judge: bool = False) -> ExchangePlan:
    """Draws how the upstream treats the request of this ordinal, 1, 2, ..., of a call. Twins meet the same faults."""
    draw = Random(f"{seed} upstream {number // 2 if are_twins(number) else f'alone {number}'} {ordinal}")
    weights = _FAULTS_OF_JUDGE if is_judge else _FAULTS
    fault = draw.choices(list(weights), list(weights.values()))[0]
    tokens = draw.choice((1, 2, 5, 12, 40))
    input_tokens = draw.randrange(100, 10_000)
    return ExchangePlan(
        fault=fault,
        tokens=0 if fault is Fault.EMPTY else tokens,
        whole_tokens=draw.choice((0, draw.randrange(tokens + 1))),
        input_tokens=input_tokens,
        cached_tokens=draw.choice((0, input_tokens // 3)),
        output_tokens=draw.randrange(1, 1000),
        status=429 if fault is Fault.RATE_LIMIT else draw.choice(STATUSES) if fault is Fault.STATUS else 0,
        retry_after=draw.choice(_RETRY_AFTER) if fault in {Fault.STATUS, Fault.RATE_LIMIT} else None,
        error_code=draw.choice((429, 500, None)) if fault is Fault.ERROR else None,
        is_nonsense=draw.random() < 0.08,
    )
