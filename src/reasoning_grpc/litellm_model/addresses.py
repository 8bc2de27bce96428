"""Where the calls of a deployment go, and with which key: for our own requests, and as arguments of litellm's."""

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, urlencode

from reasoning_grpc.domain import Deployment
from reasoning_grpc.litellm_model import library
from reasoning_grpc.litellm_model.providers import OWN_CREDENTIALS

_OPENAI_API_BASE: Final = "https://api.openai.com/v1"
_AZURE_MARKS: Final = ("o_series/", "gpt5_series/")
"""The prefixes of the name of a deployment of Azure that tell litellm which model it is."""
_AZURE_RESPONSES_SINCE: Final = "2025-03-01"
"""The first dated version of Azure's interface that has the Responses API."""
_DATED: Final = re.compile(r"\d{4}-\d{2}-\d{2}(?:-preview)?")


def build_chat_address(deployment: Deployment, query: Mapping[str, str]) -> tuple[str, Mapping[str, str]]:
    """Returns the URL and the headers of a call of Chat Completions; old addresses of Azure's get the query."""
    api_base = _find_api_base(deployment)
    if deployment.provider != "azure" or api_base.endswith("/v1"):
        return f"{api_base}/chat/completions", _build_bearer(deployment)
    name = quote(read_deployment_name(deployment), safe="")
    path = f"/openai/deployments/{name}/chat/completions?{urlencode(query)}"
    return f"{api_base}{path}", {"api-key": deployment.api_key.reveal()}


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


def read_deployment_name(deployment: Deployment) -> str:
    """Returns the provider's own name of the model, without the marks that tell litellm which model it is."""
    name = deployment.litellm_model.partition("/")[2]
    for mark in _AZURE_MARKS if deployment.provider == "azure" else ():
        name = name.removeprefix(mark)
    return name


def build_litellm_address(deployment: Deployment) -> dict[str, Any]:
    """Returns the arguments that tell litellm where to send a call, and with which key."""
    address: dict[str, Any] = dict(deployment.litellm_params)
    if deployment.api_base:
        address["api_base"] = deployment.api_base
    if deployment.api_key:
        address["api_key"] = deployment.api_key.reveal()
    elif deployment.provider not in OWN_CREDENTIALS:
        address["api_key"] = "not-here"  # without a key, litellm would take any that it finds in the environment
    return address


def _find_api_base(deployment: Deployment) -> str:
    own = _OPENAI_API_BASE if deployment.provider == "openai" else ""
    api_base = deployment.api_base or library.find_api_base(deployment.litellm_model) or own
    return api_base.rstrip("/")


def _build_bearer(deployment: Deployment) -> Mapping[str, str]:
    key = deployment.api_key.reveal()
    return {"Authorization": f"Bearer {key}"} if key else {}
