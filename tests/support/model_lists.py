"""Entries of many models, and the pages of their list."""

from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from reasoning_grpc.config import ModelEntry
from reasoning_grpc.v1 import models_pb2
from tests.support.serving import RunningServer, model_entry

API_BASE: Final = "http://127.0.0.1:9/v1"
"""An address that nobody listens on: listing calls no upstream."""
TOOLS: Final = models_pb2.MODEL_CAPABILITY_TOOLS
REASONING: Final = models_pb2.MODEL_CAPABILITY_REASONING
AVAILABLE: Final = models_pb2.MODEL_STATE_AVAILABLE
UNAVAILABLE: Final = models_pb2.MODEL_STATE_UNAVAILABLE


def build_names(count: int) -> list[str]:
    """Returns this many names in their order."""
    return [f"model-{number:03}" for number in range(count)]


def build_entries(names: Sequence[str]) -> list[ModelEntry]:
    """Returns an entry for each name."""
    return [model_entry(API_BASE, name) for name in names]


async def list_page(running: RunningServer, **fields: Any) -> models_pb2.ListModelsResponse:
    """Returns one page of the list."""
    stub: Any = running.stub
    page: models_pb2.ListModelsResponse = await stub.ListModels(models_pb2.ListModelsRequest(**fields))
    return page


async def pages(running: RunningServer, **fields: Any) -> AsyncIterator[list[str]]:
    """Yields the names on each page up to the last one."""
    token = ""
    while True:
        page = await list_page(running, page_token=token, **fields)
        yield [model.name for model in page.models]
        token = page.next_page_token
        if not token:
            return
