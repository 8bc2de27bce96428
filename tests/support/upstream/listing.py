"""The lists of models of a LiteLLM proxy. Tests script them; until then their paths answer 404."""

import json
from abc import abstractmethod
from typing import Any, Final

from .answers import Json
from .scripting import Answer, Gate, Script, Scripting

_HEADERS: Final = {"Content-Type": "application/json"}

Listed = str | tuple[str, Json]
"""The name of a model, or its name with its facts in the list."""


class Listing(Scripting):
    """One of the lists. It answers with the last script that it got."""

    play: tuple[Script, Gate]

    def __init__(self) -> None:
        self.fail(404, message="no such path")

    def lists(self, *models: Listed, gated: bool = False) -> Gate:
        """Answers with a row for each of these models; the facts of a model may be anything."""
        rows = [self._row(model, {}) if isinstance(model, str) else self._row(*model) for model in models]
        data = json.dumps({"data": rows, "object": "list"}).encode()
        answer = Answer(headers=_HEADERS, ending=(data,), content_length=len(data))
        return self._play(lambda _: answer, gated=gated)

    @abstractmethod
    def _row(self, name: str, facts: Json) -> dict[str, Any]:
        """Returns the row of a model."""

    def _add(self, script: Script, gate: Gate) -> None:
        self.play = (script, gate)


class ModelInfo(Listing):
    """GET /v1/model/info, which has limits, prices and capabilities."""

    def _row(self, name: str, facts: Json) -> dict[str, Any]:
        parameters = {"model": f"openai/{name}", "api_base": "http://behind-the-proxy.invalid/v1"}
        return {"model_name": name, "litellm_params": parameters, "model_info": dict(facts)}


class ModelList(Listing):
    """GET /v1/models, which has names, and little else."""

    def _row(self, name: str, facts: Json) -> dict[str, Any]:
        return {"id": name, "object": "model", "created": 1_700_000_000, "owned_by": "openai", **facts}
