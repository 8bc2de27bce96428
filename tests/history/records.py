"""The histories of a round: calls as their clients saw them, exchanges in the upstream's ledger, lines of the log."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

from reasoning_grpc.client import CallFailed, Folder
from reasoning_grpc.v1 import classification_pb2, completion_pb2, events_pb2, messages_pb2
from tests.history.plan import FINISHED, UNCOUNTED, CallPlan, ExchangePlan, Rpc

Response = completion_pb2.CompleteResponse | classification_pb2.ClassifyResponse
REQUEST_ID: Final = re.compile(r"call-(\d+)-(\d+)")
OWN_TOOL: Final = "lookup"
"""The tool of the callers' own."""


class Purpose(Enum):
    """What the upstream takes a request for, by its body alone."""

    ROUTING = "routing"
    STEP = "step"
    ANSWER = "answer"
    """The text that the caller gets: on the direct path, or after the agent's thinking."""


@dataclass(slots=True, kw_only=True)
class CallRecord:
    """One call as its client saw it. Times are seconds of the event loop's clock."""

    plan: CallPlan
    began: float = 0.0
    ended: float = 0.0
    events: list[tuple[float, events_pb2.StreamCompleteResponse]] = field(default_factory=list)
    response: Response | None = None
    """The answer of a unary call that succeeded."""
    code: str = ""
    """The name of the status."""
    failure: CallFailed | None = None
    """The status that the server sent; None when the call succeeded, or when its client ended it."""
    paused: "CallRecord | None" = None
    """The call whose run this one goes on with; None for the first call of a run."""

    @property
    def is_ended_by_server(self) -> bool:
        """Whether the status came from the server, and not from the client's own cancel or deadline."""
        return self.code == "OK" or self.failure is not None

    @property
    def messages(self) -> list[events_pb2.StreamCompleteResponse]:
        """The events without their times."""
        return [event for _, event in self.events]

    @property
    def text(self) -> str:
        """The text of the answer that the client received."""
        if isinstance(self.response, completion_pb2.CompleteResponse):
            return "".join(part.text for part in self.response.message.content)
        return "".join(event.content_delta.text for event in self.messages)

    @property
    def end(self) -> events_pb2.Completed | completion_pb2.CompleteResponse | None:
        """The message with the totals of an answer that succeeded."""
        if isinstance(self.response, completion_pb2.CompleteResponse):
            return self.response
        completed = [event.completed for event in self.messages if event.WhichOneof("kind") == "completed"]
        return completed[-1] if completed and self.plan.rpc is Rpc.STREAM else None

    @property
    def has_paused(self) -> bool:
        """Whether the answer is a run that waits for its caller."""
        end = self.end
        return end is not None and end.finish_reason == completion_pb2.FINISH_REASON_TOOL_CALLS

    def read_message(self) -> messages_pb2.Message:
        """Returns the message of an answer that succeeded."""
        if isinstance(self.response, completion_pb2.CompleteResponse):
            return self.response.message
        folder = Folder()
        for event in self.messages:
            folder.add(event)
        return folder.response().message


@dataclass(slots=True, kw_only=True)
class Exchange:
    """One request that the upstream received, and what it sent."""

    number: int
    """The number of the call."""
    ordinal: int
    """Position among the requests of the call: 1, 2, ..."""
    plan: ExchangePlan
    model: str
    purpose: Purpose
    prompt: str
    """A hash of the messages: requests for the same model call have the same."""
    body_bytes: int
    pieces: tuple[str, ...]
    """The tokens of the whole answer."""
    received: float = 0.0
    sent: int = 0
    """The number of tokens that were handed to the connection."""
    is_usage_sent: bool = False
    is_mixed_up: bool = False
    """Whether the prompt and the person of the request name different calls."""
    is_over: bool = False
    """Whether the upstream has played the exchange to its planned end."""

    @property
    def sent_text(self) -> str:
        """The text of the tokens that were sent; the server has read a prefix of it."""
        return "".join(self.pieces[: self.sent])

    @property
    def is_finished(self) -> bool:
        """Whether the answer was sent with its finish reason."""
        return self.is_over and self.plan.fault in FINISHED

    @property
    def is_counted(self) -> bool:
        """Whether the upstream reported tokens for a finished answer."""
        return self.is_finished and self.plan.fault not in UNCOUNTED


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Everything that happened in a round."""

    seed: int
    calls: Sequence[CallRecord]
    exchanges: Mapping[int, Sequence[Exchange]]
    """The ledger of the upstream, by the number of the call."""
    lines: Mapping[int, Sequence[Mapping[str, Any]]]
    """The lines of the server's log, by the number of the call."""
    stray_lines: Sequence[str] = ()
    """What the server wrote to standard error beside its log, and the errors in its log that are of no call."""

    def exchanges_of(self, call: CallRecord) -> Sequence[Exchange]:
        """Returns what the upstream received of a call, in order."""
        return self.exchanges.get(call.plan.number, ())

    def lines_of(self, call: CallRecord) -> Sequence[Mapping[str, Any]]:
        """Returns what the server logged of a call."""
        return self.lines.get(call.plan.number, ())


def write_request_id(seed: int, number: int) -> str:
    """Returns the id that the client, the server's log and the upstream know a call by."""
    return f"call-{seed}-{number}"


def read_request_id(text: str) -> tuple[int, int]:
    """Returns the seed and the number of the call with this id."""
    match = REQUEST_ID.fullmatch(text)
    if match is None:
        raise ValueError(f"no id of a planned call: {text!r}")
    return int(match[1]), int(match[2])


def write_token(number: int, ordinal: int, position: int) -> str:
    """Returns a token that names the call, the upstream's own request and its position. All have the same length."""
    return f"<{number:07d}.{ordinal:02d}:{position:03d}>"
