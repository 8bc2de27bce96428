"""`OutgoingRequest`: what we do to a request after litellm has built it, before our connection sends it."""

from collections.abc import Callable, Collection, Mapping
from typing import Any, Final
from urllib.parse import quote, urlencode

from reasoning_grpc.domain import Deployment, Wire
from reasoning_grpc.litellm_model import library
from reasoning_grpc.litellm_model.request import WireCheck, join_members, restore_address, restore_model
from reasoning_grpc.litellm_model.transport.amazon_signature import sign_again

_OPENAI_API_BASE: Final = "https://api.openai.com/v1"
_AZURE_MARKS: Final = ("o_series/", "gpt5_series/")
"""The prefixes of the name of a deployment of Azure that tell litellm which model it is."""


_PATHS: Final[Mapping[Wire, str]] = {Wire.CHAT: "/chat/completions", Wire.RESPONSES: "/responses"}


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
        return build_address(self._deployment, query)

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


def build_address(
    deployment: Deployment, query: Mapping[str, str], wire: Wire = Wire.CHAT
) -> tuple[str, Mapping[str, str]]:
    """Returns the URL and the headers of a call of one of OpenAI's APIs; old addresses of Azure's get the query."""
    api_base, key, path = deployment.api_base, deployment.api_key.reveal(), _PATHS[wire]
    if not api_base:
        own = _OPENAI_API_BASE if deployment.provider == "openai" else ""
        api_base = library.find_api_base(deployment.litellm_model) or own
    api_base = api_base.rstrip("/")
    if deployment.provider != "azure" or api_base.endswith("/v1"):
        return f"{api_base}{path}", {"Authorization": f"Bearer {key}"} if key else {}
    if wire is Wire.RESPONSES:
        return f"{api_base}/openai{path}?{urlencode(query)}", {"api-key": key}
    name = quote(read_deployment_name(deployment), safe="")
    return f"{api_base}/openai/deployments/{name}{path}?{urlencode(query)}", {"api-key": key}


def read_deployment_name(deployment: Deployment) -> str:
    """Returns the provider's own name of the model, without the marks that tell litellm which model it is."""
    name = deployment.litellm_model.partition("/")[2]
    for mark in _AZURE_MARKS if deployment.provider == "azure" else ():
        name = name.removeprefix(mark)
    return name
