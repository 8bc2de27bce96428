"""`check-config` describes a valid configuration, or prints its problems."""

import asyncio
import base64
import json
import re
from pathlib import Path
from typing import Final

import pytest

from reasoning_grpc.config import hash_token
from tests.support.commands import run
from tests.support.server_process import (
    KEY,
    ServerFolder,
)
from tests.support.upstream import FakeUpstream

# All tests of the command line share an event loop, with an upstream.
pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.process]


async def test_check_config_describes_the_configuration(server_folder: ServerFolder) -> None:
    """A valid configuration is described as text and as JSON, with the effect of flags and variables."""
    base = server_folder.upstream.api_base
    variables = {"FAKE_KEY": KEY, "REASONING_LISTEN": "127.0.0.1:6000"}

    as_text, as_json = await asyncio.gather(
        run("check-config", "--config", server_folder.config, variables=variables),
        run(
            "check-config",
            "--config",
            server_folder.config,
            "--json",
            "--listen",
            "127.0.0.1:7000",
            variables=variables,
        ),
    )

    assert (as_text.code, as_text.err) == (0, "")
    assert as_text.out == (
        "The configuration is valid.\n"
        "listen   127.0.0.1:6000\n"
        "callers  alice\n"
        f"model    fake: openai/fake-upstream, {base}, with a key\n"
        "         way: our own wire; openai has OpenAI's protocol\n"
        "         wire: chat; the model is not known; base_model can say which one it is\n"
        "         prices: from its entry\n"
        f"model    other: openai/other-upstream, {base}, without a key: api_key_env names none\n"
        "         way: our own wire; openai has OpenAI's protocol\n"
        "         wire: chat; the model is not known to have the Responses API\n"
        "         prices: from litellm's price map\n"
        "pauses   sealed with a key of the server; no other one goes on with them, nor does a restarted one\n"
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
                "untested": False,
                "api_base": base,
                "key": True,
                "way": "own_wire",
                "way_reason": "openai has OpenAI's protocol",
                "wire": "chat",
                "wire_reason": "the model is not known; base_model can say which one it is",
                "prices": "entry",
            },
            {
                "name": "other",
                "litellm_model": "openai/other-upstream",
                "untested": False,
                "api_base": base,
                "key": False,
                "way": "own_wire",
                "way_reason": "openai has OpenAI's protocol",
                "wire": "chat",
                "wire_reason": "the model is not known to have the Responses API",
                "prices": "litellm",
            },
        ],
        "proxy": None,
        "traces": {"exporters": [], "endpoint": ""},
        "metrics": {"exporters": [], "endpoint": ""},
        "captures_content": False,
        "pause_keys": 0,
    }


WAYS: Final = {
    "gpt": ("openai/gpt-4o", "own_wire", "openai has OpenAI's protocol"),
    "claude": (
        "anthropic/claude-sonnet-4-5",
        "own_wire",
        "anthropic has a protocol of its own, which we read ourselves",
    ),
    "nova": ("bedrock/amazon.nova-pro-v1:0", "plain", "bedrock has a protocol of its own"),
    "vllm": (
        "hosted_vllm/qwen",
        "own_wire",
        "hosted_vllm has OpenAI's protocol",
    ),
    "azure": ("azure/deployed", "foreign", "without a key, litellm gets a token for azure by itself"),
    "command": ("cohere/command-a", "foreign", "litellm takes no client of ours for cohere"),
    "pro": ("openai/o3-pro", "own_wire", "we speak OpenAI's Responses API ourselves"),
}


async def test_check_config_describes_the_way_of_each_model(tmp_path: Path) -> None:
    """For each model `check-config` says whether calls use our own wire, and why."""
    (tmp_path / "reasoning.toml").write_text(
        'default_model = "gpt"\n'
        + "".join(
            f'[models.{name}]\nlitellm_model = "{model}"\napi_base = "http://127.0.0.1:9/v1"\nuntested = true\n'
            for name, (model, _, _) in WAYS.items()
        )
    )

    done = await run("check-config", "--json", folder=tmp_path)

    assert (done.code, done.err) == (0, "")
    models = json.loads(done.out)["models"]
    assert {model["name"]: (model["litellm_model"], model["way"], model["way_reason"]) for model in models} == WAYS
    assert [model["name"] for model in models if model["untested"]] == ["command"]


async def test_check_config_says_whose_keys_are_sent(tmp_path: Path) -> None:
    """For each caller with keys of its own `check-config` says to which models they go, and prints no key."""
    (tmp_path / "reasoning.toml").write_text(
        f'''
        default_model = "fast"
        [models.fast]
        litellm_model = "openai/gpt-4o-mini"
        [models.claude]
        litellm_model = "anthropic/claude-sonnet-4-5"
        [callers.eve]
        token_hash = "{hash_token("eve")}"
        [callers.billing]
        token_hash = "{hash_token("billing")}"
        upstream_keys = {{ fast = "OWN_KEY", "litellm_proxy/*" = "OTHER_KEY" }}
        [callers.research]
        token_hash = "{hash_token("research")}"
        upstream_keys = {{ "anthropic/*" = "OWN_KEY" }}
        '''
    )
    variables = {"LITELLM_BASE_URL": "http://127.0.0.1:9", "OWN_KEY": KEY, "OTHER_KEY": KEY}

    as_text, as_json, unset = await asyncio.gather(
        run("check-config", folder=tmp_path, variables=variables),
        run("check-config", "--json", folder=tmp_path, variables=variables),
        run("check-config", folder=tmp_path, variables={**variables, "OWN_KEY": ""}),
    )

    assert (as_text.code, as_text.err, as_json.code) == (0, "", 0)
    assert as_text.out.splitlines()[2:5] == [
        "callers  billing, eve, research",
        "keys     billing has its own for fast, the models that the proxy lists",
        "keys     research has its own for claude",
    ]
    assert json.loads(as_json.out)["upstream_keys"] == [
        {"caller": "billing", "models": ["fast"], "listed_models": True},
        {"caller": "research", "models": ["claude"], "listed_models": False},
    ]
    assert KEY not in as_text.out + as_json.out
    assert (unset.code, unset.err.splitlines()) == (
        1,
        [
            "reasoning-grpc: callers.billing.upstream_keys.fast: the environment variable OWN_KEY is not set",
            "reasoning-grpc: callers.research.upstream_keys.anthropic/*: the environment variable OWN_KEY is not set",
        ],
    )


async def test_check_config_says_how_limits_are_counted(tmp_path: Path) -> None:
    """Whoever configures limits learns that no other process knows of them, and that a restart forgets them."""
    (tmp_path / "reasoning.toml").write_text(
        f'''
        default_model = "fast"
        [models.fast]
        litellm_model = "openai/gpt-4o-mini"
        api_base = "http://127.0.0.1:9"
        [callers.eve]
        token_hash = "{hash_token("eve")}"
        [callers.billing]
        token_hash = "{hash_token("billing")}"
        usd_per_day = 5
        '''
    )

    as_text, as_json = await asyncio.gather(
        run("check-config", folder=tmp_path), run("check-config", "--json", folder=tmp_path)
    )

    assert as_text.out.splitlines()[2:4] == [
        "callers  billing, eve",
        "limits   of billing: each process of the server counts for itself, and from zero when it starts",
    ]
    assert json.loads(as_json.out)["limited_callers"] == ["billing"]


async def test_check_config_says_what_each_worker_has(tmp_path: Path) -> None:
    """With workers, bounds and limits hold for each of them, and the command says so; without, it says nothing."""
    (tmp_path / "reasoning.toml").write_text(
        f'''
        default_model = "fast"
        workers = 3
        max_calls_in_flight = 50
        [models.fast]
        litellm_model = "openai/gpt-4o-mini"
        api_base = "http://127.0.0.1:9"
        [callers.eve]
        token_hash = "{hash_token("eve")}"
        usd_per_day = 5
        '''
    )

    as_text, as_json, alone = await asyncio.gather(
        run("check-config", folder=tmp_path),
        run("check-config", "--json", folder=tmp_path),
        run("check-config", "--workers", "1", "--json", folder=tmp_path),
    )

    lines, summary = as_text.out.splitlines(), json.loads(as_json.out)
    assert lines[3].startswith("workers  3; for each of them: max_calls_in_flight 50, max_queued_calls ")
    assert lines[4] == (
        "limits   of eve: each of the 3 workers counts for itself, and from zero when it starts, "
        "so a caller may use 3 times as much"
    )
    assert (summary["workers"], summary["each_worker"]["max_calls_in_flight"]) == (3, 50)
    assert "workers" not in json.loads(alone.out)


@pytest.mark.parametrize(
    ("count", "line"),
    [
        pytest.param(1, "pauses   sealed with the configured key", id="one key"),
        pytest.param(2, "pauses   sealed with the first of 2 configured keys", id="two keys"),
    ],
)
async def test_check_config_counts_the_keys_of_paused_runs(tmp_path: Path, count: int, line: str) -> None:
    """The keys are counted, and not shown."""
    keys = [base64.b64encode(bytes([number]) * 32).decode() for number in range(count)]
    (tmp_path / "keys").write_text("\n".join(keys))
    variables = {"REASONING_PAUSE_KEYS_FILE": str(tmp_path / "keys"), "REASONING_EMBEDDED": "on"}

    checked = await run("check-config", folder=tmp_path, variables=variables)

    assert line in checked.out.splitlines()
    assert not any(key in checked.out + checked.err for key in keys)


async def test_check_config_says_which_models_no_proxy_reaches(tmp_path: Path) -> None:
    """With an HTTP proxy, models that litellm reaches over its own connections are refused; the proxy is described."""
    models = {
        "gpt": ("openai/gpt-4o", ""),
        "claude": ("anthropic/claude-sonnet-4-5", ""),
        "azure": ("azure/m", 'api_base = "https://a.example"'),
        "keyed": ("azure/m", 'api_base = "https://a.example"\napi_key_env = "OWN_KEY"'),
        "command": ("cohere/m", "untested = true"),
    }
    options = (
        'default_model = "gpt"\nupstream_proxy = "http://proxy.example.com:3128"\n'
        'upstream_proxy_credentials_env = "CREDENTIALS"\nupstream_proxy_exclude = "corp, 10.0.0.0/8"\n'
    )
    tables = {name: f'[models.{name}]\nlitellm_model = "{model}"\n{keys}\n' for name, (model, keys) in models.items()}
    (tmp_path / "bad.toml").write_text(options + "".join(tables.values()))
    (tmp_path / "good.toml").write_text(options + "".join(tables[name] for name in ("gpt", "claude", "keyed")))
    variables = {"CREDENTIALS": "server:hidden", "OWN_KEY": KEY}

    bad, good, as_json, unset = await asyncio.gather(
        run("check-config", "--config", str(tmp_path / "bad.toml"), variables=variables),
        run("check-config", "--config", str(tmp_path / "good.toml"), variables=variables),
        run("check-config", "--config", str(tmp_path / "good.toml"), "--json", variables=variables),
        run("check-config", "--config", str(tmp_path / "good.toml"), "--accept-unset-keys"),
    )

    assert (bad.code, bad.err.splitlines()) == (
        1,
        [
            "reasoning-grpc: models.azure.api_key_env: upstream_proxy cannot be used: "
            "without a key, litellm gets a token for azure by itself",
            "reasoning-grpc: models.command.litellm_model: upstream_proxy cannot be used: "
            "litellm takes no client of ours for cohere",
        ],
    )
    assert (good.code, good.err, unset.code) == (0, "", 0)
    assert (
        "egress   http://proxy.example.com:3128, with credentials, but not for loopback, corp, 10.0.0.0/8\n" in good.out
    )
    assert json.loads(as_json.out)["upstream_proxy"] == {
        "url": "http://proxy.example.com:3128",
        "credentials": True,
        "excluded": ["loopback", "corp", "10.0.0.0/8"],
    }
    assert "hidden" not in good.out + as_json.out


async def test_check_config_refuses_native_tools_where_the_agent_could_not_answer(tmp_path: Path) -> None:
    """The agent's last call forbids further tool calls, and Bedrock's Converse API has no form for that."""
    (tmp_path / "reasoning.toml").write_text(
        'default_model = "direct"\n'
        + "".join(
            f'[models.{name}]\nlitellm_model = "{model}"\nnative_tools = true\n'
            for name, model in (
                ("converse", "bedrock/anthropic.claude-sonnet-4-5-20250929-v1:0"),
                ("invoke", "bedrock/invoke/anthropic.claude-sonnet-4-5-20250929-v1:0"),
                ("direct", "anthropic/claude-sonnet-4-5"),
            )
        )
        + '[models.json]\nlitellm_model = "bedrock/anthropic.claude-sonnet-4-5-20250929-v1:0"\n'
    )

    done = await run("check-config", folder=tmp_path)

    assert done.code == 1
    assert done.err.splitlines() == [
        "reasoning-grpc: models.converse.native_tools: leave it out; after tool calls, this model cannot be told that"
        " it must not call another tool, which the agent's last model call needs"
    ]


async def test_check_config_refuses_prefixes_that_are_not_promised(tmp_path: Path) -> None:
    """A prefix without recorded answers is refused, unless its entry accepts it; then its line says "untested"."""
    tables = "".join(
        f'[models.{name}]\nlitellm_model = "{model}"\n{keys}\n'
        for name, model, keys in (
            ("cohere", "cohere/command-a", ""),
            ("xinference", "xinference/m", ""),
            ("misspelt", "antropic/m", ""),
            ("base", "replicate/m", 'base_model = "openai/no-such-model"'),
            ("accepted", "watsonx/m", "untested = true"),
            ("nobody", "nobody/m", "untested = true"),
            ("misspelt-key", "replicate/m", "untestd = true"),
            ("promised", "deepseek/m", "untested = true"),
        )
    )
    (tmp_path / "bad.toml").write_text(f'default_model = "accepted"\n{tables}')
    (tmp_path / "good.toml").write_text('[models.m]\nlitellm_model = "cohere_chat/command-a"\nuntested = true\n')

    bad, started, good = await asyncio.gather(
        run("check-config", "--config", str(tmp_path / "bad.toml")),
        run("serve", "--config", str(tmp_path / "bad.toml"), "--log-format", "text"),
        run("check-config", "--config", str(tmp_path / "good.toml")),
    )

    untested = "is untested; choose a promised prefix (docs/providers.md), or set untested = true in this entry"
    problems = [
        f"reasoning-grpc: models.{problem}"
        for problem in (
            "misspelt-key.untestd: is not a known key; did you mean untested?",
            f"cohere.litellm_model: cohere/ {untested}",
            f"xinference.litellm_model: xinference/ {untested}",
            "xinference.api_base: is missing; xinference has no address of its own",
            "misspelt.litellm_model: litellm has no provider 'antropic'; did you mean anthropic?",
            f"base.litellm_model: replicate/ {untested}",
            "base.base_model: 'openai/no-such-model' is not a model that litellm knows",
            "nobody.litellm_model: litellm has no provider 'nobody'",
        )
    ]
    assert (bad.code, bad.err.splitlines()) == (1, problems)
    assert (started.code, started.err.splitlines()) == (1, problems[:-1])
    assert (good.code, good.err) == (0, "")
    assert "model    m: cohere_chat/command-a (untested), at its provider's address, without a key" in good.out


async def test_check_config_online_calls_each_model(tmp_path: Path) -> None:
    """`--online` calls each model once and prints the result; a failure makes the exit code 1."""
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
    assert "without a key; lists 2 models\n" in as_text.out
    answers = {model["name"]: model["answer"] for model in json.loads(as_json.out)["models"]}
    assert answers["good"].keys() == {"seconds"}
    assert (answers["bad"]["failure"], answers["bad"]["http_status"]) == ("UPSTREAM_CREDENTIALS_REJECTED", 401)
    assert [request.body["max_tokens"] for request in upstream.requests if request.method == "POST"] == [16, 16]


async def test_check_config_online_says_why_a_model_refuses(tmp_path: Path) -> None:
    """`--online` prints the sentence of a provider that refuses the call, and the wire that it requires."""
    async with FakeUpstream() as upstream:
        sentence = "This model is only supported in v1/responses and not in v1/chat/completions."
        upstream.always.fail(404, message=sentence)
        (tmp_path / "reasoning.toml").write_text(
            f'[models.m]\nlitellm_model = "openai/m"\napi_base = "{upstream.api_base}"\n'
        )

        as_text, as_json = await asyncio.gather(
            run("check-config", "--online", folder=tmp_path), run("check-config", "--online", "--json", folder=tmp_path)
        )

    shown = "This model is only supported in [...] and not in [...]."
    (model,) = json.loads(as_json.out)["models"]
    assert (as_text.code, as_json.code) == (1, 1)
    assert (
        "does not answer: UPSTREAM_REJECTED_REQUEST (HTTP 404); it requires the wire responses; the provider says:"
        f" {shown}\n"
    ) in as_text.out
    assert (model["answer"]["required_wire"], model["answer"]["upstream_message"]) == ("responses", shown)


async def test_check_config_prints_every_problem(tmp_path: Path) -> None:
    """Each problem is a line on standard error, with `--json` also in an object on standard output; the code is 1."""
    (tmp_path / "reasoning.toml").write_text('color = "red"\nembedded = "off"\n')
    expected = [
        "color: is not a known key",
        "--max-tools: must be at least 1",
        "there is no model: configure one, or set embedded to on",
    ]

    as_text, as_json = await asyncio.gather(
        run("check-config", "--max-tools", "0", folder=tmp_path),
        run("check-config", "--max-tools", "0", "--json", folder=tmp_path),
    )

    assert (as_text.code, as_text.out) == (as_json.code, "") == (1, "")
    assert as_text.err.splitlines() == [f"reasoning-grpc: {problem}" for problem in expected]
    assert json.loads(as_json.out) == {"problems": expected}


async def test_check_config_prints_problems_of_every_kind_at_once(tmp_path: Path) -> None:
    """Wrong values, unknown names, and models that cannot be served are reported in one run, each once."""
    (tmp_path / "reasoning.toml").write_text("""
        default_model = "fats"
        max_retries = -1
        [models.fast]
        litellm_model = "azure/m"
        [models.broken]
        litellm_model = "gpt"
        [models.strange]
        litellm_model = "nobody/m"
        fallback_models = ["fsat"]
        [callers.alice]
        token_hash = "x"
        allowed_tools = ["calculater"]
        [tools.calculatr]
        enabled = false
        [routes.code]
        mode = "passthru"
        description = "Code."
        [[rules]]
        id = "a"
        when = { has_tools = true }
        then = { route = "passthrough", model = "brokn" }
    """)

    finished = await run("check-config", folder=tmp_path)

    assert (finished.code, finished.out) == (1, "")
    assert finished.err.splitlines() == [
        f"reasoning-grpc: {problem}"
        for problem in (
            "max_retries: must be at least 0 and at most 10",
            'models.broken.litellm_model: must be "PROVIDER/MODEL", such as "openai/gpt-4o-mini"',
            "callers.alice.token_hash: must be what `reasoning-grpc token new` printed as the hash",
            "routes.code.mode: must be one of passthrough, reasoning, orchestration, auto; did you mean passthrough?",
            "models.fast.api_base: is missing; azure has no address of its own",
            "models.strange.litellm_model: litellm has no provider 'nobody'",
            "tools.calculatr: is neither built in nor an entry point; it needs a function; did you mean calculator?",
            "callers.alice.allowed_tools: 'calculater' is not a tool; did you mean calculator?",
            "default_model: 'fats' is not a model of this configuration; did you mean fast?",
            "models.strange.fallback_models: 'fsat' is not another model; did you mean fast?",
            "rules.a.then.model: 'brokn' is not a model; did you mean broken?",
        )
    ]


async def test_check_config_can_accept_keys_that_are_not_set(server_folder: ServerFolder, tmp_path: Path) -> None:
    """With `--accept-unset-keys` a variable without a value is shown and is no problem; other problems remain."""
    (tmp_path / "bad.toml").write_text('max_retries = -1\n[models.m]\nlitellm_model = "openai/m"\napi_key_env = "NO"\n')
    unset = "models.fake.api_key_env: the environment variable FAKE_KEY is not set"
    flag = "--accept-unset-keys"

    without, as_text, as_json, bad = await asyncio.gather(
        run("check-config", "--config", server_folder.config),
        run("check-config", "--config", server_folder.config, flag),
        run("check-config", "--config", server_folder.config, flag, "--json"),
        run("check-config", "--config", str(tmp_path / "bad.toml"), flag),
    )

    assert (without.code, without.err) == (1, f"reasoning-grpc: {unset}\n")
    assert (as_text.code, as_text.err) == (as_json.code, as_json.err) == (0, "")
    assert f"unset    {unset}\n" in as_text.out
    assert ", without a key: its environment variable is not set\n" in as_text.out
    assert json.loads(as_json.out)["unset_keys"] == [unset]
    assert (bad.code, bad.err) == (1, "reasoning-grpc: max_retries: must be at least 0 and at most 10\n")


async def test_check_config_describes_the_way_that_a_key_will_allow(tmp_path: Path) -> None:
    """With an accepted key that is not set here, the way is that of the server, which has the key."""
    (tmp_path / "reasoning.toml").write_bytes(
        b"\xef\xbb\xbf"  # a byte order mark, which some editors write
        b'[models.m]\nlitellm_model = "azure/ours"\napi_base = "https://ours.openai.azure.com"\napi_key_env = "NO"\n'
    )

    finished = await run("check-config", "--accept-unset-keys", folder=tmp_path)

    assert (finished.code, finished.err) == (0, "")
    assert "way: our own wire; azure has OpenAI's protocol\n" in finished.out
