"""Servers whose LiteLLM proxy is the fake upstream, and helpers that read their lists of models."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import grpc

from reasoning_grpc.client import CallFailed
from reasoning_grpc.v1 import classification_pb2, models_pb2
from tests.support.factories import a_stream_request, a_wire_request
from tests.support.model_lists import list_page
from tests.support.serving import RunningServer, config_for, proxy_entry, serving
from tests.support.upstream import FakeUpstream
from tests.support.wire_calls import read_to_end

SOON: Final = 0.02
"""An interval between readings that lets a test see many of them."""
PROXY: Final = models_pb2.MODEL_SOURCE_KIND_PROXY
NOT_LISTED: Final = (
    grpc.StatusCode.UNAVAILABLE,
    "UPSTREAM_UNREACHABLE",
    "The LiteLLM proxy has not listed its models yet.",
)
INFO: Final = ("GET", "/v1/model/info")
LIST: Final = ("GET", "/v1/models")
CHAT: Final = ("POST", "/v1/chat/completions")


Script = Callable[[FakeUpstream], Any]


@asynccontextmanager
async def serving_behind(upstream: FakeUpstream, *entries: Any, **options: Any) -> AsyncIterator[RunningServer]:
    """Runs a server whose LiteLLM proxy is the fake upstream, with these models of the configuration."""
    options = {"proxy": proxy_entry(upstream), "default_model": "", **options}
    async with serving(config_for(*entries, **options)) as running:
        yield running


async def list_names(running: RunningServer, **fields: Any) -> list[str]:
    """Returns the names on one page of the list."""
    return [model.name for model in (await list_page(running, **fields)).models]


async def get_proxy_source(running: RunningServer) -> models_pb2.ModelSource:
    """Returns what the list reports about the proxy as a source."""
    (source,) = [source for source in (await list_page(running)).sources if source.kind == PROXY]
    return source


def describe(failed: CallFailed) -> tuple[grpc.StatusCode, str, str]:
    """Returns the code, the reason and the message of a failure."""
    return failed.code, failed.reason, failed.message


def list_requests(upstream: FakeUpstream) -> list[tuple[str, str]]:
    """Returns the method and path of every request to the fake upstream so far."""
    return [(request.method, request.path) for request in upstream.requests]


async def wait_for_reading(upstream: FakeUpstream) -> None:
    """Waits until a reading that begins now has ended; each sends at most two requests, one after the other."""
    await upstream.request(len(upstream.requests) + 3)


def start_every_call(running: RunningServer, **fields: Any) -> list[Any]:
    """Starts one call of each method that names a model."""
    classify = classification_pb2.ClassifyRequest(request=a_wire_request(**fields))
    return [
        running.stub.Complete(a_wire_request(**fields)),
        read_to_end(running.stub.StreamComplete(a_stream_request(**fields))),
        running.stub.Classify(classify),
    ]
