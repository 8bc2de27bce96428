"""The embedded model has the name of the weights that run, everywhere that a name of it is read."""

import os
from pathlib import Path

import pytest

from reasoning_grpc.cli.config_report import build_summary
from reasoning_grpc.client import CallFailed
from reasoning_grpc.config import Config, Settings, read_config
from reasoning_grpc.config.reading import ConfigError
from reasoning_grpc.config.settings import EmbeddedUse
from reasoning_grpc.embedded.installation import find_bundled_weights
from reasoning_grpc.embedded.naming import BUNDLED_NAME, name_model
from reasoning_grpc.server import find_config_problems
from reasoning_grpc.telemetry import Telemetry, TelemetryPlan, read_telemetry_plan
from reasoning_grpc.v1 import completion_pb2, models_pb2
from tests.support.call_log import recording_calls
from tests.support.factories import a_wire_request
from tests.support.otlp import OtlpReceiver
from tests.support.serving import config_for, model_entry, serving

HOSTED_NAME = "gpt-5-nano"
"""The name of a hosted model, of which litellm knows that it refuses a temperature."""


@pytest.mark.parametrize(
    ("weights", "name", "expected"),
    [
        pytest.param(None, "", BUNDLED_NAME, id="bundled"),
        pytest.param(None, "local", "local", id="bundled under a chosen name"),
        pytest.param(
            "/models/Qwen2.5-Coder-0.5B-Instruct-Q4_K_M.gguf", "", "Qwen2.5-Coder-0.5B-Instruct-Q4_K_M", id="file"
        ),
        pytest.param("/models/q.gguf", "qwen", "qwen", id="file under a chosen name"),
        pytest.param("model.GGUF", "", "model", id="suffix in capitals"),
        pytest.param("model.bin", "", "model.bin", id="another suffix"),
        pytest.param("my model (v2)é.gguf", "", "my-model-v2-", id="characters that no name has"),
        pytest.param("..gguf", "", "embedded", id="no name"),
        pytest.param("日本.gguf", "", "embedded", id="no character that a name has"),
        pytest.param("m" * 200 + ".gguf", "", "m" * 128, id="long"),
    ],
)
def test_the_name_is_that_of_the_weights(weights: str | None, name: str, expected: str) -> None:
    """The operator's name counts first, then the name of the file, and the bundled weights have one of their own."""
    assert name_model(None if weights is None else Path(weights), name) == expected


@pytest.mark.parametrize("name", ["has blank", "-a", "a" * 129, "ä"])
def test_a_name_that_requests_cannot_have_is_refused(name: str) -> None:
    """The option takes only what a table of a model could be called."""
    with pytest.raises(ConfigError) as refused:
        read_config(flags={"embedded_name": name}, environment={}, file=None)

    (problem,) = refused.value.problems
    assert problem.startswith("embedded_name: ")
    assert "a name is 1 to 128 of" in problem


def test_the_configuration_knows_the_model_by_its_name() -> None:
    """The name of the weights may be the default model and clashes with a configured one, and the report shows it."""
    weights = Settings(embedded=EmbeddedUse.ON, embedded_weights=Path("other.gguf"), default_model="other")
    clash = Config(settings=weights, models={"other": model_entry("http://127.0.0.1:1/v1", "other")})
    unknown = Config(settings=Settings(embedded_weights=Path("other.gguf"), default_model=BUNDLED_NAME))

    summary = build_summary(Config(settings=weights), TelemetryPlan(), None)

    assert find_config_problems(Config(settings=weights)) == []
    assert find_config_problems(clash) == ["models.other: the embedded model has this name"]
    assert find_config_problems(unknown) == [f"default_model: {BUNDLED_NAME!r} is not a model of this configuration"]
    assert summary["models"] == [{"name": "other", "way": "embedded", "prices": "free"}]


@pytest.mark.process
@pytest.mark.parametrize("chosen", ["", "team/local:small"])
async def test_every_place_names_the_weights_that_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, chosen: str
) -> None:
    """With weights in another file, lists, events, answers, spans and logs have its name, and the old one is unknown.

    The name is that of a hosted model, so this also tests that litellm does not take the weights for that model.
    """
    bundled = find_bundled_weights()
    assert bundled is not None
    weights, name = tmp_path / f"{HOSTED_NAME}.gguf", chosen or HOSTED_NAME
    weights.symlink_to(bundled)
    config = config_for(embedded_weights=weights, embedded_name=chosen)
    request = a_wire_request("Say hello.", sampling=completion_pb2.Sampling(max_output_tokens=4, temperature=0.5))

    async with OtlpReceiver() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", receiver.endpoint)
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
        telemetry = Telemetry(read_telemetry_plan(os.environ))
        with recording_calls(caplog) as log:
            async with serving(config, telemetry) as running:
                client = running.client()
                (listed,) = await client.list_models()
                events = [event async for event in client.stream(request)]
                answer = await client.complete(a_wire_request("Say hello.", model=name))
                with pytest.raises(CallFailed) as failed:
                    await client.complete(a_wire_request(model=BUNDLED_NAME))
        await telemetry.aclose()
        chat, _ = await receiver.expect_spans(f"chat {name}", 2)

    assert (listed.name, listed.source, listed.is_default) == (name, models_pb2.MODEL_SOURCE_KIND_EMBEDDED, True)
    assert "SmolLM2" not in listed.description
    assert [events[0].started.model, events[-1].completed.model, answer.model] == [name] * 3
    assert answer.effective_settings == []
    assert failed.value.reason == "MODEL_NOT_FOUND"
    assert (chat.attributes["gen_ai.request.model"], chat.attributes["reasoning_grpc.model"]) == (name, name)
    assert [line["model"] for line in log.lines[1:3]] == [name, name]
    assert {record.__dict__["model"] for record in caplog.records if record.name == "reasoning_grpc.embedded"} == {name}
