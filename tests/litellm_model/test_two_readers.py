"""Recorded answers mean the same when our reader and when litellm's readers read them.

tests/support/recorded has answers as servers send them, one file each: dialects of the OpenAI protocol, by the server
that speaks them, and forms that several servers have. The server reads all of them with our own reader. Here litellm's
reader of each provider reads them too, over our connections. How deltas are grouped may differ; all else is compared.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import pytest

from reasoning_grpc.litellm_model.chat_call import ChatCall
from reasoning_grpc.litellm_model.completion_call import CompletionCall
from reasoning_grpc.litellm_model.provider_call import ProviderCall
from reasoning_grpc.litellm_model.request import prepare_call
from reasoning_grpc.litellm_model.request_mapping import RequestMapper
from reasoning_grpc.litellm_model.transport.http_transport import HttpTransport
from tests.support.adapter_reading import Reading, play, read_answer
from tests.support.received import receive_answer
from tests.support.serving import RunningServer, config_for, model_entry, serving
from tests.support.unsent import a_deployment, a_model_call
from tests.support.upstream import FakeUpstream

pytestmark = pytest.mark.thorough

OWN: Final = "openai"
READ_BY_LITELLM: Final = (
    *("hosted_vllm", "deepseek", "groq", "mistral", "together_ai", "openrouter", "xai", "fireworks_ai"),
    "databricks",
)
RECORDED: Final = {path.stem: path for path in sorted((Path(__file__).parents[1] / "support" / "recorded").iterdir())}

EMPTY_ARGUMENTS: Final = "litellm's reader of Databricks empties the arguments {} of a call that comes whole"
NO_BLOCKS: Final = "litellm's reader of Databricks leaves out signatures and withheld reasoning"
DIFFERENCES: Final[Mapping[tuple[str, str], Mapping[str, str]]] = {
    ("calls-without-ids", "databricks"): {"calls": EMPTY_ARGUMENTS, "usage": EMPTY_ARGUMENTS},
    ("calls-without-index", "databricks"): {"calls": EMPTY_ARGUMENTS, "usage": EMPTY_ARGUMENTS},
    ("whole-tools", "databricks"): {"calls": EMPTY_ARGUMENTS},
    ("databricks-parts", "databricks"): {"signatures": NO_BLOCKS},
    ("litellm-proxy-thinking", "databricks"): {"signatures": NO_BLOCKS, "redacted": NO_BLOCKS, "order": NO_BLOCKS},
}
"""What litellm's reader gives differently, by recording and provider, and why."""

EXPECTED: Final[Mapping[str, Mapping[str, Any]]] = {
    "azure-filtered": {"text": "First, take", "ended": "CONTENT_FILTER content_filter"},
    "azure-filters": {"text": "Fjords are deep.", "ended": "STOP stop", "tokens": [19, 10]},
    "bare-chunks": {"text": "bare bones", "ended": "STOP stop"},
    "call-with-arguments-as-object": {
        "calls": [["c1", "weather", '{"city": "Oslo"}', ""]],
        "ended": "TOOL_CALLS tool_calls",
    },
    "call-with-null-arguments": {"calls": [["c1", "now", "", ""]], "ended": "TOOL_CALLS tool_calls"},
    "calls-after-text": {
        "reasoning": "hm",
        "text": "Let me look.!",
        "calls": [["c1", "weather", '{"city":"Oslo"}', ""]],
        "ended": "TOOL_CALLS tool_calls",
    },
    "calls-with-id-and-name-repeated": {
        "calls": [["c1", "weather", '{"city":"Oslo"}', ""]],
        "ended": "TOOL_CALLS tool_calls",
    },
    "calls-without-ids": {
        "calls": [["", "weather", '{"city":"Oslo"}', ""], ["", "clock", "{}", ""]],
        "ended": "TOOL_CALLS tool_calls",
    },
    "calls-without-index": {
        "calls": [["c1", "weather", '{"city":"Oslo"}', ""], ["c2", "clock", "{}", ""]],
        "ended": "TOOL_CALLS tool_calls",
    },
    "cerebras-reasoning": {"reasoning": "Quick sum.", "text": "7", "ended": "STOP stop", "tokens": [70, 20]},
    "dashscope-tools": {
        "calls": [["call_9f1", "weather", '{"city": "Oslo"}', ""]],
        "ended": "TOOL_CALLS tool_calls",
        "tokens": [200, 20],
    },
    "databricks-parts": {
        "reasoning": "First, look.",
        "signatures": ["RXFRQg=="],
        "text": "Seen.",
        "ended": "STOP stop",
        "tokens": [40, 55],
    },
    "deepseek-reasoning": {
        "reasoning": "The user greets.",
        "text": "Hello there",
        "ended": "STOP stop",
        "tokens": [18, 30],
    },
    "deepseek-tools": {
        "calls": [["call_0_3a", "weather", '{"city":"Oslo"}', ""]],
        "ended": "TOOL_CALLS tool_calls",
        "tokens": [18, 30],
    },
    "finish-error": {"text": "Half", "error": "UPSTREAM_ERROR"},
    "fireworks-text": {"text": "Fireworks", "ended": "STOP stop", "tokens": [16, 4]},
    "function-call": {"calls": [["", "weather", '{"city":"Oslo"}', ""]], "ended": "TOOL_CALLS function_call"},
    "gemini-openai-old-tools": {
        "calls": [["", "weather", '{"city":"Oslo"}', ""], ["", "weather", '{"city":"Bergen"}', ""]],
        "ended": "TOOL_CALLS stop",
    },
    "gemini-openai-tools": {
        "calls": [
            ["function-call-18", "weather", '{"city":"Oslo"}', "CiIB0e"],
            ["function-call-19", "weather", '{"city":"Bergen"}', ""],
        ],
        "ended": "TOOL_CALLS stop",
        "tokens": [70, 25],
    },
    "groq-reasoning": {"reasoning": "Easy one.", "text": "4", "ended": "STOP stop", "tokens": [18, 9]},
    "groq-text": {"text": "Salt and light.", "ended": "STOP stop", "tokens": [18, 9]},
    "groq-tools": {
        "calls": [["call_3p7z", "weather", '{"city":"Oslo"}', ""], ["call_9k2q", "clock", '{"zone":"CET"}', ""]],
        "ended": "TOOL_CALLS tool_calls",
        "tokens": [18, 9],
    },
    "half-surrogates": {"text": "ok 😀 half �", "ended": "STOP stop"},
    "litellm-proxy-signed-call": {
        "calls": [["call_5f__thought__Ci4Bfa==", "weather", '{"city": "Oslo"}', "Ci4Bfa=="]],
        "ended": "TOOL_CALLS tool_calls",
        "tokens": [60, 33],
    },
    "litellm-proxy-thinking": {
        "reasoning": "Let me think.",
        "signatures": ["EqQB9w=="],
        "redacted": [b"EmwKAhgB"],
        "text": "Done.",
        "ended": "STOP stop",
        "tokens": [60, 33],
    },
    "llamacpp-text": {"text": "Sure!", "ended": "STOP stop", "tokens": [14, 3]},
    "marks-in-the-text": {
        "text": "The stream ends with `data: [DONE]` and lines\u2028with\u2029odd\x85ends,"
        ' <s>tags</s>, data: {"a": 1}\n\nevent: error',
        "ended": "STOP stop",
    },
    "mistral-references": {"text": "Oslo is old.", "ended": "STOP stop", "tokens": [13, 31]},
    "mistral-thinking": {
        "reasoning": "Okay, a greeting.",
        "text": "Bonjour, monde",
        "ended": "STOP stop",
        "tokens": [13, 31],
    },
    "mistral-tools": {
        "calls": [["D681PevKs", "weather", '{"city": "Oslo"}', ""], ["Xr19aaBc2", "clock", '{"zone": "CET"}', ""]],
        "ended": "TOOL_CALLS tool_calls",
        "tokens": [13, 31],
    },
    "moonshot-usage-in-choice": {"text": "Moonshot", "ended": "STOP stop", "tokens": [19, 13]},
    "nulls-everywhere": {"text": "x", "ended": "STOP stop"},
    "ollama-old-tools": {
        "calls": [["call_a", "weather", '{"city":"Oslo"}', ""], ["call_b", "weather", '{"city":"Bergen"}', ""]],
        "ended": "TOOL_CALLS stop",
    },
    "ollama-tools": {
        "reasoning": "Need data.",
        "calls": [["call_tb4", "weather", '{"city":"Oslo"}', ""]],
        "ended": "TOOL_CALLS tool_calls",
        "tokens": [160, 22],
    },
    "openai-logprobs": {"text": "Já", "ended": "STOP stop", "tokens": [19, 10]},
    "openai-refusal": {"refusal": "I can't help with that.", "ended": "STOP stop", "tokens": [19, 10]},
    "openai-text": {"text": "Paris is the capital.", "ended": "STOP stop", "tokens": [19, 10]},
    "openai-tools": {
        "calls": [["call_A1", "weather", '{"city":"Oslo"}', ""], ["call_B2", "clock", '{"zone":"CET"}', ""]],
        "ended": "TOOL_CALLS tool_calls",
        "tokens": [19, 10],
    },
    "openrouter-details": {"reasoning": "Weighing both.", "text": "Both.", "ended": "STOP stop", "tokens": [24, 40]},
    "openrouter-error": {"text": "Half", "error": "UPSTREAM_ERROR"},
    "openrouter-reasoning": {
        "reasoning": "Let me see.",
        "signatures": ['{"type":"reasoning.text","format":"anthropic-claude-v1","index":0,"signature":"EqQB"}'],
        "text": "Okay",
        "ended": "STOP stop",
        "tokens": [24, 40],
    },
    "perplexity-message-so-far": {"text": "Rain is wet[1].", "ended": "STOP stop", "tokens": [5, 4]},
    "refusal-part": {"refusal": "No.", "ended": "STOP stop"},
    "sglang-tools": {
        "text": "Looking it up.",
        "calls": [["call_a4d6", "weather", '{"city": "Oslo"}', ""]],
        "ended": "TOOL_CALLS tool_calls",
        "tokens": [180, 23],
    },
    "text-after-the-finish": {"text": "a b", "ended": "STOP stop"},
    "text-with-the-finish": {"text": "a b", "ended": "LENGTH length"},
    "tgi-old-tools": {"calls": [["", "weather", '{"city":"Oslo"}', ""]], "ended": "TOOL_CALLS eos_token"},
    "tgi-text": {"text": "Up and on", "ended": "STOP eos_token", "tokens": [9, 4]},
    "together-text": {"text": "ABC DEF", "ended": "STOP eos", "tokens": [12, 3]},
    "unknown-fields": {"text": "abc", "ended": "STOP stop"},
    "usage-not-sent": {"text": "a", "ended": "STOP stop"},
    "vllm-reasoning-twice": {"reasoning": "Hm, two.", "text": "2", "ended": "STOP stop", "tokens": [21, 15]},
    "vllm-reasoning": {"reasoning": "Hm, two.", "text": "\n\n2", "ended": "STOP stop", "tokens": [21, 15]},
    "vllm-running-usage": {"text": "One two", "ended": "LENGTH length", "tokens": [21, 3]},
    "vllm-tools": {
        "calls": [["chatcmpl-tool-77", "weather", '{"city": "Oslo"}', ""]],
        "ended": "TOOL_CALLS tool_calls",
        "tokens": [21, 15],
    },
    "whole-reasoning": {"reasoning": "Hm.", "text": "Yes.", "ended": "STOP stop", "tokens": [21, 15]},
    "whole-text": {"text": "All [DONE] at once.", "ended": "STOP stop", "tokens": [19, 10]},
    "whole-tools": {
        "calls": [["call_1", "weather", '{"city":"Oslo"}', ""], ["call_2", "clock", "{}", ""]],
        "ended": "TOOL_CALLS tool_calls",
        "tokens": [19, 10],
    },
    "xai-reasoning": {"reasoning": "Thinking hard", "text": "42", "ended": "STOP stop", "tokens": [32, 103]},
    "xai-running-usage": {"text": "Coca-Cola", "ended": "STOP stop", "tokens": [38, 3]},
    "zhipu-sensitive": {"reasoning": "Hmm", "text": "Well", "ended": "CONTENT_FILTER sensitive", "tokens": [8, 4]},
}
"""What each recorded answer says, with its tokens where the server counted them."""


@pytest.fixture
async def server(upstream: FakeUpstream) -> AsyncIterator[RunningServer]:
    """A server with a model of the OpenAI protocol, which the fake upstream serves."""
    entry = model_entry(upstream.api_base, OWN, litellm_model=f"{OWN}/fake")
    async with serving(config_for(entry, max_retries=0)) as running:
        yield running


async def read(upstream: FakeUpstream, transport: HttpTransport, provider: str) -> Reading:
    """Returns what our reader, or litellm's reader of a provider, reads."""
    deployment = a_deployment(f"{provider}/fake", api_base=upstream.api_base)
    call, exchange = a_model_call(), transport.open_exchange({})
    prepared = prepare_call(call, deployment)
    made: ProviderCall = (
        ChatCall(call, deployment, exchange, prepared, RequestMapper())
        if provider == OWN
        else CompletionCall(call, deployment, exchange, prepared, {})
    )
    try:
        return await read_answer(made, deployment)
    finally:
        exchange.close()


@pytest.mark.parametrize("recording", RECORDED)
async def test_our_reader_understands_every_dialect(
    upstream: FakeUpstream, server: RunningServer, recording: str
) -> None:
    """Our own reader understands every recorded dialect."""
    play(upstream, RECORDED[recording])

    answer = await receive_answer(server.client(), model=OWN)

    assert answer.summary() == EXPECTED[recording]


@pytest.mark.parametrize("recording", RECORDED)
async def test_litellms_readers_agree(upstream: FakeUpstream, transport: HttpTransport, recording: str) -> None:
    """litellm's readers give the same answer as ours, except for the listed differences."""
    play(upstream, RECORDED[recording])
    own = asdict(await read(upstream, transport, OWN))

    for provider in READ_BY_LITELLM:
        play(upstream, RECORDED[recording])
        other = asdict(await read(upstream, transport, provider))

        differing = {name for name in own if own[name] != other[name]}
        assert differing == DIFFERENCES.get((recording, provider), {}).keys(), (provider, own, other)


def test_the_tables_are_complete() -> None:
    """Each recording has its expected meaning, and no listed difference lacks its recording."""
    assert EXPECTED.keys() == RECORDED.keys()
    assert DIFFERENCES.keys() <= {(recording, provider) for recording in RECORDED for provider in READ_BY_LITELLM}
