"""Whatever stands in the events of Bedrock's streams, nothing but malformed answers and reported errors comes of it."""

import base64
import json
from contextlib import suppress
from typing import Any, Final

from hypothesis import given
from hypothesis import strategies as st

from reasoning_grpc.litellm_model.answers import ErrorInAnswer, MalformedAnswer
from reasoning_grpc.litellm_model.protocols.bedrock import EVENTS, ConverseObserver
from reasoning_grpc.litellm_model.protocols.bedrock_invoke import InvokeObserver

NAMES: Final = sorted(
    {"additionalModelResponseFields", "cacheDetails", "cacheReadInputTokens", "choices", "content", "contentBlockIndex"}
    | {"delta", "generation", "input", "inputTokens", "message", "name", "output", "outputs", "outputText", "p"}
    | {"reasoningContent", "redactedContent", "signature", "start", "stopReason", "text", "toolResult", "toolUse"}
    | {"toolUseId", "totalTokens", "ttl", "type", "usage"}
)
VALUES: Final[st.SearchStrategy[Any]] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=12,
)
READING: Final = (MalformedAnswer, ErrorInAnswer)


@given(events=st.lists(st.tuples(st.sampled_from(EVENTS), VALUES), max_size=8))
def test_events_of_converse(events: list[tuple[str, Any]]) -> None:
    """An event may hold any values; the observer returns events for litellm, or says what is wrong."""
    observer = ConverseObserver()
    with suppress(*READING):
        for name, payload in [("messageStart", {}), *events]:
            for line in observer.observe_event(json.dumps({name: payload}).encode()):
                assert json.loads(line).keys() <= set(EVENTS)


@given(events=st.lists(VALUES | st.dictionaries(st.sampled_from([*EVENTS, *NAMES]), VALUES, max_size=4), max_size=5))
def test_events_in_chunks(events: list[Any]) -> None:
    """A chunk may hold any JSON."""
    observer = InvokeObserver()
    with suppress(*READING):
        for event in events:
            encoded = base64.b64encode(json.dumps(event).encode()).decode()
            for line in observer.observe_event(json.dumps({"chunk": {"bytes": encoded}}).encode()):
                assert json.loads(line).keys() == {"chunk"}


@given(body=VALUES)
def test_whole_answers(body: Any) -> None:
    """A body that is no stream may be any JSON."""
    for observer in (ConverseObserver(), InvokeObserver()):
        with suppress(*READING):
            observer.observe_whole(json.dumps(body).encode())
