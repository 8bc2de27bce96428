"""The two names of a model in a call: the name by which litellm decides what to send, and the provider's own name.

litellm reads from the name of a model which parameters the model takes, and how. Where the configuration has a
`base_model`, litellm gets that name, and the body or the address that leaves gets the provider's own name again.
"""

from collections.abc import Mapping
from typing import Any, Final

from reasoning_grpc.domain import Deployment
from reasoning_grpc.litellm_model import library
from reasoning_grpc.litellm_model.providers import Way, choose_way
from reasoning_grpc.litellm_model.request.kept_facts import keep_by_deployment

_BEDROCK_ROUTES: Final = frozenset({"converse", "invoke"})
"""The ways in which litellm calls a model of Bedrock, which may stand before its name."""

STAY_WITH_CHAT: Final[Mapping[str, Any]] = {"_skip_responses_api_bridge": True}
"""The argument that keeps litellm from bridging a call to OpenAI's Responses API behind our back."""


@keep_by_deployment
def name_deciding_model(deployment: Deployment) -> str:
    """Returns the name of the model that decides; on Bedrock, with the route by which litellm calls it.

    That is the route of the deployment's own name. Without one, litellm would call newer models of OpenAI through Chat
    Completions or through Converse, whatever a request has, and their reasoning would not go back to the other one.
    """
    deciding = deployment.deciding_model
    if deployment.provider != "bedrock":
        return deciding
    route, name = _split_bedrock_route(deployment.litellm_model)[0], _remove_provider(deciding)
    if deployment.litellm_model == deciding:
        return f"bedrock/converse/{name}" if library.has_two_routes_on_bedrock(name) else deciding
    return f"bedrock/{route or ('converse/' if library.has_two_routes_on_bedrock(name) else '')}{name}"


def choose_model(deployment: Deployment) -> dict[str, Any]:
    """Returns the arguments that name the model."""
    own, deciding, provider = deployment.litellm_model, deployment.deciding_model, deployment.provider
    if own == deciding:
        return {"model": name_deciding_model(deployment)}
    if provider == "bedrock":
        return {"model": name_deciding_model(deployment), "model_id": _split_bedrock_route(own)[1]}
    if provider == "azure" and not deployment.api_key:
        # litellm's own client sends the call, so that we cannot restore the name. It reads `base_model` for Azure only.
        return {"model": own, "base_model": deciding}
    return {"model": own if choose_way(provider) is Way.FOREIGN else deciding}


def restore_model(body: dict[str, Any], deployment: Deployment) -> None:
    """Puts the provider's own name of the model into a body that litellm has built with the deciding name."""
    if "model" not in body or deployment.litellm_model == deployment.deciding_model:
        return
    name = _remove_provider(deployment.litellm_model)
    body["model"] = library.complete_fireworks_name(name) if deployment.provider == "fireworks_ai" else name


def restore_address(url: str, deployment: Deployment) -> str:
    """Returns the address with the provider's own name of the model; Gemini has it there, and not in the body."""
    own, deciding = deployment.litellm_model, deployment.deciding_model
    if own == deciding:
        return url
    return url.replace(f"/models/{_remove_provider(deciding)}:", f"/models/{_remove_provider(own)}:")


def _split_bedrock_route(model: str) -> tuple[str, str]:
    """Splits the name of a model into the route by which litellm calls it, and Bedrock's own name."""
    name = _remove_provider(model)
    route, separator, rest = name.partition("/")
    return (route + separator, rest) if route in _BEDROCK_ROUTES else ("", name)


def _remove_provider(model: str) -> str:
    return model.partition("/")[2]
