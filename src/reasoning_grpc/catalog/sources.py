"""Where models come from: what the table asks of every source, and the sources that need no asking."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Protocol

from reasoning_grpc.domain import Deployment, ModelInfo, ModelSource, ModelSourceKind


class ServedModel(Protocol):
    """A model of the table, whatever its source."""

    def info(self) -> ModelInfo:
        """What callers see of it now."""
        ...

    def deployment(self) -> Deployment:
        """How to reach it now. Raises UpstreamRestarting when it has to start first."""
        ...


class ModelSourceReader(Protocol):
    """A source of models; whoever asks it never waits for an upstream, but in `first_reading`."""

    def models(self) -> Mapping[str, ServedModel]:
        """The models it had when it was last read well, by name."""
        ...

    def status(self) -> ModelSource:
        """How fresh that is."""
        ...

    async def first_reading(self) -> None:
        """Returns when it has been read once, well or not; at once from then on."""
        ...

    async def aclose(self) -> None:
        """Stops reading it."""
        ...


class KnownModels:
    """Models that are known from the start: those of the configuration, and the embedded one."""

    def __init__(self, kind: ModelSourceKind, models: Mapping[str, ServedModel]) -> None:
        self._models = models
        self._status = ModelSource(kind, len(models), updated_at=datetime.now(UTC))

    def models(self) -> Mapping[str, ServedModel]:
        """See `ModelSourceReader.models`."""
        return self._models

    def status(self) -> ModelSource:
        """See `ModelSourceReader.status`."""
        return self._status

    async def first_reading(self) -> None:
        """See `ModelSourceReader.first_reading`."""

    async def aclose(self) -> None:
        """See `ModelSourceReader.aclose`."""
