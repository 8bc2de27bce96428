"""Errors of HTTP with JSON: the status of gRPC becomes that of HTTP, and the details become the body."""

import json
from pathlib import Path
from typing import Any

import pytest

from reasoning_grpc.config import CallerEntry, hash_token
from tests.envoy.conftest import Fleet
from tests.envoy.test_json import REQUEST, post
from tests.support.envoy import running_envoy
from tests.support.serving import config_for, model_entry, serving
from tests.support.upstream import FakeUpstream

pytestmark = [pytest.mark.envoy, pytest.mark.process]

DETAIL = "type.googleapis.com/google.rpc."
OWN_DETAIL = "type.googleapis.com/reasoning_grpc.v1."


def read_details(text: str) -> dict[str, Any]:
    """Returns the details of an error by the names of their types, each without its type."""
    details = json.loads(text)["details"]
    return {detail.pop("@type"): detail for detail in details}


async def test_an_unknown_model_is_404(http_fleet: Fleet) -> None:
    """The body is a google.rpc.Status with the reason, and with the id of the request."""
    status, content_type, text = await post(
        http_fleet.envoy, "Complete", {**REQUEST, "model": "none"}, **{"x-request-id": "order-17"}
    )

    details = read_details(text)
    assert (status, content_type) == (404, "application/json")
    assert (json.loads(text)["code"], json.loads(text)["message"]) == (5, 'There is no model "none".')
    assert details[DETAIL + "ErrorInfo"]["reason"] == "MODEL_NOT_FOUND"
    assert details[DETAIL + "ErrorInfo"]["domain"] == "reasoning-grpc"
    assert details[DETAIL + "RequestInfo"] == {"request_id": "order-17"}


async def test_wrong_fields_are_400(http_fleet: Fleet) -> None:
    """Each field is named, with what is wrong."""
    sampling = {"temperature": 3, "max_output_tokens": 0}

    status, _, text = await post(http_fleet.envoy, "Complete", {**REQUEST, "sampling": sampling})

    violations = read_details(text)[DETAIL + "BadRequest"]["field_violations"]
    assert status == 400
    assert {violation["field"] for violation in violations} == {"sampling.temperature", "sampling.max_output_tokens"}
    assert all(violation["description"] for violation in violations)


async def test_a_call_without_token_is_401(upstream: FakeUpstream, tmp_path: Path) -> None:
    """The token is that of gRPC: a header of HTTP."""
    callers = {"me": CallerEntry(name="me", token_hash=hash_token("secret"), allowed_models=frozenset({"other"}))}
    config = config_for(model_entry(upstream.api_base), model_entry(upstream.api_base, "other"), callers=callers)
    async with serving(config) as running, running_envoy(tmp_path, [running.address], name="http.yaml") as envoy:
        missing, _, missing_text = await post(envoy, "Complete", REQUEST)
        denied, _, denied_text = await post(envoy, "Complete", REQUEST, authorization="Bearer secret")

    assert (missing, read_details(missing_text)[DETAIL + "ErrorInfo"]["reason"]) == (401, "CREDENTIALS_MISSING")
    assert (denied, read_details(denied_text)[DETAIL + "ErrorInfo"]["reason"]) == (403, "MODEL_NOT_ALLOWED")


async def test_a_rate_limit_is_429(upstream: FakeUpstream, http_fleet: Fleet) -> None:
    """The delay of the provider is a detail, and so is what the call has used."""
    upstream.fail(429, headers={"Retry-After": "7"})

    status, _, text = await post(http_fleet.envoy, "Complete", REQUEST)

    details = read_details(text)
    assert (status, details[DETAIL + "ErrorInfo"]["reason"]) == (429, "UPSTREAM_RATE_LIMITED")
    assert details[DETAIL + "RetryInfo"] == {"retry_delay": "7s"}
    assert details[OWN_DETAIL + "Interruption"]["model_call_count"] == 1


async def test_a_failing_provider_is_503_and_is_called_once(upstream: FakeUpstream, http_fleet: Fleet) -> None:
    """Envoy sends no call again that has reached a model, although its HTTP status is one that is often retried."""
    upstream.always.fail(500)

    status, _, text = await post(http_fleet.envoy, "Complete", REQUEST)

    assert (status, read_details(text)[DETAIL + "ErrorInfo"]["reason"]) == (503, "UPSTREAM_ERROR")
    assert len(upstream.requests) == 1


async def test_a_deadline_is_504(upstream: FakeUpstream, http_fleet: Fleet) -> None:
    """The header grpc-timeout is the deadline; the server ends the call, and the upstream is left."""
    upstream.hang()

    status, _, text = await post(http_fleet.envoy, "Complete", REQUEST, **{"grpc-timeout": "2S"})

    assert (status, json.loads(text)["code"]) == (504, 4)
    await upstream.disconnect()


async def test_a_stream_that_breaks_has_no_last_line(upstream: FakeUpstream, http_fleet: Fleet) -> None:
    """Its events have left with 200 already: only the missing event `completed` says that it failed."""
    upstream.cut_after(1)

    status, _, text = await post(http_fleet.envoy, "StreamComplete", {"request": REQUEST})

    assert status == 200
    kinds = [json.loads(line).keys() & {"started", "content_delta", "completed"} for line in text.splitlines()]
    assert kinds == [{"started"}, {"content_delta"}]


async def test_a_refused_stream_is_an_error_as_any(http_fleet: Fleet) -> None:
    """Before the first event, a stream fails as a unary call does."""
    status, _, text = await post(http_fleet.envoy, "StreamComplete", {"request": {**REQUEST, "model": "none"}})

    assert (status, read_details(text)[DETAIL + "ErrorInfo"]["reason"]) == (404, "MODEL_NOT_FOUND")


@pytest.mark.parametrize(
    ("method", "body", "expected"),
    [
        ("Complete", "{", 400),
        ("Complete", '{"messages": 7}', 400),
        ("Complete", '{"messages":[{"role":"ROLE_NONE"}]}', 400),
        ("NoSuchMethod", "{}", 404),
        ("Complete?messages=1", "{}", 400),
        ("Complete?nothing=1", "{}", 400),
        ("Complete", b"\xff", 400),
    ],
)
async def test_what_is_no_request_is_refused_by_envoy(http_fleet: Fleet, method: str, body: Any, expected: int) -> None:
    """Envoy itself answers, also with JSON, and no server gets the call."""
    status, content_type, text = await post(http_fleet.envoy, method, body)

    assert (status, content_type) == (expected, "application/json")
    assert json.loads(text)["message"]
    assert (await http_fleet.envoy.read_counts())["upstream_rq_total"] == 0


async def test_no_server_is_503(http_fleet: Fleet) -> None:
    """Envoy itself says so, in the same form."""
    for server in http_fleet.servers:
        await server.server.stop(grace_seconds=0)
    await http_fleet.envoy.wait_for_servers(0)

    status, content_type, text = await post(http_fleet.envoy, "Complete", REQUEST)

    assert (status, content_type) == (503, "application/json")
    assert json.loads(text)["message"] == "no healthy upstream"


async def test_an_unknown_field_is_dropped_in_silence(upstream: FakeUpstream, http_fleet: Fleet) -> None:
    """This is Envoy's, and it cannot be switched off: a misspelled field has no effect, and no error either."""
    status, _, text = await post(http_fleet.envoy, "Complete", {**REQUEST, "samplin": {"max_output_tokens": 7}})

    assert status == 200
    assert json.loads(text)["message"]["content"] == [{"text": "Hello world"}]
    assert 7 not in (await upstream.request()).body.values()
