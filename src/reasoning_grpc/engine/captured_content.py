"""`capture_content`: puts the question and the answer of a call on its span, where the operator requests content."""

import json
from collections.abc import AsyncGenerator
from typing import Final

from opentelemetry.trace import Span

from reasoning_grpc.domain import CompletionRequest, Message, Refusal, Text
from reasoning_grpc.domain.events import ContentDelta, StreamEvent
from reasoning_grpc.telemetry import MAX_TEXT_CHARACTERS, OpenInference, TextBudget, cut_text

SESSION_LABEL: Final = "session_id"
"""The label by which a caller says to which conversation a request belongs."""


async def capture_content(
    events: AsyncGenerator[StreamEvent, None], request: CompletionRequest, span: Span
) -> AsyncGenerator[StreamEvent, None]:
    """Yields the events of an answer, and records the last message, the answer and the caller's ids on the span."""
    span.set_attributes(_describe_request(request))
    budget, texts = TextBudget(MAX_TEXT_CHARACTERS), list[str]()
    try:
        async for placed in events:
            if isinstance(placed.event, ContentDelta) and budget.remaining:
                texts.append(budget.take(placed.event.text))
            yield placed
    finally:
        await events.aclose()
        span.set_attribute(OpenInference.OUTPUT_VALUE, "".join(texts))


def _describe_request(request: CompletionRequest) -> dict[str, str]:
    attributes: dict[str, str] = {OpenInference.INPUT_VALUE: cut_text(_join_texts(request.messages[-1]))}
    if request.end_user:
        attributes[OpenInference.USER_ID] = request.end_user
    if request.labels:
        attributes[OpenInference.METADATA] = json.dumps(dict(request.labels), ensure_ascii=False)
    if session := request.labels.get(SESSION_LABEL):
        attributes[OpenInference.SESSION_ID] = session
    return attributes


def _join_texts(message: Message) -> str:
    contents = (part.content for part in message.content)
    return "\n\n".join(content.text for content in contents if isinstance(content, Text | Refusal))
