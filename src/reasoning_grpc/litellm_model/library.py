"""litellm itself: imported late, quiet, offline, without retries and callbacks of its own.

Measured on litellm 1.106.2. The import takes seconds, so it happens when the server
warms up, off the event loop.
"""

import asyncio
import importlib
import os
from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import cache
from typing import Any, Final, TypeVar

T = TypeVar("T")

_SETTINGS: Final = {
    # The price map comes from the package; without this, litellm fetches it when imported.
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    # The same, when it first looks for the beta features of Anthropic.
    "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True",
    # Another folder for OpenAI's tokenizers, which are then fetched into it; empty: those in the package.
    "CUSTOM_TIKTOKEN_CACHE_DIR": "",
    # Read at import. Legitimate tables and code repeat more than a hundred chunks.
    "REPEATED_STREAMING_CHUNK_LIMIT": str(2**31),
}


SILENCED: Final = ("pre_call", "post_call", "success_handler", "failure_handler", "response_cost_calculator")
SILENCED_ASYNC: Final = ("async_success_handler", "async_failure_handler")
"""Methods of litellm's `Logging` that do nothing in ours: they take half of the time of a call."""


@cache
def litellm() -> Any:
    """The litellm module, set up. The first call imports it."""
    os.environ.update(_SETTINGS)
    library: Any = importlib.import_module("litellm")

    library.suppress_debug_info = True
    library.redact_messages_in_exceptions = True
    library.telemetry = False
    library.drop_params = False
    library.modify_params = False
    library.num_retries = 0
    return library


async def load() -> Any:
    """The litellm module, imported off the event loop."""
    return await asyncio.to_thread(litellm)


async def acompletion(**arguments: Any) -> Any:
    """`litellm.acompletion`, sent once and logged nowhere.

    Whatever it raises is litellm's; `failures` reads it.
    """
    complete: Callable[..., Awaitable[Any]] = litellm().acompletion
    return await complete(
        **arguments,
        max_retries=0,
        num_retries=0,
        litellm_logging_obj=_quiet_logging()(arguments["model"], arguments["messages"]),
        # Callers' tools are always functions; looking for MCP tools among them would import the `mcp` package.
        _skip_mcp_handler=True,
    )


async def close_clients() -> None:
    """Closes the connections that are litellm's own, if it was ever imported."""
    if not litellm.cache_info().currsize:
        return
    from litellm.llms.custom_httpx.async_client_cleanup import close_litellm_async_clients

    await close_litellm_async_clients()
    await litellm().module_level_aclient.close()  # not in its cache; it makes itself anew
    litellm().in_memory_llm_clients_cache.flush_cache()  # whoever asks again must not get a closed one


@cache
def client_class(base: type[T], *, for_azure: bool) -> type[T]:
    """A class that is `base`, and that litellm takes for one of its HTTP handlers, or for Azure's client."""
    litellm()
    from litellm.llms.custom_httpx.http_handler import AsyncHTTPHandler
    from openai import AsyncAzureOpenAI

    wanted: type = AsyncAzureOpenAI if for_azure else AsyncHTTPHandler
    return type(f"{wanted.__name__}{base.__name__}", (base, wanted), {})


def token_count(model: str, text: str) -> int:
    """Tokens of a text by the tokenizer that litellm has for a model of OpenAI."""
    count: int = litellm().token_counter(model=model, text=text)
    return count


def has_provider(name: str) -> bool:
    """Whether litellm knows a provider, the prefix of its models' names."""
    return name in litellm().provider_list


def default_api_base(litellm_model: str) -> str:
    """Where litellm's tables say that a model's provider is; empty where they do not."""
    _, _, _, api_base = litellm().get_llm_provider(litellm_model)
    return api_base or ""


@cache
def _quiet_logging() -> Callable[[str, list[dict[str, Any]]], Any]:
    """A maker of litellm `Logging` objects whose hooks do nothing: no callbacks, no cost, no content kept."""
    litellm()
    from litellm.litellm_core_utils.litellm_logging import Logging

    def nothing(*_args: object, **_kwargs: object) -> None:
        return None

    async def nothing_async(*_args: object, **_kwargs: object) -> None:
        return None

    def no_hooks(*_args: object, **_kwargs: object) -> bool:
        return False

    hooks = dict.fromkeys(SILENCED, nothing) | dict.fromkeys(SILENCED_ASYNC, nothing_async)
    quiet_class = type("QuietLogging", (Logging,), hooks | {"should_run_prompt_management_hooks": no_hooks})

    def quiet_logging(model: str, messages: list[dict[str, Any]]) -> Any:
        logging = quiet_class(
            model=model,
            messages=messages,
            stream=True,
            call_type="acompletion",
            start_time=datetime.now(),  # naive, as litellm's own
            litellm_call_id="",
            function_id="",
            supports_correlation_logging=False,
        )
        # Where litellm looks for it with providers whose protocol has no such option.
        logging.stream_options = {"include_usage": True}
        return logging

    return quiet_logging
