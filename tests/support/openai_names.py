"""The names of OpenAI's and Azure's models in litellm's price map."""

from typing import Any, Final

from reasoning_grpc.litellm_model import library

_CHATS: Final = frozenset({"chat", "completion", "responses"})


def list_models() -> list[str]:
    """Returns the names of all models that chat, the provider first."""
    prices: dict[str, Any] = library.import_litellm().model_cost
    listed = ((key, prices[key]["litellm_provider"]) for key in prices if prices[key].get("mode") in _CHATS)
    models = (key if key.startswith(f"{provider}/") else f"{provider}/{key}" for key, provider in listed)
    return sorted({model for model in models if model.partition("/")[0] in {"azure", "openai"}})
