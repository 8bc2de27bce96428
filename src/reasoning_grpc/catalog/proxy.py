"""`ProxyModels`: the models that a LiteLLM proxy lists, read again at intervals in the background."""

import asyncio
import logging
import random
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final, Protocol

from reasoning_grpc.domain import ModelSource, ModelSourceKind
from reasoning_grpc.domain.errors import UpstreamError, find_shortage
from reasoning_grpc.llm import ServedModel

_FIRST_DELAY_SECONDS: Final = 1.0
"""The longest delay before the first retry of a failed reading; it doubles with each failure, up to the interval."""
_UNEXPECTED: Final = "INTERNAL"
"""The reason of a failure that is none of our own errors."""

logger = logging.getLogger("reasoning_grpc.discovery")


class ModelListing(Protocol):
    """The list of models that `ProxyModels` reads."""

    async def read(self) -> Mapping[str, ServedModel]:
        """Returns the models that are listed now, by name. Raises UpstreamError."""
        ...

    async def aclose(self) -> None:
        """Closes every connection."""
        ...


class ProxyModels:
    """The last successful reading of the proxy's list, and one task that renews it.

    Only this task reads the list, so that any number of callers cost the proxy one request.
    """

    def __init__(self, listing: ModelListing, *, ttl_seconds: float) -> None:
        self._listing = listing
        self._ttl_seconds = ttl_seconds
        self._models: Mapping[str, ServedModel] = {}
        self._update_time: datetime | None = None
        self._failure = ""
        self._failures = 0
        """The number of failed readings since the last successful one."""
        self._was_read = asyncio.Event()
        self._reader: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Starts the task that reads the list, and does not wait for it; called once."""
        self._reader = asyncio.create_task(self._read_forever(), name="model-discovery")

    def list_models(self) -> Mapping[str, ServedModel]:
        """See `ModelSourceReader.list_models`."""
        return self._models

    def get_status(self) -> ModelSource:
        """See `ModelSourceReader.get_status`."""
        return ModelSource(
            kind=ModelSourceKind.PROXY,
            model_count=len(self._models),
            update_time=self._update_time,
            stale=bool(self._failure),
            failure=self._failure,
        )

    async def wait_for_first_reading(self) -> None:
        """See `ModelSourceReader.wait_for_first_reading`."""
        await self._was_read.wait()

    async def aclose(self) -> None:
        """See `ModelSourceReader.aclose`."""
        if self._reader is not None:
            self._reader.cancel()
            with suppress(asyncio.CancelledError):
                await self._reader
        self._was_read.set()
        await self._listing.aclose()

    async def _read_forever(self) -> None:
        while True:
            await self._read()
            self._was_read.set()
            await asyncio.sleep(self._choose_delay())

    async def _read(self) -> None:
        try:
            self._models = await self._listing.read()
        except UpstreamError as error:
            self._record_failure(error.reason, error.http_status)
        except Exception as exc:
            shortage = find_shortage(exc)
            if shortage is None:
                logger.exception("the proxy's list of models cannot be read")
            self._record_failure(_UNEXPECTED if shortage is None else shortage.reason)
        else:
            self._update_time = datetime.now(UTC)
            if self._failures:
                logger.info("the proxy lists its models again", extra={"models": len(self._models)})
            self._failure, self._failures = "", 0
            logger.debug("the proxy has listed its models", extra={"models": len(self._models)})

    def _record_failure(self, reason: str, http_status: int = 0) -> None:
        """Keeps the models that were read before. Logs a failure when its reason is not that of the last reading."""
        if reason != self._failure:
            logger.warning("the proxy does not list its models", extra={"reason": reason, "http_status": http_status})
        self._failure = reason
        self._failures += 1

    def _choose_delay(self) -> float:
        """Returns the seconds until the next reading."""
        if not self._failures:
            return self._ttl_seconds
        longest = min(self._ttl_seconds, _FIRST_DELAY_SECONDS * 2.0 ** min(self._failures - 1, 16))
        return random.uniform(longest / 2, longest)
