"""`reasoning-grpc` as a person runs it: processes, their output, their exit codes, signals."""

import asyncio
import json
import os
import re
import signal
import socket
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import grpc
import pytest
import pytest_asyncio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from reasoning_grpc.client import ReasoningClient
from reasoning_grpc.config import options, token_hash
from reasoning_grpc.server import READINESS
from tests.support.commands import PATIENCE_SECONDS, Finished, process_of, run
from tests.support.factories import a_wire_request
from tests.support.upstream import UPSTREAM_SECRET, FakeUpstream, refusing_api_base

# One event loop for all tests here: they share a server process and the upstream behind it.
pytestmark = pytest.mark.asyncio(loop_scope="module")

TOKEN: Final = "rgt_token-of-the-command-line"
KEY: Final = "sk-key-of-the-upstream"
ROUTE_LINE: Final = "route: passthrough with fake (default: Nothing else decided; this is the default.)\n"
DONE_LINE: Final = re.compile(
    r"done: stop, 11 \+ 7 tokens, \$0\.000095, first token \d+ ms, total \d+ ms, overhead \d+\.\d ms\n"
)
SERVING: Final = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING: Final = health_pb2.HealthCheckResponse.NOT_SERVING


async def ended(process: Process) -> int:
    """The exit code of a process that is about to end."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        return await process.wait()


@dataclass(frozen=True)
class Served:
    """A server process that serves."""

    process: Process
    address: str
    log: Path
    """What it writes to standard error."""

    async def ask(self, *arguments: str, **options: Any) -> Finished:
        """Runs a client's command with the right target and token."""
        return await run(*arguments, "--target", self.address, variables={"REASONING_TOKEN": TOKEN}, **options)

    def client(self) -> ReasoningClient:
        """A client in this process."""
        return ReasoningClient(self.address, token=TOKEN)

    def lines(self) -> list[dict[str, Any]]:
        """The lines of its log."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]


@dataclass(frozen=True)
class Place:
    """A folder with a configuration whose models are a fake upstream."""

    folder: Path
    upstream: FakeUpstream
    names: list[str] = field(default_factory=list)

    @property
    def config(self) -> str:
        """The configuration file."""
        return str(self.folder / "reasoning.toml")

    @asynccontextmanager
    async def starting(self, listen: str = "127.0.0.1:0") -> AsyncIterator[tuple[Process, Path]]:
        """A server process that starts, and its log."""
        log = self.folder / f"{len(self.names)}.log"
        self.names.append(log.name)
        arguments = ("serve", "--config", self.config, "--listen", listen)
        with log.open("wb") as errors:
            async with process_of(
                *arguments, variables={"FAKE_KEY": KEY}, stdin=DEVNULL, stdout=PIPE, stderr=errors
            ) as process:
                yield process, log

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Served]:
        """A server process that serves."""
        async with self.starting() as (process, log):
            assert process.stdout is not None
            async with asyncio.timeout(PATIENCE_SECONDS):
                line = (await process.stdout.readline()).decode()
            announced = re.fullmatch(r"serving on (127\.0\.0\.1:\d+)\n", line)
            assert announced is not None, log.read_text()
            yield Served(process, announced[1], log)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    """A configuration with two models and a caller."""
    folder = tmp_path_factory.mktemp("cli")
    async with FakeUpstream() as upstream:
        (folder / "reasoning.toml").write_text(f"""
            default_model = "fake"
            grace_seconds = 600
            [callers.alice]
            token_hash = "{token_hash(TOKEN)}"
            [models.fake]
            litellm_model = "openai/fake-upstream"
            api_base = "{upstream.api_base}"
            api_key_env = "FAKE_KEY"
            description = "Not a model at all."
            capabilities = ["json_schema", "tools"]
            context_window_tokens = 8192
            input_usd_per_million = 1
            output_usd_per_million = 12
            [models.other]
            litellm_model = "openai/other-upstream"
            base_model = "gemini/gemini-2.5-pro"
            api_base = "{upstream.api_base}"
        """)
        yield Place(folder, upstream)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(place: Place) -> AsyncIterator[Served]:
    """One server process for all tests that do not end it; after them SIGTERM finds it idle."""
    async with place.serving() as running:
        yield running
        await is_ended_while_idle(running, signal.SIGTERM)


async def test_ask_prints_the_answer_alone(served: Served) -> None:
    """The answer goes to standard output, and the route and a summary to standard error."""
    finished = await served.ask("ask", "hi")

    assert finished.code == 0
    assert finished.out == "Hello world\n"
    assert finished.err.startswith(ROUTE_LINE)
    assert DONE_LINE.fullmatch(finished.err.removeprefix(ROUTE_LINE))


async def test_ask_prints_json(served: Served) -> None:
    """With --json each event is an object on a line of standard output, and nothing is on the other."""
    finished = await served.ask("ask", "hi", "--json")

    events = [json.loads(line) for line in finished.out.splitlines()]
    assert finished.code == 0
    assert finished.err == ""
    assert [int(event.get("sequence", 0)) for event in events] == list(range(len(events)))
    assert events[0]["started"]["route"]["source"] == "ROUTE_SOURCE_DEFAULT"
    assert "".join(event["content_delta"]["text"] for event in events[1:-1]) == "Hello world"
    assert events[-1]["completed"]["finish_reason"] == "FINISH_REASON_STOP"


async def test_ask_sends_what_its_flags_say(place: Place, served: Served) -> None:
    """A prompt from standard input, and each flag, reach the upstream."""
    flags = ("--system", "Be brief.", "--temperature", "0", "--max-output-tokens", "5", "--effort", "low")

    finished = await served.ask("ask", "-", *flags, "--model", "other", typed="Hi there")

    body = place.upstream.requests[-1].body
    assert finished.code == 0
    assert {name: body[name] for name in ("model", "messages", "temperature", "reasoning_effort")} == {
        "model": "other-upstream",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi there"}],
        "temperature": 0,
        "reasoning_effort": "low",
    }
    assert 5 in (body.get("max_tokens"), body.get("max_completion_tokens"))


async def test_ask_shows_reasoning_aside(place: Place, served: Served) -> None:
    """The model's own reasoning comes on request, and stays out of what is piped."""
    place.upstream.reply("Forty-two.", reasoning=("Hm", "m."))

    finished = await served.ask("ask", "hi", "--show-reasoning")

    assert finished.code == 0
    assert finished.out == "Forty-two.\n"
    assert finished.err.startswith(f"{ROUTE_LINE}Hmm.\ndone: stop, ")


QUESTION: Final = "What is 23 times 19?"
REASONING_ROUTE: Final = "route: reasoning with fake (request: The request asks for this mode.)"


def plan(thought: str, action: str, *expressions: str) -> str:
    """A step as the model answers it, with calls of the calculator."""
    calls = [{"name": "calculator", "arguments": json.dumps({"expression": text})} for text in expressions]
    return json.dumps({"thought": thought, "next_action": action, "tool_calls": calls, "concurrent": True})


def will_reason(upstream: FakeUpstream) -> None:
    """Two steps, one of them with two calls, and the answer."""
    upstream.reply(plan("I multiply.", "use_tools", "23 * 19", "23 / 0"))
    upstream.reply(plan("It is 437.", "finish"))
    upstream.reply("It is ", "437.")


def told(finished: Finished) -> list[str]:
    """What `ask` told beside the answer, without what differs from run to run."""
    return re.sub(r"\b\d+(\.\d)? m?s\b", "TIME", finished.err).splitlines()


async def test_ask_shows_how_it_was_reasoned(place: Place, served: Served) -> None:
    """Steps, thoughts, tools and the end of the thinking stand beside the answer, which alone is piped."""
    will_reason(place.upstream)

    finished = await served.ask("ask", QUESTION, "--reason")

    first, *lines, summary = told(finished)
    assert (finished.code, finished.out) == (0, "It is 437.\n")
    assert first == REASONING_ROUTE
    assert lines[0] == "step 1 of 8: I multiply."
    assert sorted(lines[1:5]) == [
        '  tool 1: calculator {"expression": "23 * 19"}',
        '  tool 1: ok in TIME: {"result":"437","exact":true}',
        '  tool 2: calculator {"expression": "23 / 0"}',
        "  tool 2: failed in TIME: The tool reported an error. It divides by zero.",
    ]
    assert lines[5:] == [
        "step 2 of 8: It is 437.",
        "thought for TIME, 2 steps, 2 tool calls: ready to answer",
    ]
    assert summary.startswith("done: stop, 33 + 21 tokens, $0.000285, ")


async def test_ask_shows_a_thought_as_soon_as_it_is_there(place: Place, served: Served) -> None:
    """The first step is told while the second has not begun to be answered."""
    place.upstream.reply(plan("First.", "continue"))
    gate = place.upstream.gated(plan("Second.", "finish"))
    place.upstream.reply("Done.")
    async with process_of(
        *("ask", "hi", "--reason", "--target", served.address),
        variables={"REASONING_TOKEN": TOKEN},
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=PIPE,
    ) as process:
        assert process.stderr is not None
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert (await process.stderr.readline()).decode() == f"{REASONING_ROUTE}\n"
            assert await process.stderr.readline() == b"step 1 of 8: First.\n"
            assert gate.steps_sent == 0
            gate.open_all()
            out, err = await process.communicate()

    assert (process.returncode, out) == (0, b"Done.\n")
    assert err.startswith(b"step 2 of 8: Second.\n")


async def test_ask_in_json_has_every_event_of_the_agent(place: Place, served: Served) -> None:
    """With thoughts and results, since --reason asks for them."""
    will_reason(place.upstream)

    finished = await served.ask("ask", QUESTION, "--reason", "--json")

    events = [json.loads(line) for line in finished.out.splitlines()]
    kinds = [next(name for name, value in event.items() if isinstance(value, dict)) for event in events]
    assert (finished.code, finished.err) == (0, "")
    assert kinds[:3] == ["started", "step_started", "step_planned"]
    assert sorted(kinds[3:7]) == ["tool_finished"] * 2 + ["tool_started"] * 2
    assert kinds[7:12] == ["step_finished", "step_started", "step_planned", "step_finished", "reasoning_finished"]
    assert events[2]["step_planned"]["thought"] == "I multiply."
    results = {event["tool_finished"]["execution"].get("result") for event in events if "tool_finished" in event}
    assert results == {'{"result":"437","exact":true}', "It divides by zero."}


async def test_thoughts_are_told_only_to_those_who_asked(place: Place, served: Served) -> None:
    """The mode alone shows what was done, without thoughts and results."""
    will_reason(place.upstream)

    finished = await served.ask("ask", QUESTION, "--mode", "reasoning")

    lines = told(finished)
    assert finished.out == "It is 437.\n"
    assert lines[1] == "step 1 of 8: uses tools"
    assert "  tool 1: ok in TIME" in lines
    assert lines[6] == "step 2 of 8: is ready to answer"
    assert "437" not in finished.err.replace("23 * 19", "")


@pytest.mark.parametrize(
    ("flags", "tools"),
    [
        pytest.param((), ["calculator", "current_time"], id="all"),
        pytest.param(("--tool", "calculator"), ["calculator"], id="one"),
        pytest.param(("--tool", "calculator", "--tool", "current_time"), ["calculator", "current_time"], id="two"),
        pytest.param(("--no-tools",), [], id="none"),
    ],
)
async def test_ask_narrows_the_tools(place: Place, served: Served, flags: tuple[str, ...], tools: list[str]) -> None:
    """The model hears of those that the flags leave, and of the most steps."""
    place.upstream.reply(
        json.dumps(
            {"thought": "", "next_action": "continue"} | ({"tool_calls": [], "concurrent": False} if tools else {})
        )
    )
    place.upstream.reply("Done.")

    finished = await served.ask("ask", "hi", "--reason", "--max-steps", "1", *flags)

    prompt = place.upstream.requests[-2].body["messages"][0]["content"]
    assert finished.code == 0
    assert re.findall(r"^- (\w+):", prompt.partition("The tools:")[2], re.MULTILINE) == tools
    assert told(finished)[1:3] == [
        "step 1 of 1: thinks on",
        "thought for TIME, 1 step, 0 tool calls: no more steps are allowed",
    ]


async def test_the_models_own_reasoning_stands_in_its_step(place: Place, served: Served) -> None:
    """On a line of its own, before the plan that it led to, and before the answer."""
    place.upstream.reply(plan("Ready.", "finish"), reasoning=("Hm", "m."))
    place.upstream.reply("437.", reasoning=("Now ", "I write."))

    finished = await served.ask("ask", QUESTION, "--reason", "--show-reasoning")

    assert (finished.code, finished.out) == (0, "437.\n")
    assert told(finished)[1:5] == [
        "Hmm.",
        "step 1 of 8: Ready.",
        "thought for TIME, 1 step, 0 tool calls: ready to answer",
        "Now I write.",
    ]


async def test_a_failure_while_reasoning_is_told(place: Place, served: Served) -> None:
    """What was done until then stands there, then the failure as on any path."""
    place.upstream.reply(plan("First.", "continue"))
    place.upstream.fail(401)

    finished = await served.ask("ask", QUESTION, "--reason")

    assert (finished.code, finished.out) == (1, "")
    assert finished.err.startswith(
        f"{REASONING_ROUTE}\nstep 1 of 8: First.\nreasoning-grpc: UPSTREAM_CREDENTIALS_REJECTED: {REFUSED_KEY}\n"
    )


async def test_limits_of_the_server_are_told(place: Place, served: Served) -> None:
    """More steps than it allows are cut down, and it is said."""
    will_reason(place.upstream)

    finished = await served.ask("ask", QUESTION, "--reason", "--max-steps", "99")

    assert told(finished)[1:3] == [
        "agent.max_steps: 8 instead of 99 (The server allows no more.)",
        "step 1 of 8: I multiply.",
    ]


async def test_bad_limits_of_the_agent_are_told(served: Served) -> None:
    """Each field by its name; what no server could run is not sent."""
    no_steps, stranger, both_modes, both_tools = await asyncio.gather(
        served.ask("ask", "hi", "--reason", "--max-steps", "0"),
        served.ask("ask", "hi", "--reason", "--tool", "rocket"),
        served.ask("ask", "hi", "--reason", "--mode", "passthrough"),
        served.ask("ask", "hi", "--tool", "calculator", "--no-tools"),
    )

    assert (no_steps.code, stranger.code, both_modes.code, both_tools.code) == (1, 1, 2, 2)
    assert no_steps.err.splitlines()[1] == "  agent.max_steps: It must be at least 1."
    assert stranger.err.splitlines()[1] == (
        "  agent.allowed_tools: There is no such tool, or you may not use it: rocket."
    )
    assert both_modes.err.endswith("argument --mode: not allowed with argument --reason\n")
    assert both_tools.err.endswith("argument --no-tools: not allowed with argument --tool\n")


async def test_a_terminal_is_left_as_it_was(place: Place, served: Served) -> None:
    """Interrupted while the agent thinks, `ask` leaves the cursor on, and no traceback."""
    place.upstream.hang()
    before = place.upstream.disconnects
    ours, theirs = os.openpty()
    try:
        async with process_of(
            *("ask", "hi", "--reason", "--target", served.address),
            variables={"REASONING_TOKEN": TOKEN, "TERM": "xterm"},
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=theirs,
        ) as process:
            os.close(theirs)
            shown = await _shown_until(ours, "step 1 of 8")

            process.send_signal(signal.SIGINT)
            shown += await _shown_until(ours, "\x1b[?25h")

            assert await ended(process) == 130
        assert "\x1b[?25l" in shown
        assert "Traceback" not in shown
    finally:
        os.close(ours)
    await place.upstream.disconnect(before + 1)


async def _shown_until(terminal: int, words: str) -> str:
    """What a terminal shows up to these words; raises OSError when nobody writes to it any more."""
    shown = ""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while words not in shown:
            shown += (await asyncio.to_thread(os.read, terminal, 4096)).decode()
    return shown


async def test_models(served: Served) -> None:
    """One line a model: what it is, and what it can do."""
    as_text, as_json = await asyncio.gather(served.ask("models"), served.ask("models", "--json"))

    assert (as_text.code, as_text.err) == (as_json.code, as_json.err) == (0, "")
    assert as_text.out == (
        "fake  (openai, available, default, 8192 tokens, $1 in and $12 out, tools, json schema)  Not a model at all.\n"
        "other  (openai, available, 1048576 tokens, $1.25 in and $10 out or more, tools, json object, json schema,"
        " image input, audio input, document input, reasoning)\n"
    )
    assert [json.loads(line)["name"] for line in as_json.out.splitlines()] == ["fake", "other"]


async def test_classify(place: Place, served: Served) -> None:
    """The decision alone, by the same words as in `ask`; and who would be asked where one would."""
    before = len(place.upstream.requests)

    as_text, as_json, by_rules, refused = await asyncio.gather(
        served.ask("classify", "hi", "--mode", "passthrough", "--rules-only"),
        served.ask("classify", "hi", "--json"),
        served.ask("classify", "hi", "--mode", "auto", "--rules-only"),
        served.ask("classify", "hi", "--mode", "orchestration"),
    )

    assert (as_text.code, as_text.err) == (0, "")
    assert as_text.out == "passthrough with fake (request: The request asks for this mode.)\n"
    assert (as_json.code, as_json.err) == (0, "")
    assert json.loads(as_json.out) == {
        "route": "passthrough",
        "mode": "ROUTING_MODE_PASSTHROUGH",
        "model": "fake",
        "source": "ROUTE_SOURCE_DEFAULT",
        "reason": "Nothing else decided; this is the default.",
    }
    assert (by_rules.code, by_rules.err) == (0, "")
    assert by_rules.out == (
        "auto (request: The request asks for this mode.)\nclassifier: would ask fake for one of passthrough reasoning\n"
    )
    assert (refused.code, refused.out) == (1, "")
    assert re.fullmatch(
        r'reasoning-grpc: ROUTE_NOT_IMPLEMENTED: This build does not serve the route "orchestration"\.\n'
        r"  request id req_[0-9a-f]{32}\n",
        refused.err,
    )
    assert len(place.upstream.requests) == before


async def test_classify_asks_the_classifier(place: Place, served: Served) -> None:
    """Who was asked, how long it took, what it used, and why its answer was of no use."""
    place.upstream.reply('{"route": "reasoning"}')
    asked = await served.ask("classify", "Plan my week.", "--mode", "auto")
    place.upstream.reply("", finish_reason="stop")
    failed = await served.ask("classify", "Plan my day.", "--mode", "auto")

    work = r"classifier: fake for one of passthrough reasoning, \d+ ms, 11 \+ 7 tokens, \$0\.\d{6}"
    assert re.fullmatch(rf"reasoning with fake \(classifier: The classifier chose it\.\)\n{work}\n", asked.out)
    fallback = r"passthrough with fake \(classifier fallback: The classifier failed; this is the default\.\)"
    assert re.fullmatch(rf"{fallback}\n{work}, its answer is EMPTY: It is empty\.\n", failed.out)


REFUSED_KEY: Final = 'The upstream of the model "fake" refused the server\'s key.'


async def test_a_failure_is_told(place: Place, served: Served) -> None:
    """Exit code 1, the reason and the request id on standard error, nothing on the other."""
    place.upstream.fail(401)

    finished = await served.ask("ask", "hi")

    assert (finished.code, finished.out) == (1, "")
    assert finished.err.startswith(f"{ROUTE_LINE}reasoning-grpc: UPSTREAM_CREDENTIALS_REJECTED: {REFUSED_KEY}\n")
    assert re.fullmatch(r"  request id req_[0-9a-f]{32}\n", "".join(finished.err.splitlines(keepends=True)[2:]))


async def test_a_failure_is_told_in_json(place: Place, served: Served) -> None:
    """With --json the last object is the error, with all that a program needs."""
    place.upstream.fail(401)

    finished = await served.ask("ask", "hi", "--json")

    started, failed = (json.loads(line) for line in finished.out.splitlines())
    error = failed["error"]
    assert (finished.code, finished.err) == (1, "")
    assert "started" in started
    assert error["interruption"]["model_calls"] == 1
    assert re.fullmatch("req_[0-9a-f]{32}", error["request_id"])
    assert {name: value for name, value in error.items() if name not in ("interruption", "request_id")} == {
        "code": "INTERNAL",
        "reason": "UPSTREAM_CREDENTIALS_REJECTED",
        "message": REFUSED_KEY,
        "metadata": {"model": "fake", "http_status": "401"},
        "violations": [],
        "retry_after_seconds": None,
    }


async def test_an_answer_that_breaks_off_is_told(place: Place, served: Served) -> None:
    """What came is on standard output with a line's end, and the failure on the other."""
    place.upstream.cut_after(2, "end")

    finished = await served.ask("ask", "hi")

    assert (finished.code, finished.out) == (1, "word0 word1 \n")
    assert "\nreasoning-grpc: UPSTREAM_STREAM_TRUNCATED: " in finished.err


async def test_each_bad_field_is_told(served: Served) -> None:
    """Every violation has a line of its own."""
    finished = await served.ask("ask", "", "--temperature", "9")

    assert (finished.code, finished.out) == (1, "")
    assert finished.err.splitlines()[:-1] == [
        "reasoning-grpc: INVALID_FIELD: The request has invalid fields; see the field violations.",
        "  messages[0].content[0].text: It must not be empty.",
        "  sampling.temperature: It must be from 0 to 2.",
    ]


async def test_tokens_of_a_client(served: Served, tmp_path: Path) -> None:
    """A token comes from a file or the environment; without one the server says what is wanted."""
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    target = ("--target", served.address)

    from_file, without, no_file = await asyncio.gather(
        run("models", *target, "--token-file", str(tmp_path / "token")),
        run("models", variables={"REASONING_TARGET": served.address}),
        run("models", *target, "--token-file", str(tmp_path / "none")),
    )

    assert (from_file.code, from_file.err) == (0, "")
    assert (without.code, without.out) == (1, "")
    assert without.err.startswith(
        "reasoning-grpc: CREDENTIALS_MISSING: A token is required: send the metadata"
        ' "authorization: Bearer TOKEN".\n  request id req_'
    )
    assert (no_file.code, no_file.out) == (1, "")
    assert no_file.err == f"reasoning-grpc: {tmp_path / 'none'}: No such file or directory\n"


async def test_a_server_that_is_not_there_is_told() -> None:
    """One line, and no traceback."""
    with refusing_api_base() as base:
        finished = await run("ask", "hi", "--target", base.removeprefix("http://").removesuffix("/v1"))

    assert (finished.code, finished.out) == (1, "")
    assert finished.err.startswith("reasoning-grpc: UNAVAILABLE: ")
    assert len(finished.err.splitlines()) == 1


async def test_a_client_waits_no_longer_than_it_is_told(place: Place, served: Served) -> None:
    """--timeout-seconds is the deadline of the call, and reaches the upstream."""
    place.upstream.hang()
    before = place.upstream.disconnects

    finished = await served.ask("ask", "hi", "--timeout-seconds", "1")

    *_, last = finished.err.splitlines()
    assert finished.code == 1
    assert last.startswith("reasoning-grpc: DEADLINE_EXCEEDED: ")  # the rest is grpc's own
    await place.upstream.disconnect(before + 1)


async def test_ctrl_c_ends_ask(place: Place, served: Served) -> None:
    """SIGINT cancels the call up to the upstream, and leaves no traceback."""
    place.upstream.hang_after(1)
    before = place.upstream.disconnects
    arguments = ("ask", "hi", "--target", served.address)
    async with process_of(
        *arguments, variables={"REASONING_TOKEN": TOKEN}, stdin=DEVNULL, stdout=PIPE, stderr=PIPE
    ) as process:
        assert process.stdout is not None
        assert await process.stdout.readexactly(6) == b"word0 "

        process.send_signal(signal.SIGINT)
        out, err = await process.communicate()

        assert process.returncode == 130
        assert out == b""
        assert err.decode() == ROUTE_LINE
    await place.upstream.disconnect(before + 1)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(("ask", "hi"), ROUTE_LINE, id="ask"),
        pytest.param(("ask", "hi", "--json"), "", id="ask --json"),
        pytest.param(("models",), "", id="models"),
    ],
)
async def test_a_reader_that_leaves_is_no_error_worth_words(
    served: Served, arguments: tuple[str, ...], words: str
) -> None:
    """A closed pipe ends a command in silence: `ask ... | head -1` is usual."""
    reader, writer = os.pipe()
    os.close(reader)
    async with process_of(
        *(*arguments, "--target", served.address),
        variables={"REASONING_TOKEN": TOKEN},
        stdin=DEVNULL,
        stdout=writer,
        stderr=PIPE,
    ) as process:
        os.close(writer)
        async with asyncio.timeout(PATIENCE_SECONDS):
            _, err = await process.communicate()

        assert process.returncode == 141
        assert err.decode() == words


async def test_the_log_holds_no_secret(served: Served) -> None:
    """Each call has one line with its facts; prompt, token, key and the upstream's words are in none."""
    finished = await served.ask("ask", "a-confidential-prompt", "--json")

    answer = json.loads(finished.out.splitlines()[-1])["completed"]
    (line,) = [line for line in served.lines() if line["message"] == "call"][-1:]
    assert answer["finish_reason"] == "FINISH_REASON_STOP"
    assert {name: line[name] for name in ("level", "method", "code", "caller", "model", "finish_reason")} == {
        "level": "info",
        "method": "StreamComplete",
        "code": "OK",
        "caller": "alice",
        "model": "fake",
        "finish_reason": "STOP",
    }
    log = served.log.read_text()
    for secret in ("a-confidential-prompt", TOKEN, token_hash(TOKEN), KEY, UPSTREAM_SECRET, "Traceback"):
        assert secret not in log


@asynccontextmanager
async def watched(address: str) -> AsyncIterator[Any]:
    """A watch of the readiness of a server, from before it listens if need be."""
    async with grpc.aio.insecure_channel(address) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        yield stub.Watch(health_pb2.HealthCheckRequest(service=READINESS), wait_for_ready=True)


async def next_status(watch: Any) -> int:
    """The next state that a watch tells."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        return int((await watch.read()).status)


def stopped_lines(served: Served) -> list[tuple[str, int]]:
    """What the log says of the stop."""
    return [(line["level"], line["calls_cut"]) for line in served.lines() if line["message"] == "stopped"]


@dataclass(frozen=True)
class Stoppable:
    """Server processes to be ended, one for each way."""

    by_sigint: Served
    with_stream: Served
    twice: Served


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stoppable(place: Place) -> AsyncIterator[Stoppable]:
    """Started together, which takes half as long."""
    contexts = [place.serving() for _ in range(3)]
    servers = await asyncio.gather(*(context.__aenter__() for context in contexts))
    try:
        yield Stoppable(*servers)
    finally:
        for context in contexts:
            await context.__aexit__(None, None, None)


async def is_ended_while_idle(server: Served, number: signal.Signals) -> None:
    """A signal ends it with 0, though a client watches its health, and it says that no call was cut."""
    async with watched(server.address) as watch:
        assert await next_status(watch) == SERVING

        server.process.send_signal(number)

        assert await next_status(watch) == NOT_SERVING
        assert await ended(server.process) == 0
    assert stopped_lines(server) == [("info", 0)]
    assert "Traceback" not in server.log.read_text()


async def test_sigint_ends_an_idle_server(stoppable: Stoppable) -> None:
    """Ctrl-C is as good as SIGTERM, with which the server of all other tests ends."""
    await is_ended_while_idle(stoppable.by_sigint, signal.SIGINT)


async def test_a_signal_lets_a_stream_end(place: Place, stoppable: Stoppable) -> None:
    """The stream that runs is answered whole, then the server exits 0."""
    server = stoppable.with_stream
    gate = place.upstream.gated("Hel", "lo")
    gate.open()
    async with server.client() as client, watched(server.address) as watch:
        assert await next_status(watch) == SERVING
        events = client.stream(a_wire_request())
        assert [(await anext(events)).WhichOneof("event") for _ in range(2)] == ["started", "content_delta"]

        server.process.send_signal(signal.SIGTERM)
        assert await next_status(watch) == NOT_SERVING
        gate.open_all()

        assert [event.WhichOneof("event") async for event in events] == ["content_delta", "completed"]
        assert await ended(server.process) == 0
    assert stopped_lines(server) == [("info", 0)]


async def test_a_second_signal_ends_the_server_at_once(place: Place, stoppable: Stoppable) -> None:
    """It does not wait for what runs, and leaves no traceback."""
    server = stoppable.twice
    place.upstream.hang_after(1)
    before = place.upstream.disconnects
    async with server.client() as client, watched(server.address) as watch:
        assert await next_status(watch) == SERVING
        events = client.stream(a_wire_request())
        assert [(await anext(events)).WhichOneof("event") for _ in range(2)] == ["started", "content_delta"]
        server.process.send_signal(signal.SIGTERM)
        assert await next_status(watch) == NOT_SERVING
        assert server.process.returncode is None

        server.process.send_signal(signal.SIGINT)

        assert await ended(server.process) == 128 + signal.SIGINT
        await events.aclose()
    await place.upstream.disconnect(before + 1)
    assert stopped_lines(server) == []
    assert "Traceback" not in server.log.read_text()


async def test_a_signal_ends_a_server_that_still_starts(place: Place) -> None:
    """While it is not ready yet it says so, and a signal ends it with 0 all the same."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    async with place.starting(address) as (process, log), watched(address) as watch:
        assert await next_status(watch) == NOT_SERVING

        process.send_signal(signal.SIGTERM)

        assert process.stdout is not None
        assert await process.stdout.read() == b""
        assert await ended(process) == 0
        assert "Traceback" not in log.read_text()


async def test_a_server_that_cannot_start_says_why(place: Place, served: Served, tmp_path: Path) -> None:
    """A port in use, a bad configuration, a missing key and a missing file: exit 1 and a clear line each."""
    (tmp_path / "bad.toml").write_text('max_retries = -1\n[models.m]\nlitellm_model = "gpt"\n')
    (tmp_path / "wiring.toml").write_text('[models.m]\nlitellm_model = "azure/m"\n')
    (tmp_path / "provider.toml").write_text('listen = "127.0.0.1:0"\n[models.m]\nlitellm_model = "nobody/m"\n')
    key = {"FAKE_KEY": KEY}

    in_use, bad, no_key, no_file, wiring, provider = await asyncio.gather(
        run("serve", "--config", place.config, "--listen", served.address, variables=key),
        run("serve", "--config", str(tmp_path / "bad.toml")),
        run("serve", "--config", place.config),
        run("serve", "--config", str(tmp_path / "none.toml")),
        run("serve", "--config", str(tmp_path / "wiring.toml")),
        run("serve", "--config", str(tmp_path / "provider.toml")),
    )

    for finished in (in_use, bad, no_key, no_file, wiring, provider):
        assert (finished.code, finished.out) == (1, "")
    assert in_use.err.splitlines()[-1] == (
        f"reasoning-grpc: {served.address} cannot be listened on: it is in use or not ours"
    )
    assert "Traceback" not in in_use.err
    assert bad.err.splitlines() == [
        "reasoning-grpc: max_retries: must be at least 0 and at most 10",
        'reasoning-grpc: models.m.litellm_model: must be "PROVIDER/MODEL", such as "openai/gpt-4o-mini"',
    ]
    assert no_key.err == ("reasoning-grpc: models.fake.api_key_env: the environment variable FAKE_KEY is not set\n")
    assert no_file.err == f"reasoning-grpc: {tmp_path / 'none.toml'}: there is no such file\n"
    assert wiring.err == "reasoning-grpc: models.m.api_base: is missing; azure has no address of its own\n"
    assert provider.err.splitlines()[-1] == "reasoning-grpc: models.m.litellm_model: litellm has no provider 'nobody'"
    assert "Traceback" not in provider.err


async def test_check_config_shows_what_is_made(place: Place) -> None:
    """A sound configuration is summed up, as text and as JSON, with flags and variables taken in."""
    base = place.upstream.api_base
    variables = {"FAKE_KEY": KEY, "REASONING_LISTEN": "127.0.0.1:6000"}

    as_text, as_json = await asyncio.gather(
        run("check-config", "--config", place.config, variables=variables),
        run("check-config", "--config", place.config, "--json", "--listen", "127.0.0.1:7000", variables=variables),
    )

    assert (as_text.code, as_text.err) == (0, "")
    assert as_text.out == (
        "The configuration is sound.\n"
        "listen   127.0.0.1:6000\n"
        "callers  alice\n"
        f"model    fake: openai/fake-upstream, {base}, with a key\n"
        "         wire: our own wire; litellm takes our client for openai\n"
        "         prices: of its entry\n"
        f"model    other: openai/other-upstream, {base}, without a key: api_key_env names none\n"
        "         wire: our own wire; litellm takes our client for openai\n"
        "         prices: of litellm's map\n"
    )
    assert (as_json.code, as_json.err) == (0, "")
    assert json.loads(as_json.out) == {
        "listen": "127.0.0.1:7000",
        "tls": False,
        "callers": ["alice"],
        "models": [
            {
                "name": "fake",
                "litellm_model": "openai/fake-upstream",
                "api_base": base,
                "key": True,
                "wire": "own_wire",
                "wire_reason": "litellm takes our client for openai",
                "prices": "entry",
            },
            {
                "name": "other",
                "litellm_model": "openai/other-upstream",
                "api_base": base,
                "key": False,
                "wire": "own_wire",
                "wire_reason": "litellm takes our client for openai",
                "prices": "litellm",
            },
        ],
        "proxy": None,
        "traces": {"exporters": [], "endpoint": ""},
        "metrics": {"exporters": [], "endpoint": ""},
        "captures_content": False,
    }


WAYS: Final = {
    "gpt": ("openai/gpt-4o", "own_wire", "litellm takes our client for openai"),
    "claude": ("anthropic/claude-sonnet-4-5", "plain", "anthropic has a protocol of its own"),
    "vllm": (
        "hosted_vllm/qwen",
        "plain",
        "litellm reads the answers of hosted_vllm itself; openai/NAME with its address would not",
    ),
    "azure": ("azure/deployed", "foreign", "without a key, litellm gets a token for azure by itself"),
    "command": ("cohere/command-a", "foreign", "litellm takes no client of ours for cohere"),
    "pro": ("openai/o3-pro", "foreign", "litellm asks for this model by another protocol, the Responses API"),
}


async def test_check_config_says_which_way_each_model_goes(tmp_path: Path) -> None:
    """Over our own wire, or not, and why."""
    (tmp_path / "reasoning.toml").write_text(
        'default_model = "gpt"\n'
        + "".join(
            f'[models.{name}]\nlitellm_model = "{model}"\napi_base = "http://127.0.0.1:9/v1"\n'
            for name, (model, _, _) in WAYS.items()
        )
    )

    done = await run("check-config", "--json", folder=tmp_path)

    assert (done.code, done.err) == (0, "")
    models = json.loads(done.out)["models"]
    assert {model["name"]: (model["litellm_model"], model["wire"], model["wire_reason"]) for model in models} == WAYS


async def test_check_config_online_says_what_answers(tmp_path: Path) -> None:
    """Each model is asked once, each with its verdict; one that fails makes the exit code 1."""
    async with FakeUpstream() as upstream, FakeUpstream() as refusing:
        upstream.model_info.lists("one", "two")
        refusing.always.fail(401)
        (tmp_path / "reasoning.toml").write_text(
            'default_model = "good"\n'
            f'[models.good]\nlitellm_model = "anthropic/m"\napi_base = "{upstream.api_base_for("anthropic")}"\n'
            f'[models.bad]\nlitellm_model = "openai/m"\napi_base = "{refusing.api_base}"\n'
        )
        variables = {"LITELLM_BASE_URL": f"http://127.0.0.1:{upstream.port}"}

        as_text, as_json = await asyncio.gather(
            run("check-config", "--online", folder=tmp_path, variables=variables),
            run("check-config", "--online", "--json", folder=tmp_path),
        )

    assert (as_text.code, as_json.code) == (1, 1)
    assert re.search(r"^model    good: .*\n.*\n.*\n         answers: in \d+\.\d\d s$", as_text.out, re.MULTILINE)
    assert "         does not answer: UPSTREAM_CREDENTIALS_REJECTED (HTTP 401)\n" in as_text.out
    assert as_text.out.endswith("without a key; lists 2 models\n")
    answers = {model["name"]: model["answer"] for model in json.loads(as_json.out)["models"]}
    assert answers["good"].keys() == {"seconds"}
    assert (answers["bad"]["failure"], answers["bad"]["http_status"]) == ("UPSTREAM_CREDENTIALS_REJECTED", 401)
    assert [request.body["max_tokens"] for request in upstream.requests if request.method == "POST"] == [16, 16]


async def test_check_config_tells_every_problem(tmp_path: Path) -> None:
    """One line a problem on standard error, a JSON object on the other if asked, exit code 1."""
    (tmp_path / "reasoning.toml").write_text('color = "red"\nembedded = "off"\n')
    expected = ["color: is not a known key", "--max-tools: must be at least 1"]

    as_text, as_json = await asyncio.gather(
        run("check-config", "--max-tools", "0", folder=tmp_path),
        run("check-config", "--max-tools", "0", "--json", folder=tmp_path),
    )

    assert (as_text.code, as_text.out) == (as_json.code, "") == (1, "")
    assert as_text.err.splitlines() == [f"reasoning-grpc: {problem}" for problem in expected]
    assert json.loads(as_json.out) == {"problems": expected}


async def test_token_new_makes_a_token_and_its_hash() -> None:
    """The hash is the one that the configuration wants, and no two tokens are alike."""
    as_text, as_json = await asyncio.gather(run("token", "new"), run("token", "new", "--json"))

    printed = re.fullmatch(
        r"token:      (rgt_[A-Za-z0-9_-]{43})\ntoken_hash: (sha256:[0-9a-f]{64})\n"
        r"Give the token to the caller, now: it is not shown again\. The hash goes into \[callers\.NAME\]\.\n",
        as_text.out,
    )
    made = json.loads(as_json.out)
    assert (as_text.code, as_text.err) == (as_json.code, as_json.err) == (0, "")
    assert printed is not None
    assert printed[2] == token_hash(printed[1])
    assert made == {"token": made["token"], "token_hash": token_hash(made["token"])}
    assert printed[1] != made["token"]


async def test_the_help_has_every_command_and_option() -> None:
    """--help of the program and of `serve` name all there is; a call that is wrong exits with 2."""
    program, serve, wrong = await asyncio.gather(run("--help"), run("serve", "--help"), run("ask"))

    assert (program.code, program.err) == (serve.code, serve.err) == (0, "")
    for command in ("serve", "ask", "models", "classify", "eval", "check-config", "tools", "token"):
        assert re.search(rf"^    {command}\s", program.out, re.MULTILINE)
    for option in options():
        assert f"  {option.flag}" in serve.out
    assert (wrong.code, wrong.out) == (2, "")
    assert wrong.err.endswith("reasoning-grpc ask: error: the following arguments are required: prompt\n")


@pytest.mark.parametrize(
    ("arguments", "variables", "code", "complaint"),
    [
        pytest.param(
            ["--tls-key", "key.pem"],
            {},
            2,
            "--tls-certificate and --tls-key go together",
            id="a key without certificate",
        ),
        pytest.param(
            ["--tls-certificate", "c.pem"],
            {},
            2,
            "--tls-certificate and --tls-key go together",
            id="the other way round",
        ),
        pytest.param([], {"REASONING_TOKEN": "a\nb"}, 2, "the token is not one line of ASCII text", id="two lines"),
        pytest.param([], {"REASONING_TOKEN": "töken"}, 2, "the token is not one line of ASCII text", id="not ASCII"),
    ],
)
async def test_flags_that_cannot_be_used(
    arguments: list[str], variables: dict[str, str], code: int, complaint: str
) -> None:
    """One line says why, before anything is sent; a key alone does not mean plain text."""
    done = await run("ask", "--target", "127.0.0.1:1", *arguments, "hi", variables=variables)

    assert (done.code, done.out, done.err) == (code, "", f"reasoning-grpc: {complaint}\n")


async def test_a_number_that_has_no_room() -> None:
    """It is told in one line, without a traceback."""
    done = await run("ask", "--target", "127.0.0.1:1", "--max-output-tokens", "99999999999", "hi")

    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("reasoning-grpc: the request cannot be sent: ")
    assert done.err.count("\n") == 1
