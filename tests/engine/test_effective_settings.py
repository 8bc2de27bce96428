"""Settings that take effect otherwise than requested, from the start or after a switch to another model."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from typing import Any, Final

import pytest
from google.protobuf.duration_pb2 import Duration

from reasoning_grpc.config import Config, McpServerEntry, RuleCondition, RuleEntry
from reasoning_grpc.domain import Capability
from reasoning_grpc.litellm_model.origins import create_mark
from reasoning_grpc.v1 import agent_pb2, completion_pb2, events_pb2, messages_pb2, routing_pb2
from tests.support.agent import PRICES, agent_config, collect_events, reasoning_request, write_plan
from tests.support.factories import a_wire_request
from tests.support.serving import config_for, model_entry, provider_entry, serving
from tests.support.upstream import FakeUpstream

Setting = tuple[str, str, str, str]
"""Field, requested value, effective value and cause."""

LONG: Final = "four" * 400
FALLBACK: Final = "FALLBACK"
FALLBACK_LIMIT: Final = "FALLBACK_LIMIT"


@pytest.fixture
async def backup() -> AsyncIterator[FakeUpstream]:
    """Runs the upstream of a second model."""
    async with FakeUpstream() as fake:
        fake.always.reply("from ", "backup")
        yield fake


def describe(settings: Any) -> list[Setting]:
    """Returns the settings as tuples, and checks that each explains its cause in a sentence."""
    assert all(setting.reason.endswith(".") for setting in settings)
    prefix = "EFFECTIVE_SETTING_CAUSE_"
    return [
        (
            each.field,
            each.requested,
            each.effective,
            completion_pb2.EffectiveSettingCause.Name(each.cause).removeprefix(prefix),
        )
        for each in settings
    ]


def split_settings(events: list[events_pb2.StreamCompleteResponse]) -> tuple[list[Setting], list[list[Setting]]]:
    """Returns the settings of `started`, and the settings of each switch."""
    switched = [event.attempt_switched for event in events if event.WhichOneof("kind") == "attempt_switched"]
    return describe(events[0].started.effective_settings), [describe(each.effective_settings) for each in switched]


@dataclass(frozen=True)
class Case:
    """A request that leads to one effective setting."""

    config: Callable[[FakeUpstream, FakeUpstream], Config]
    request: completion_pb2.CompleteRequest
    expected: list[Setting]


def configure_fallback(upstream: FakeUpstream, backup: FakeUpstream, **backup_settings: Any) -> Config:
    """Returns a configuration with a model and its fallback model, and without retries."""
    first = model_entry(upstream.api_base, fallback_models=("backup",))
    return config_for(first, model_entry(backup.api_base, "backup", **backup_settings), max_retries=0)


def configure_rule(upstream: FakeUpstream, backup: FakeUpstream) -> Config:
    """Returns a configuration with a rule that names another model than the request."""
    rule = RuleEntry(id="big", when=RuleCondition(labels={"size": "big"}), route="passthrough", model="backup")
    return replace(configure_fallback(upstream, backup), rules=(rule,))


def configure_missing_server(upstream: FakeUpstream, _: FakeUpstream) -> Config:
    """Returns a configuration with an MCP server that cannot be reached."""
    entry = model_entry(upstream.api_base, capabilities=frozenset({Capability.JSON_SCHEMA}))
    return replace(config_for(entry), mcp_servers={"gone": McpServerEntry(name="gone", url="http://127.0.0.1:1/mcp")})


def user(text: str) -> messages_pb2.Message:
    """Creates a message of the user."""
    return messages_pb2.Message(role=messages_pb2.ROLE_USER, content=[messages_pb2.Part(text=text)])


def five_cache_marks() -> completion_pb2.CompleteRequest:
    """Creates a request with more cache marks than Anthropic takes."""
    parts = [messages_pb2.Part(text=str(number), cache=True) for number in range(5)]
    return completion_pb2.CompleteRequest(messages=[messages_pb2.Message(role=messages_pb2.ROLE_USER, content=parts)])


CASES: Final[dict[str, Case]] = {
    "ROUTING": Case(
        configure_rule,
        a_wire_request(model="fake", labels={"size": "big"}),
        [("model", "fake", "backup", "ROUTING")],
    ),
    "SERVER_LIMIT": Case(
        lambda upstream, _: config_for(
            model_entry(upstream.api_base, capabilities=frozenset({Capability.JSON_SCHEMA})), agent_max_steps=1
        ),
        reasoning_request(agent={"max_steps": 9}),
        [("agent.max_steps", "9", "1", "SERVER_LIMIT")],
    ),
    "FALLBACK_UNSUITABLE": Case(
        lambda upstream, backup: configure_fallback(upstream, backup, context_window_tokens=40),
        a_wire_request("four" * 90, context_policy=completion_pb2.CONTEXT_POLICY_ERROR),
        [("fallback_models", "backup", "", "FALLBACK_UNSUITABLE")],
    ),
    "CONTEXT_WINDOW": Case(
        lambda upstream, _: config_for(model_entry(upstream.api_base, context_window_tokens=600)),
        completion_pb2.CompleteRequest(
            messages=[user(LONG), user(LONG), user("hi")],
            context_policy=completion_pb2.CONTEXT_POLICY_TRUNCATE_OLDEST,
        ),
        [("messages", "3", "1", "CONTEXT_WINDOW")],
    ),
    FALLBACK: Case(configure_fallback, a_wire_request(model="fake"), [("model", "fake", "backup", FALLBACK)]),
    FALLBACK_LIMIT: Case(
        lambda upstream, backup: configure_fallback(upstream, backup, max_output_tokens=100),
        a_wire_request(sampling=completion_pb2.Sampling(max_output_tokens=5000)),
        [("sampling.max_output_tokens", "5000", "100", FALLBACK_LIMIT)],
    ),
    "NOT_USED": Case(
        lambda upstream, _: config_for(model_entry(upstream.api_base)),
        a_wire_request(
            agent=agent_pb2.AgentOptions(
                max_steps=2,
                max_tool_calls=0,
                max_tokens=300,
                max_cost_nano_usd=4,
                allowed_tools=agent_pb2.ToolSelection(names=["current_time", "calculator"]),
                step_timeout=Duration(seconds=5),
                tool_timeout=Duration(nanos=500_000_000),
            )
        ),
        [
            ("agent.max_steps", "2", "", "NOT_USED"),
            ("agent.max_tool_calls", "0", "", "NOT_USED"),
            ("agent.max_tokens", "300", "", "NOT_USED"),
            ("agent.max_cost_nano_usd", "4", "", "NOT_USED"),
            ("agent.allowed_tools", "calculator, current_time", "", "NOT_USED"),
            ("agent.step_timeout", "5s", "", "NOT_USED"),
            ("agent.tool_timeout", "0.5s", "", "NOT_USED"),
        ],
    ),
    "TOOLS_UNAVAILABLE": Case(
        configure_missing_server,
        reasoning_request(agent={"allowed_tools": ["calculator", "gone__any"]}),
        [("agent.allowed_tools", "calculator, gone__any", "calculator", "TOOLS_UNAVAILABLE")],
    ),
    "PROVIDER_LIMIT": Case(
        lambda upstream, _: config_for(provider_entry(upstream, "anthropic")),
        five_cache_marks(),
        [("messages.content.cache", "5", "4", "PROVIDER_LIMIT")],
    ),
    "FOREIGN_SIGNATURE": Case(
        lambda upstream, _: config_for(model_entry(upstream.api_base)),
        completion_pb2.CompleteRequest(
            messages=[
                user("q"),
                messages_pb2.Message(
                    role=messages_pb2.ROLE_ASSISTANT,
                    content=[messages_pb2.Part(text="42", signature=f"{create_mark('gemini/another', '')}c2ln")],
                ),
                user("go on"),
            ]
        ),
        [("messages.content.signature", "1", "0", "FOREIGN_SIGNATURE")],
    ),
}
"""One case for each cause."""


def test_every_cause_has_a_case() -> None:
    """Every cause of an effective setting has a request in these tests that leads to it."""
    names = {value.name for value in completion_pb2.EffectiveSettingCause.DESCRIPTOR.values}

    assert {f"EFFECTIVE_SETTING_CAUSE_{cause}" for cause in CASES} == names - {"EFFECTIVE_SETTING_CAUSE_UNSPECIFIED"}


@pytest.mark.parametrize("cause", CASES)
async def test_a_setting_is_reported_when_it_becomes_known(
    upstream: FakeUpstream, backup: FakeUpstream, cause: str
) -> None:
    """`started` or `attempt_switched` reports an effective setting, and so does the answer of `Complete`."""
    case = CASES[cause]
    if cause in (FALLBACK, FALLBACK_LIMIT):
        upstream.always.fail(429)
    elif cause in ("SERVER_LIMIT", "TOOLS_UNAVAILABLE"):
        upstream.always.reply(write_plan())

    async with serving(case.config(upstream, backup)) as running:
        events = await collect_events(running, case.request)
        answer = await running.client().complete(case.request)

    at_start, after = split_settings(events)
    if cause in (FALLBACK, FALLBACK_LIMIT):
        assert (at_start, after) == ([], [case.expected])
    else:
        assert (at_start, after) == (case.expected, [])
    assert describe(answer.effective_settings) == case.expected


async def test_a_fallback_model_gets_no_higher_limit_than_it_allows(
    upstream: FakeUpstream, backup: FakeUpstream
) -> None:
    """Each fallback model receives the requested limit or its own, whichever is lower, and each switch reports it."""
    upstream.always.fail(429)
    backup.fail(429)
    entries = (
        model_entry(upstream.api_base, max_output_tokens=50),
        model_entry(backup.api_base, "small", max_output_tokens=100),
        model_entry(backup.api_base, "large"),
    )
    request = a_wire_request(
        model="fake",
        fallback_models=["small", "large"],
        sampling=completion_pb2.Sampling(max_output_tokens=5000, temperature=0.5),
    )

    async with serving(config_for(*entries, max_retries=0)) as running:
        events = await collect_events(running, request)

    assert split_settings(events) == (
        [],
        [
            [("model", "fake", "small", FALLBACK), ("sampling.max_output_tokens", "5000", "100", FALLBACK_LIMIT)],
            [("model", "fake", "large", FALLBACK), ("sampling.max_output_tokens", "5000", "5000", FALLBACK)],
        ],
    )
    sent = [(each.body["model"], each.body["max_tokens"]) for each in (*upstream.requests, *backup.requests)]
    assert sent == [("fake", 5000), ("small", 100), ("large", 5000)]
    assert {each.body["temperature"] for each in backup.requests} == {0.5}


async def test_a_switch_reports_what_the_provider_of_the_next_model_takes_otherwise(
    upstream: FakeUpstream, backup: FakeUpstream
) -> None:
    """Each switch reports the settings that its model takes otherwise than the model before it."""
    upstream.always.fail(429)
    entries = (
        model_entry(upstream.api_base),
        provider_entry(upstream, "anthropic", name="claude"),
        model_entry(backup.api_base, "last"),
    )
    request = five_cache_marks()
    request.fallback_models.extend(["claude", "last"])

    async with serving(config_for(*entries, max_retries=0)) as running:
        events = await collect_events(running, request)

    field = "messages.content.cache"
    assert split_settings(events) == (
        [],
        [[(field, "5", "4", "PROVIDER_LIMIT")], [(field, "5", "5", FALLBACK)]],
    )


@pytest.mark.parametrize(
    ("limit", "sampling"),
    [
        pytest.param(None, {"max_output_tokens": 5000}, id="a limit that is not known"),
        pytest.param(5000, {"max_output_tokens": 5000}, id="the limit itself"),
        pytest.param(100, {}, id="nothing requested"),
    ],
)
async def test_a_switch_that_changes_nothing_requested_reports_nothing(
    upstream: FakeUpstream, backup: FakeUpstream, limit: int | None, sampling: dict[str, Any]
) -> None:
    """A switch reports no setting when the request names no model and all that it requests still takes effect."""
    upstream.always.fail(429)
    request = a_wire_request(sampling=completion_pb2.Sampling(**sampling))

    async with serving(configure_fallback(upstream, backup, max_output_tokens=limit)) as running:
        events = await collect_events(running, request)

    assert split_settings(events) == ([], [[]])


async def test_a_retry_with_the_same_model_reports_nothing(upstream: FakeUpstream) -> None:
    """A retry with the requested model reports no setting, because everything takes effect as requested."""
    upstream.fail(503)
    entry = model_entry(upstream.api_base, max_output_tokens=10)
    request = a_wire_request(model="fake", sampling=completion_pb2.Sampling(max_output_tokens=5000))

    async with serving(config_for(entry)) as running:
        events = await collect_events(running, request)

    assert split_settings(events) == ([], [[]])
    assert [each.body["max_tokens"] for each in upstream.requests] == [5000, 5000]


async def test_the_agent_reports_the_switches_of_its_answer_alone(upstream: FakeUpstream, backup: FakeUpstream) -> None:
    """Only a switch for the answer reports a limit: the calls for steps have limits of their own."""
    upstream.fail(429)
    upstream.fail(429)
    backup.reply(write_plan())
    backup.reply("The answer.")
    config = agent_config(
        upstream, entry=model_entry(upstream.api_base, prices=PRICES, fallback_models=("backup",)), max_retries=0
    )
    second = model_entry(backup.api_base, "backup", prices=PRICES, max_output_tokens=100)
    request = reasoning_request(model="fake", sampling=completion_pb2.Sampling(max_output_tokens=5000))
    request.routing.mode = routing_pb2.ROUTING_MODE_REASONING

    async with serving(replace(config, models={**config.models, "backup": second})) as running:
        events = await collect_events(running, request)

    changed = [("model", "fake", "backup", FALLBACK), ("sampling.max_output_tokens", "5000", "100", FALLBACK_LIMIT)]
    assert split_settings(events) == ([], [[], changed])
    assert [event.step for event in events if event.WhichOneof("kind") == "attempt_switched"] == [1, 0]
    assert [each.body["max_tokens"] for each in backup.requests] == [100, 100]


async def test_the_agent_reports_the_amount_of_reasoning_after_a_switch_of_a_step(
    upstream: FakeUpstream, backup: FakeUpstream
) -> None:
    """A fallback model that plans a step with less reasoning than was requested reports it."""
    upstream.fail(429)
    backup.reply(write_plan())
    upstream.reply("The answer.")
    first = model_entry(upstream.api_base, prices=PRICES, fallback_models=("backup",))
    config = agent_config(upstream, entry=first, max_retries=0)
    second = model_entry(backup.api_base, "backup", litellm_model="openai/o3", prices=PRICES)
    request = reasoning_request(
        model="fake", reasoning=completion_pb2.ReasoningOptions(effort=completion_pb2.REASONING_EFFORT_XHIGH)
    )

    async with serving(replace(config, models={**config.models, "backup": second})) as running:
        events = await collect_events(running, request)

    assert split_settings(events) == ([], [[("reasoning.effort", "XHIGH", "HIGH", "PROVIDER_LIMIT")]])
    assert [event.step for event in events if event.WhichOneof("kind") == "attempt_switched"] == [1]
    assert [each.body["reasoning"]["effort"] for each in backup.requests] == ["high"]
