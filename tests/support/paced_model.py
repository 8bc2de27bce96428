"""`PacedModel`: plans, works on tasks and answers at a pace that the request chooses, in the process of the test."""

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any, Final

from reasoning_grpc.catalog import ModelTable
from reasoning_grpc.domain import CallContext, Deployment, FinishReason, Message, Text, Usage, UsageMeter, UsageSource
from reasoning_grpc.domain.events import ContentDelta, ModelEvent, ModelFinished
from reasoning_grpc.llm import ModelCall
from tests.fuzz.instant_model import InstantModel

DELTAS: Final = 5
USAGE: Final = Usage(10, DELTAS, 10 + DELTAS, UsageSource.PROVIDER)


class PacedModel(InstantModel):
    """Takes for each call as long as the question says, as JSON: `seconds`, and the `tasks` of its plan."""

    def __init__(self, table: ModelTable) -> None:
        super().__init__(table)
        self.calls = 0

    async def stream(
        self,
        call: ModelCall,
        deployment: Deployment,  # noqa: ARG002
        context: CallContext,  # noqa: ARG002
        meter: UsageMeter,
    ) -> AsyncGenerator[ModelEvent, None]:
        """See `LanguageModel.stream`."""
        self.calls += 1
        meter.was_sent = lambda: True
        pace = read_pace(call.messages)
        kind = "" if call.response_format is None else call.response_format.name
        text = {
            "tasks": json.dumps({"tasks": pace["tasks"]}),
            "plan": json.dumps({"thought": "hm", "next_action": pace["action"]}),
        }.get(kind, "word " * DELTAS)
        size = -(-len(text) // DELTAS)
        for start in range(0, len(text), size):
            await asyncio.sleep(pace["seconds"] / DELTAS)
            yield ContentDelta(text[start : start + size])
        yield ModelFinished(call.model, FinishReason.STOP, "stop", USAGE, pace["seconds"])


def read_pace(messages: tuple[Message, ...]) -> dict[str, Any]:
    """Reads the pace from the question of a call."""
    texts = [part.content.text for message in messages for part in message.content if isinstance(part.content, Text)]
    found = next(text for text in texts if text.startswith('{"seconds"'))
    pace: dict[str, Any] = json.JSONDecoder().raw_decode(found)[0]
    return pace
