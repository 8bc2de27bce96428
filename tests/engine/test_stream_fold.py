"""Whatever an upstream answers, `Complete` is the fold of `StreamComplete`, and nothing is lost or reordered."""

from typing import Any, Final

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reasoning_grpc.v1 import completion_pb2
from tests.support.factories import a_wire_request
from tests.support.fold_check import check_fold
from tests.support.serving import RunningServer
from tests.support.upstream import FakeToolCall, FakeUpstream, chunk

PROPERTY: Final = settings(
    max_examples=60,
    deadline=None,
    database=None,
    # One server answers all examples; each scripts its own answers.
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
TEXT: Final = st.text(st.characters(codec="utf-8"), max_size=12)
TEXTS: Final = st.lists(TEXT, max_size=5)
COUNT: Final = st.integers(0, 2**40)
USAGE: Final = st.none() | st.fixed_dictionaries(
    {},
    optional={
        "prompt_tokens": COUNT,
        "completion_tokens": COUNT,
        "total_tokens": COUNT,
        "prompt_tokens_details": st.fixed_dictionaries({}, optional={"cached_tokens": COUNT}),
        "completion_tokens_details": st.fixed_dictionaries({}, optional={"reasoning_tokens": COUNT}),
    },
)


@st.composite
def tool_calls(draw: st.DrawFn) -> list[FakeToolCall]:
    """Draws calls of the caller's tools, whose arguments arrive in several chunks."""
    count = draw(st.integers(0, 3))
    indexed = draw(st.booleans())
    arguments = st.lists(TEXT, min_size=1, max_size=3)
    return [FakeToolCall(f"call_{n}", f"tool_{n}", draw(arguments), indexed=indexed) for n in range(count)]


SCRIPT: Final = st.fixed_dictionaries(
    {
        "tokens": TEXTS,
        "reasoning": TEXTS,
        "refusal": st.none() | TEXT,
        "tool_calls": tool_calls(),
        "usage": USAGE,
        "finish_reason": st.sampled_from(["auto", "length", "content_filter", "max_tokens", "eos", "odd", None]),
        "done": st.booleans(),
        "together": st.booleans(),
    }
)
DELTA: Final = st.one_of(
    st.fixed_dictionaries({"content": TEXT}),
    st.fixed_dictionaries({"reasoning_content": TEXT}),
    st.fixed_dictionaries({"refusal": TEXT}),
    st.builds(
        lambda index, arguments: {"tool_calls": [{"index": index, "function": {"arguments": arguments}}]},
        st.integers(0, 2),
        TEXT,
    ),
    st.builds(
        lambda text, signature: {"thinking_blocks": [{"type": "thinking", "thinking": text, "signature": signature}]},
        TEXT,
        TEXT,
    ),
    st.builds(lambda data: {"thinking_blocks": [{"type": "redacted_thinking", "data": data}]}, TEXT),
)


@PROPERTY
@given(script=SCRIPT, include=st.booleans())
async def test_complete_is_the_fold_of_the_stream(
    upstream: FakeUpstream, running_server: RunningServer, script: dict[str, Any], include: bool
) -> None:
    """Whatever the upstream answers, cut or whole, both RPCs give the same answer, and the events keep their order."""
    upstream.always.reply(*script["tokens"], **{name: value for name, value in script.items() if name != "tokens"})
    request = a_wire_request(include=completion_pb2.IncludeOptions(reasoning=include))

    await check_fold(running_server, request)


@PROPERTY
@given(
    deltas=st.lists(DELTA, max_size=12),
    finish_reason=st.sampled_from(["stop", None]),
    together=st.booleans(),
    include=st.booleans(),
)
async def test_any_order_of_deltas_is_kept(
    upstream: FakeUpstream,
    running_server: RunningServer,
    deltas: list[dict[str, Any]],
    finish_reason: str | None,
    together: bool,
    include: bool,
) -> None:
    """Deltas of all kinds may come in any order, and the parts of the answer are in the same order."""
    upstream.always.chunks(*map(chunk, deltas), finish=finish_reason, done=True, together=together)
    request = a_wire_request(include=completion_pb2.IncludeOptions(reasoning=include))

    await check_fold(running_server, request)


@settings(PROPERTY, max_examples=30)
@given(tokens=st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=9), min_size=1, max_size=6))
async def test_text_arrives_as_it_was_sent(
    upstream: FakeUpstream, running_server: RunningServer, tokens: list[str]
) -> None:
    """No character of the answer is lost or changed, however the upstream cuts the text into chunks."""
    upstream.reply(*tokens)

    response = await running_server.client().complete(a_wire_request())

    assert [part.text for part in response.message.content] == ["".join(tokens)]
