"""When a LiteLLM proxy fails, the last list is kept and the failure is reported; recovery needs no operator."""

import asyncio
import errno
import logging
from collections.abc import Mapping
from typing import Any, Final

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from reasoning_grpc.catalog.proxy import ProxyModels
from reasoning_grpc.client import FieldViolation
from reasoning_grpc.config import ProxyEntry
from reasoning_grpc.domain import ModelSourceKind
from reasoning_grpc.llm import ServedModel
from reasoning_grpc.v1 import classification_pb2, errors_pb2, models_pb2
from tests.support.factories import a_wire_request
from tests.support.model_lists import list_page
from tests.support.ports import find_port
from tests.support.proxy import (
    INFO,
    NOT_LISTED,
    PROXY,
    SOON,
    Script,
    describe,
    get_proxy_source,
    list_requests,
    serving_behind,
    start_every_call,
    wait_for_reading,
)
from tests.support.serving import RunningServer, config_for, model_entry, serving
from tests.support.upstream import PATIENCE_SECONDS, FakeUpstream
from tests.support.wire_calls import expect_failure

pytestmark = pytest.mark.thorough


def fail_both(status: int, **options: Any) -> Script:
    """Returns a script with which both lists fail with this status."""

    def script(upstream: FakeUpstream) -> None:
        upstream.model_info.fail(status, **options)
        upstream.model_list.fail(status, **options)

    return script


def answer_nonsense(upstream: FakeUpstream) -> None:
    """Makes both lists answer something that is not a list."""
    upstream.model_info.body(b"<html>")
    upstream.model_list.body(b'{"data": {}}')


def answer_compressed(upstream: FakeUpstream) -> None:
    """Makes both lists answer a small body that would be large when decompressed."""
    upstream.model_info.compressed_bomb(1)
    upstream.model_list.compressed_bomb(1)


FAILURES: Final[Mapping[str, tuple[Script, str]]] = {
    "500": (fail_both(500), "UPSTREAM_ERROR"),
    "503": (fail_both(503), "UPSTREAM_OVERLOADED"),
    "429": (fail_both(429), "UPSTREAM_RATE_LIMITED"),
    "401": (fail_both(401), "UPSTREAM_CREDENTIALS_REJECTED"),
    "403": (fail_both(403), "UPSTREAM_CREDENTIALS_REJECTED"),
    "400 without a database": (fail_both(400, code="no_db_connection"), "UPSTREAM_CREDENTIALS_REJECTED"),
    "404": (fail_both(404), "UPSTREAM_MALFORMED_RESPONSE"),
    "malformed": (answer_nonsense, "UPSTREAM_MALFORMED_RESPONSE"),
    "compressed": (answer_compressed, "UPSTREAM_MALFORMED_RESPONSE"),
    "hanging": (lambda upstream: upstream.model_info.hang(), "UPSTREAM_TIMEOUT"),
    "dripping": (lambda upstream: upstream.model_info.drip(0.001), "UPSTREAM_TIMEOUT"),
    "reset": (lambda upstream: upstream.model_info.drop("reset"), "UPSTREAM_UNREACHABLE"),
    "cut": (lambda upstream: upstream.model_info.body(b"{", content_length=9), "UPSTREAM_UNREACHABLE"),
    "closed": (lambda upstream: upstream.close_on_accept(), "UPSTREAM_UNREACHABLE"),
}
"""The ways in which a reading fails, each with the reason that is reported."""
EVERY_FAILURE: Final = pytest.mark.parametrize(("script", "reason"), FAILURES.values(), ids=FAILURES)


def build_pace(reason: str) -> dict[str, float]:
    """Returns settings that let a test see many readings, with a short timeout when readings must time out."""
    timeout = {"discovery_timeout_seconds": 0.5} if reason == "UPSTREAM_TIMEOUT" else {}
    return {"discovery_ttl_seconds": SOON, **timeout}


async def wait_for_list(running: RunningServer, *, stale: bool) -> models_pb2.ListModelsResponse:
    """Waits for a list whose source is stale or not; no event reports a reading that does not reach the proxy."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (page := await list_page(running)).sources[0].stale != stale:
            pass
    return page


@EVERY_FAILURE
async def test_a_proxy_that_never_listed_anything(upstream: FakeUpstream, script: Script, reason: str) -> None:
    """A proxy that never listed a model is a stale source; the models of the configuration are listed and answer."""
    script(upstream)

    async with (
        FakeUpstream() as own,
        serving_behind(upstream, model_entry(own.api_base, "own"), **build_pace(reason)) as running,
    ):
        page = await list_page(running)
        answer = await running.client().complete(a_wire_request(model="own"))
        failed = [await expect_failure(call) for call in start_every_call(running, model="gpt")]
        fallback = await expect_failure(running.stub.Complete(a_wire_request(model="own", fallback_models=["gpt"])))

    assert [model.name for model in page.models] == ["own"]
    assert page.sources[1] == models_pb2.ModelSource(
        kind=PROXY, stale=True, failure=errors_pb2.ErrorReason.Value(f"ERROR_REASON_{reason}")
    )
    assert answer.model == "own"
    assert {describe(one) for one in (*failed, fallback)} == {NOT_LISTED}
    assert all(one.metadata == {"model": "gpt"} for one in (*failed, fallback))
    assert len(own.requests) == 1


@EVERY_FAILURE
async def test_a_last_good_list_is_kept(upstream: FakeUpstream, script: Script, reason: str) -> None:
    """After a failure the last list is kept, marked as stale with the reason, and served until a reading succeeds."""
    upstream.model_info.lists("a", "b")

    async with serving_behind(upstream, **build_pace(reason)) as running:
        before = await list_page(running)
        script(upstream)
        stale = await wait_for_list(running, stale=True)
        unknown = await expect_failure(
            running.stub.Classify(classification_pb2.ClassifyRequest(request=a_wire_request(model="x")))
        )
        route = await running.client().classify(a_wire_request(model="b"))
        upstream.accept()
        upstream.model_info.lists("b", "c")
        after = await wait_for_list(running, stale=False)

    assert stale.models == before.models
    assert stale.sources[0].failure == errors_pb2.ErrorReason.Value(f"ERROR_REASON_{reason}")
    assert before.sources[0].update_time.ToDatetime() <= stale.sources[0].update_time.ToDatetime()
    assert stale.sources[0].update_time.ToDatetime() < after.sources[0].update_time.ToDatetime()
    assert describe(unknown) == (grpc.StatusCode.NOT_FOUND, "MODEL_NOT_FOUND", 'There is no model "x".')
    assert route.model == "b"
    assert [model.name for model in after.models] == ["b", "c"]
    assert (after.sources[0].model_count, after.sources[0].failure) == (2, 0)


@EVERY_FAILURE
async def test_without_any_list_calls_are_unavailable(upstream: FakeUpstream, script: Script, reason: str) -> None:
    """Before the first list every call is UNAVAILABLE without a retry delay; after it calls are served."""
    script(upstream)

    async with serving_behind(upstream, **build_pace(reason)) as running:
        failed = await expect_failure(running.stub.ListModels(models_pb2.ListModelsRequest()))
        unnamed = [await expect_failure(call) for call in start_every_call(running)]
        upstream.accept()
        upstream.model_info.lists("m")
        await wait_for_reading(upstream)
        answer = await running.client().complete(a_wire_request())

    assert {describe(one) for one in (failed, *unnamed)} == {NOT_LISTED}
    assert failed.metadata == {}
    assert failed.retry_after_seconds is None
    assert failed.interruption is None
    assert answer.model == "m"


async def test_a_proxy_that_starts_later_is_found() -> None:
    """The server starts without the proxy, is healthy, and finds it long before the next regular reading."""
    port = find_port()
    later = FakeUpstream(port)
    later.model_info.lists("m")

    config = config_for(
        model_entry("http://127.0.0.1:9/v1", "own"), proxy=ProxyEntry(base_url=f"http://127.0.0.1:{port}")
    )
    async with serving(config) as running:
        failed = await expect_failure(running.stub.Complete(a_wire_request(model="m")))
        health: Any = health_pb2_grpc.HealthStub(running.channel)
        checks = [await health.Check(health_pb2.HealthCheckRequest(service=name)) for name in ("", "readiness")]
        async with later:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while (await get_proxy_source(running)).stale:
                    pass
            answer = await running.client().complete(a_wire_request(model="m"))

    assert describe(failed) == NOT_LISTED
    assert [check.status for check in checks] == [health_pb2.HealthCheckResponse.SERVING] * 2
    assert answer.model == "m"


async def test_a_proxy_without_models_is_not_stale(upstream: FakeUpstream) -> None:
    """An empty list is a successful reading: the source is not stale, and there is no model and no default."""
    upstream.model_info.lists()

    async with serving_behind(upstream) as running:
        page = await list_page(running)
        unknown = await expect_failure(running.stub.Complete(a_wire_request(model="gpt")))
        unnamed = await expect_failure(running.stub.Complete(a_wire_request()))

    assert (len(page.models), page.next_page_token) == (0, "")
    assert (page.sources[0].model_count, page.sources[0].stale) == (0, False)
    assert page.sources[0].HasField("update_time")
    assert describe(unknown) == (grpc.StatusCode.NOT_FOUND, "MODEL_NOT_FOUND", 'There is no model "gpt".')
    assert unnamed.violations == (FieldViolation("model", "It is required: the server has no default model."),)
    assert list_requests(upstream) == [INFO]


async def test_a_failure_is_logged_once(upstream: FakeUpstream, caplog: pytest.LogCaptureFixture) -> None:
    """The log has one line when a failure begins, when its reason changes and when it ends, whatever the retries."""
    caplog.set_level(logging.INFO, logger="reasoning_grpc.discovery")
    upstream.model_info.fail(500)

    async with serving_behind(upstream, discovery_ttl_seconds=SOON) as running:
        await wait_for_reading(upstream)
        upstream.model_info.fail(503)
        await wait_for_reading(upstream)
        upstream.model_info.lists("m")
        await wait_for_reading(upstream)
        await list_page(running)

    lines = [(record.levelname, record.message, vars(record).get("reason")) for record in caplog.records]
    assert lines == [
        ("WARNING", "the proxy does not list its models", "UPSTREAM_ERROR"),
        ("WARNING", "the proxy does not list its models", "UPSTREAM_OVERLOADED"),
        ("INFO", "the proxy lists its models again", None),
    ]


class BrokenListing:
    """A list whose reading raises an exception that is not one of our errors."""

    def __init__(self, exception: Exception) -> None:
        self._exception = exception
        self.readings = 0
        self.closed = False
        self.read_twice = asyncio.Event()

    async def read(self) -> Mapping[str, ServedModel]:
        """See `ModelListing.read`."""
        self.readings += 1
        if self.readings == 2:
            self.read_twice.set()
        raise self._exception

    async def aclose(self) -> None:
        """See `ModelListing.aclose`."""
        self.closed = True


async def test_a_fault_of_our_own_does_not_end_the_reading(caplog: pytest.LogCaptureFixture) -> None:
    """An unexpected error is logged with its traceback and reported as INTERNAL, and the next reading follows."""
    listing = BrokenListing(ZeroDivisionError("sk-secret"))
    models = ProxyModels(listing, ttl_seconds=SOON)

    models.start()
    await models.wait_for_first_reading()
    await listing.read_twice.wait()
    status = models.get_status()
    await models.aclose()

    assert (status.kind, status.model_count, status.update_time) == (ModelSourceKind.PROXY, 0, None)
    assert (status.stale, status.failure) == (True, "INTERNAL")
    assert listing.closed
    assert caplog.records[0].exc_info is not None


@pytest.mark.parametrize("shortage", [MemoryError(), OSError(errno.EMFILE, "too many open files")])
async def test_a_shortage_is_no_fault_of_our_own(shortage: Exception, caplog: pytest.LogCaptureFixture) -> None:
    """A shortage of memory or files is reported as SERVER_OVERLOADED, and logged once, without a traceback."""
    listing = BrokenListing(shortage)
    models = ProxyModels(listing, ttl_seconds=SOON)

    models.start()
    await listing.read_twice.wait()
    await models.aclose()

    assert models.get_status().failure == "SERVER_OVERLOADED"
    (record,) = caplog.records
    assert (record.levelno, record.exc_info) == (logging.WARNING, None)
    assert record.__dict__["reason"] == "SERVER_OVERLOADED"
