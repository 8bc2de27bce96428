"""Puts the reasoning of earlier answers into bodies of Bedrock's Converse API where litellm has lost its place.

litellm puts all reasoning of an answer before its texts and calls, and leaves out what is encrypted. Claude takes an
answer back only as it was, and OpenAI's models there have no other reasoning than encrypted one.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from typing import Any, Final

from reasoning_grpc.domain import Deployment, Part, Reasoning, Role, Text, ToolCall
from reasoning_grpc.litellm_model.request.dialects.claude.features import BINDING_CONTROLS, returns_bound_reasoning
from reasoning_grpc.litellm_model.request.dialects.converse.models import describe_bedrock
from reasoning_grpc.litellm_model.request.model_names import name_deciding_model
from reasoning_grpc.llm import ModelCall

Json = dict[str, Any]

_DROPPED: Final[Json] = {"prefix_mismatch_behavior": "drop_block"}
"""What the provider does with reasoning that no longer fits the conversation."""


def find_correction(call: ModelCall, deployment: Deployment) -> Callable[[Json], Json] | None:
    """Returns the function that corrects the body of a call; None where litellm writes it rightly."""
    if deployment.provider != "bedrock" or not any(map(_has_reasoning, call.messages)):
        return None
    model = name_deciding_model(deployment)
    if not describe_bedrock(model).by_converse:
        return None

    def correct(body: Json) -> Json:
        place_reasoning(body["messages"], call)
        if returns_bound_reasoning(call, model):
            _allow_changes(body)
        return body

    return correct


def place_reasoning(turns: list[Json], call: ModelCall) -> None:
    """Puts the reasoning of each answer to its place in the turns that litellm has written."""
    answers = [turn for turn in turns if turn["role"] == "assistant"]
    for turn, parts in zip(answers, _list_answers(call), strict=True):
        if any(isinstance(part.content, Reasoning) for part in parts):
            turn["content"] = _join(turn["content"], parts)


def _list_answers(call: ModelCall) -> Iterator[list[Part]]:
    """Yields the parts of each answer; successive messages of the assistant are one, as they are for litellm."""
    spoken = (message for message in call.messages if message.role is not Role.SYSTEM)
    for role, messages in groupby(spoken, key=lambda message: message.role):
        if role is Role.ASSISTANT:
            yield [part for message in messages for part in message.content]


def _join(blocks: list[Json], parts: Iterable[Part]) -> list[Json]:
    """Returns litellm's blocks of an answer, texts first, with its reasoning between them."""
    rest = [block for block in blocks if "reasoningContent" not in block]
    joined: list[Json] = []
    texts = calls = 0
    for part in parts:
        match part.content:
            case Reasoning():
                end = _find_block(rest, texts, calls)
                joined += rest[:end]
                rest, texts, calls = rest[end:], 0, 0
                joined.append({"reasoningContent": _write_reasoning(part)})
            case Text():
                texts += 1
            case ToolCall():
                calls += 1
            case _:
                pass
    return joined + rest


def _find_block(blocks: list[Json], texts: int, calls: int) -> int:
    """Returns the place of the first block that follows this many texts and calls."""
    for place, block in enumerate(blocks):
        if "toolUse" in block:
            if calls == 0:
                return place
            calls -= 1
        elif "text" in block:
            if texts == 0 and calls == 0:
                return place
            texts -= 1
    return len(blocks)


def _write_reasoning(part: Part) -> Json:
    assert isinstance(part.content, Reasoning)
    if part.content.redacted:
        return {"redactedContent": part.content.redacted.decode()}
    return {"reasoningText": {"text": part.content.text, "signature": part.signature}}


def _allow_changes(body: Json) -> None:
    """Lets the provider drop reasoning that is bound to another conversation, where it would refuse the request."""
    fields = body.setdefault("additionalModelRequestFields", {})
    fields["thinking"] = {"type": "adaptive", **fields.get("thinking", {}), "block_binding": _DROPPED}
    fields["anthropic_beta"] = [*fields.get("anthropic_beta", []), BINDING_CONTROLS]


def _has_reasoning(message: Any) -> bool:
    return any(isinstance(part.content, Reasoning) for part in message.content)
