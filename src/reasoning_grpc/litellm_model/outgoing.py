"""`OutgoingRequest`: what we do to a request after litellm has built it, before our connection sends it."""

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final
from urllib.parse import quote, urlencode

from reasoning_grpc.domain import Deployment
from reasoning_grpc.litellm_model import library
from reasoning_grpc.litellm_model.request import WireCheck, join_members, restore_address, restore_model
from reasoning_grpc.litellm_model.transport.amazon_signature import sign_again

_OPENAI_API_BASE: Final = "https://api.openai.com/v1"
_AZURE_MARKS: Final = ("o_series/", "gpt5_series/")
"""The prefixes of the name of a deployment of Azure that tell litellm which model it is."""
_AZURE_RESPONSES_SINCE: Final = "2025-03-01"
"""The first dated version of Azure's interface that has the Responses API."""
_DATED: Final = re.compile(r"\d{4}-\d{2}-\d{2}(?:-preview)?")


class OutgoingRequest:
    """The address of one call, and the last changes of its body."""

    def __init__(
        self,
        deployment: Deployment,
        options: Mapping[str, Any],
        wire_check: WireCheck | None = None,
        correct: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
    ) -> None:
        """`options` are merged into the body, and into members of it that are objects.

        The check is None for a protocol that is not OpenAI's. `correct` is None where litellm writes the body rightly.
        """
        self._deployment = deployment
        self._options = options
        self._correct = correct
        self._wire_check = wire_check

    def build_address(self, query: Mapping[str, str]) -> tuple[str, Mapping[str, str]]:
        """Returns the URL and the headers of a call of Chat Completions, with the query that litellm wants."""
        return _build_chat_address(self._deployment, query)

    def restore_address(self, url: str) -> str:
        """Returns the URL that litellm has built, with the provider's own name of the model."""
        return restore_address(url, self._deployment)

    @property
    def changes_body(self) -> bool:
        """Whether `finish_body` must see a body that litellm has already encoded."""
        is_checked = self._wire_check is not None or self._correct is not None
        return is_checked or bool(self._options) or self._deployment.litellm_model != self._deployment.deciding_model

    @property
    def own_members(self) -> Collection[str]:
        """The members of the body that `finish_body` replaces without reading them."""
        return ("messages",) if self._wire_check is not None else ()

    def finish_body(self, body: dict[str, Any]) -> dict[str, Any]:
        """Returns the body to send. Raises UpstreamParameterUnsupported."""
        body = join_members(body, self._options)
        restore_model(body, self._deployment)
        if self._correct is not None:
            body = self._correct(body)
        return body if self._wire_check is None else self._wire_check.correct(body)

    async def sign_again(self, url: str, headers: Mapping[str, str], body: bytes) -> Mapping[str, str]:
        """Returns the headers of a finished body, whose signature, if it had one, was that of litellm's body."""
        return await sign_again(url, headers, body, self._deployment.litellm_params)


def build_responses_address(deployment: Deployment) -> tuple[str, Mapping[str, str]]:
    """Returns the URL and the headers of a call of the Responses API.

    Azure has it at an address without a version, and under each dated version since its first.
    """
    api_base = _find_api_base(deployment)
    if deployment.provider != "azure" or api_base.endswith("/v1"):
        return f"{api_base}/responses", _build_bearer(deployment)
    version = deployment.litellm_params.get("api_version", "")
    if _DATED.fullmatch(version) and version >= _AZURE_RESPONSES_SINCE:
        path = f"/openai/responses?{urlencode({'api-version': version})}"
    else:
        path = f"/openai/v1/responses{'?api-version=preview' if version == 'preview' else ''}"
    return f"{api_base}{path}", {"api-key": deployment.api_key.reveal()}


def _build_chat_address(deployment: Deployment, query: Mapping[str, str]) -> tuple[str, Mapping[str, str]]:
    """Returns the URL and the headers of a call of Chat Completions; old addresses of Azure's get the query."""
    api_base = _find_api_base(deployment)
    if deployment.provider != "azure" or api_base.endswith("/v1"):
        return f"{api_base}/chat/completions", _build_bearer(deployment)
    name = quote(read_deployment_name(deployment), safe="")
    path = f"/openai/deployments/{name}/chat/completions?{urlencode(query)}"
    return f"{api_base}{path}", {"api-key": deployment.api_key.reveal()}


def _find_api_base(deployment: Deployment) -> str:
    own = _OPENAI_API_BASE if deployment.provider == "openai" else ""
    api_base = deployment.api_base or library.find_api_base(deployment.litellm_model) or own
    return api_base.rstrip("/")


def _build_bearer(deployment: Deployment) -> Mapping[str, str]:
    key = deployment.api_key.reveal()
    return {"Authorization": f"Bearer {key}"} if key else {}


def read_deployment_name(deployment: Deployment) -> str:
    """Returns the provider's own name of the model, without the marks that tell litellm which model it is."""
    name = deployment.litellm_model.partition("/")[2]
    for mark in _AZURE_MARKS if deployment.provider == "azure" else ():
        name = name.removeprefix(mark)
    return name
