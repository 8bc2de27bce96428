"""Sources of models: what the table needs of each, and the source whose models are known from the start."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Protocol

from reasoning_grpc.domain import ModelSource, ModelSourceKind
from reasoning_grpc.llm import ServedModel


class ModelSourceReader(Protocol):
    """A source of models. Only `wait_for_first_reading` waits for an upstream."""

    def list_models(self) -> Mapping[str, ServedModel]:
        """Returns the models of the last successful reading, by name."""
        ...

    def get_status(self) -> ModelSource:
        """Returns how old that reading is, and whether later ones failed."""
        ...

    async def wait_for_first_reading(self) -> None:
        """Returns when the source was read once, successfully or not; at once from then on."""
        ...

    async def aclose(self) -> None:
        """Stops reading the source."""
        ...


class KnownModels:
    """Models that are known from the start: those of the configuration, or the embedded one."""

    def __init__(self, kind: ModelSourceKind, models: Mapping[str, ServedModel]) -> None:
        self._models = models
        self._status = ModelSource(kind, len(models), update_time=datetime.now(UTC))

    def list_models(self) -> Mapping[str, ServedModel]:
        """See `ModelSourceReader.list_models`."""
        return self._models

    def get_status(self) -> ModelSource:
        """See `ModelSourceReader.get_status`."""
        return self._status

    async def wait_for_first_reading(self) -> None:
        """See `ModelSourceReader.wait_for_first_reading`."""

    async def aclose(self) -> None:
        """See `ModelSourceReader.aclose`."""
