"""`ProxyModels`: the models that a LiteLLM proxy lists, read again and again in the background."""

import asyncio
import logging
import random
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final, Protocol

from reasoning_grpc.catalog.sources import ServedModel
from reasoning_grpc.domain import ModelSource, ModelSourceKind
from reasoning_grpc.domain.errors import UpstreamError

_FIRST_DELAY_SECONDS: Final = 1.0
"""Before the first retry of a failed reading, at most; it doubles with each failure, up to the time to live."""
_UNFORESEEN: Final = "INTERNAL"

logger = logging.getLogger("reasoning_grpc.discovery")


class ModelListing(Protocol):
    """What `ProxyModels` reads."""

    async def read(self) -> Mapping[str, ServedModel]:
        """The models listed now, by name. Raises UpstreamError."""
        ...

    async def aclose(self) -> None:
        """Closes every connection."""
        ...


class ProxyModels:
    """The last good reading of the proxy's list, and one task that renews it.

    Nobody else reads, so that any number of callers cost the proxy one request.
    """

    def __init__(self, listing: ModelListing, *, ttl_seconds: float) -> None:
        self._listing = listing
        self._ttl_seconds = ttl_seconds
        self._models: Mapping[str, ServedModel] = {}
        self._updated_at: datetime | None = None
        self._failure = ""
        self._failures = 0
        """Since the last good reading."""
        self._read_once = asyncio.Event()
        self._reader: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins to read, once; waits for nothing."""
        self._reader = asyncio.create_task(self._read_for_ever(), name="model-discovery")

    def models(self) -> Mapping[str, ServedModel]:
        """See `ModelSourceReader.models`."""
        return self._models

    def status(self) -> ModelSource:
        """See `ModelSourceReader.status`."""
        return ModelSource(
            kind=ModelSourceKind.PROXY,
            model_count=len(self._models),
            updated_at=self._updated_at,
            stale=bool(self._failure),
            failure=self._failure,
        )

    async def first_reading(self) -> None:
        """See `ModelSourceReader.first_reading`."""
        await self._read_once.wait()

    async def aclose(self) -> None:
        """See `ModelSourceReader.aclose`."""
        if self._reader is not None:
            self._reader.cancel()
            with suppress(asyncio.CancelledError):
                await self._reader
        self._read_once.set()
        await self._listing.aclose()

    async def _read_for_ever(self) -> None:
        while True:
            await self._read()
            self._read_once.set()
            await asyncio.sleep(self._delay_seconds())

    async def _read(self) -> None:
        try:
            self._models = await self._listing.read()
        except UpstreamError as error:
            self._note_failure(error.reason, error.http_status)
        except Exception:
            logger.exception("the proxy's list of models cannot be read")
            self._note_failure(_UNFORESEEN)
        else:
            self._updated_at = datetime.now(UTC)
            if self._failures:
                logger.info("the proxy lists its models again", extra={"models": len(self._models)})
            self._failure, self._failures = "", 0

    def _note_failure(self, reason: str, http_status: int = 0) -> None:
        """Keeps what was read before. One line when a failure begins, and when it becomes another one."""
        if reason != self._failure:
            logger.warning("the proxy does not list its models", extra={"reason": reason, "http_status": http_status})
        self._failure = reason
        self._failures += 1

    def _delay_seconds(self) -> float:
        if not self._failures:
            return self._ttl_seconds
        longest = min(self._ttl_seconds, _FIRST_DELAY_SECONDS * 2.0 ** min(self._failures - 1, 16))
        return random.uniform(longest / 2, longest)
