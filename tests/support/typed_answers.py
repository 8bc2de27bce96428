"""A schema as a classifier has it, and what a request for such an answer yields."""

from dataclasses import dataclass
from typing import Any, Final

from reasoning_grpc.domain import (
    ModelCallPurpose,
    Role,
    Text,
)
from reasoning_grpc.domain.events import (
    Event,
    ModelCallFinished,
    ModelCallStarted,
)
from reasoning_grpc.llm.port import LanguageModel, ModelCall
from reasoning_grpc.llm.structured import (
    STRING,
    FlawedAnswer,
    Schema,
    TypedAnswer,
    object_of,
    one_of,
    stream_structured_answer,
)
from tests.support.factories import a_call, a_context
from tests.support.models import make_resilient

ROUTING: Final = ModelCallPurpose.ROUTING
STEP: Final = ModelCallPurpose.STEP
REPAIR: Final = ModelCallPurpose.REPAIR


@dataclass(frozen=True)
class Choice:
    """A typical answer of a classifier."""

    route: str
    reason: str


CHOICE: Final = Schema(
    "choice", object_of(route=one_of(["direct", "reasoning"]), reason=STRING), lambda fields: Choice(**fields)
)
GOOD: Final = '{"route": "direct", "reason": "It is short."}'


async def collect(model: LanguageModel, call: ModelCall | None = None, **options: Any) -> tuple[list[Event], Any]:
    """Returns the events of the model calls, and the outcome."""
    options = {"schema": CHOICE, "purpose": ROUTING, **options}
    stream = stream_structured_answer(make_resilient(model), call or a_call(), context=a_context(), **options)
    *events, outcome = [event async for event in stream]
    assert not any(isinstance(event, TypedAnswer | FlawedAnswer) for event in events)
    return events, outcome  # type: ignore[return-value]


def list_calls(events: list[Event]) -> list[tuple[str, ModelCallPurpose]]:
    """Returns the model calls among the events, by their purposes."""
    calls = [event for event in events if isinstance(event, ModelCallStarted | ModelCallFinished)]
    return [(type(event).__name__.removeprefix("ModelCall"), event.purpose) for event in calls]


def list_texts(call: ModelCall) -> list[tuple[Role, str]]:
    """Returns role and text of each message of a call."""
    return [
        (message.role, "".join(part.content.text for part in message.content if isinstance(part.content, Text)))
        for message in call.messages
    ]
