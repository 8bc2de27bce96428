"""What Bedrock gets: requests that are signed or carry a key, and which failed statuses callers see."""

import json
import re
from typing import Any, Final

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from reasoning_grpc.domain import Secret
from tests.support.received import receive_answer
from tests.support.serving import UPSTREAM_KEY, RunningServer, config_for, provider_entry, serving
from tests.support.upstream import CapturedRequest, FakeUpstream

ACCESS_KEY: Final = "AKIDEXAMPLE"
SECRET_KEY: Final = "a-secret-access-key"
AUTHORIZATION: Final = re.compile(
    rf"AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/\d+/eu-central-1/bedrock/aws4_request,"
    r" SignedHeaders=([^,]+), Signature=([0-9a-f]{64})"
)


def sign(request: CapturedRequest, url: str, names: list[str]) -> str:
    """Returns the signature that a request ought to have, by Amazon's own library."""
    headers = {name: request.headers[name] for name in names}
    signed = AWSRequest(method="POST", url=url, data=request.raw, headers=headers)
    signed.context["timestamp"] = request.headers["X-Amz-Date"]
    auth = SigV4Auth(Credentials(ACCESS_KEY, SECRET_KEY), "bedrock", "eu-central-1")
    signature: str = auth.signature(auth.string_to_sign(signed, auth.canonical_request(signed)), signed)
    return signature


async def test_a_signed_request_arrives_as_it_was_signed(
    upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a key, a request is signed with Amazon's credentials, and nothing of it changes after that."""
    for name, value in {"ACCESS_KEY_ID": ACCESS_KEY, "SECRET_ACCESS_KEY": SECRET_KEY}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    region = {"aws_region_name": "eu-central-1"}
    entry = provider_entry(upstream, "bedrock", api_key=Secret(""), litellm_params=region)

    async with serving(config_for(entry)) as running:
        answer = await receive_answer(running.client(), text="Grüße")

    assert answer.text == "Hello world"
    (request,) = upstream.requests
    found = AUTHORIZATION.fullmatch(request.headers["Authorization"])
    assert found is not None
    names, signature = found[1].split(";"), found[2]
    assert {"host", "x-amz-date"} <= set(names)
    assert sign(request, f"http://127.0.0.1:{upstream.port}{request.path}", names) == signature


async def test_a_key_is_a_bearer_token(upstream: FakeUpstream, native_server: RunningServer) -> None:
    """A key of Bedrock's own is sent as a bearer token, and the request is not signed."""
    await receive_answer(native_server.client(), model="bedrock")

    assert upstream.requests[0].headers["Authorization"] == f"Bearer {UPSTREAM_KEY}"
    assert upstream.requests[0].path == "/model/anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse-stream"


FAILURES: Final[dict[str, tuple[int, dict[str, Any], str, str]]] = {
    "access-denied": (403, {"message": "no access"}, "AccessDeniedException", "UPSTREAM_CREDENTIALS_REJECTED"),
    "model-missing": (404, {"message": "x"}, "ResourceNotFoundException", "UPSTREAM_MODEL_MISSING"),
    "model-identifier": (
        400,
        {"message": "The provided model identifier is invalid."},
        "ValidationException",
        "UPSTREAM_MODEL_MISSING",
    ),
    "too-long": (
        400,
        {"message": "Input is too long for requested model."},
        "ValidationException",
        "CONTEXT_WINDOW_EXCEEDED",
    ),
    "validation": (400, {"message": "x"}, "ValidationException", "UPSTREAM_REJECTED_REQUEST"),
    "quota": (400, {"message": "x"}, "ServiceQuotaExceededException:http://x/", "UPSTREAM_QUOTA_EXHAUSTED"),
    "throttling": (429, {"message": "Too many requests"}, "ThrottlingException", "UPSTREAM_RATE_LIMITED"),
    "not-ready": (429, {"message": "x"}, "ModelNotReadyException", "UPSTREAM_RATE_LIMITED"),
    "model-error": (424, {"message": "x", "originalStatusCode": 500}, "ModelErrorException", "UPSTREAM_ERROR"),
    "timeout": (408, {"message": "x"}, "ModelTimeoutException", "UPSTREAM_TIMEOUT"),
    "internal": (500, {"message": "x"}, "InternalServerException", "UPSTREAM_ERROR"),
    "unavailable": (503, {"message": "x"}, "ServiceUnavailableException", "UPSTREAM_OVERLOADED"),
    "unknown": (503, {}, "", "UPSTREAM_OVERLOADED"),
}


@pytest.mark.parametrize(("status", "body", "name", "reason"), FAILURES.values(), ids=FAILURES.keys())
async def test_failed_statuses(
    upstream: FakeUpstream, status: int, body: dict[str, Any], name: str, reason: str
) -> None:
    """A failure of Bedrock's has its status, and its name in a header."""
    upstream.fail(status, body=json.dumps(body).encode(), headers={"x-amzn-ErrorType": name})

    async with serving(config_for(provider_entry(upstream, "bedrock"), max_retries=0)) as running:
        answer = await receive_answer(running.client())

    assert (answer.error, answer.http_status) == (reason, str(status))
