"""litellm itself: imported late, silenced, offline, without retries and callbacks of its own.

Measured on litellm 1.106.2. The import takes seconds, so it happens when the server
warms up, off the event loop.
"""

import asyncio
import os
import tempfile
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from datetime import datetime
from functools import cache
from threading import Event, RLock
from typing import Any, Final, TypeVar

from reasoning_grpc.litellm_model.loading import import_lean, share_data
from reasoning_grpc.litellm_model.prices.map_file import find_map_file, read_map

T = TypeVar("T")

_THREAD_SECONDS: Final = 1.0
"""How long litellm may take to begin before a cancellation is passed on all the same."""
_SETTINGS: Final = {
    # litellm takes the price map from its package; without this, it fetches the map when it is imported.
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    # litellm takes the list of Anthropic's beta features from its package, too, instead of fetching it.
    "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True",
    # Empty: litellm takes OpenAI's tokenizers from its package. A folder here would make it fetch them.
    "CUSTOM_TIKTOKEN_CACHE_DIR": "",
    # litellm reads it at import, and ends an answer with more equal chunks. Tables and code may have over a hundred.
    "REPEATED_STREAMING_CHUNK_LIMIT": str(2**31),
    # litellm's own connections would use the proxies of the environment (HTTPS_PROXY). Other clients of litellm's,
    # which it has for HTTP/2 or without aiohttp, use them whatever these variables say.
    "AIOHTTP_TRUST_ENV": "False",
    "DISABLE_AIOHTTP_TRUST_ENV": "True",
    "DISABLE_AIOHTTP_TRANSPORT": "False",
    "LITELLM_HTTP2": "False",
}
_TOKEN_FOLDER: Final = "LITELLM_TOKEN_EXCHANGE_CACHE_DIR"
"""Where processes share the tokens that Anthropic exchanges for an identity; empty: each keeps its own."""

SILENCED: Final = ("pre_call", "post_call", "success_handler", "failure_handler", "response_cost_calculator")
SILENCED_ASYNC: Final = ("async_success_handler", "async_failure_handler")
"""Methods of litellm's `Logging` that do nothing in our subclass: they would take half of the time of a call."""


_IS_IMPORTING: Final = RLock()
"""Held while litellm is imported, so that a second thread that needs it waits, and does not set it up again."""

_IS_LOADED: Final = Event()
"""Set when litellm is imported and set up."""


def import_litellm() -> Any:
    """Returns the litellm module, set up for us. The first call imports it."""
    with _IS_IMPORTING:
        return _import_once()


def is_loaded() -> bool:
    """Whether litellm is imported and set up."""
    return _IS_LOADED.is_set()


@cache
def _import_once() -> Any:
    os.environ.update(_SETTINGS)
    if not _has_temporary_folder():
        os.environ.setdefault(_TOKEN_FOLDER, "")
    litellm: Any = import_lean()
    share_data(litellm, read_map(find_map_file()))

    litellm.suppress_debug_info = True
    litellm.redact_messages_in_exceptions = True
    litellm.telemetry = False
    litellm.drop_params = False
    litellm.modify_params = False
    litellm.disable_stop_sequence_limit = True  # else litellm drops all stop sequences but four, for every provider
    litellm.num_retries = 0
    litellm.main.responses_api_bridge_check = _limit_bridge_check(litellm.main.responses_api_bridge_check)
    _IS_LOADED.set()
    return litellm


def _has_temporary_folder() -> bool:
    """Whether there is a folder for temporary files, which litellm asks for, and needs to be there, at its import.

    A container whose disk is read-only has none.
    """
    try:
        tempfile.gettempdir()
    except FileNotFoundError:
        return False
    return True


def _limit_bridge_check(check: Callable[..., tuple[dict[str, Any], str]]) -> Callable[..., tuple[dict[str, Any], str]]:
    """Returns litellm's check whether a model has only the Responses API, for the providers that have this API at all.

    With each call of a model of Ollama, Lemonade or Hugging Face it would request facts about the model from a server,
    not always from the one of the model, over a connection of its own, and block the event loop until they arrive.
    """

    def check_where_it_exists(model: str, custom_llm_provider: str, **facts: Any) -> tuple[dict[str, Any], str]:
        if custom_llm_provider not in {"azure", "openai"}:
            return {}, model
        return check(model, custom_llm_provider, **facts)

    return check_where_it_exists


async def load() -> None:
    """Imports litellm off the event loop, if it is not imported yet."""
    if not is_loaded():
        await asyncio.to_thread(import_litellm)


async def acompletion(**arguments: Any) -> Any:
    """Calls `litellm.acompletion`, which sends the request once and logs it nowhere.

    It raises litellm's exceptions, which `failures` reads.
    """
    complete: Callable[..., Awaitable[Any]] = import_litellm().acompletion
    return await complete(
        **arguments,
        max_retries=0,
        num_retries=0,
        litellm_logging_obj=_make_quiet_logging()(arguments["model"], arguments["messages"]),
        # All tools are functions; a search for MCP tools among them would import the `mcp` package.
        _skip_mcp_handler=True,
    )


async def leave_thread_first(call: Coroutine[Any, Any, T], stop_sending: Callable[[], bool]) -> T:
    """Awaits a call of litellm's, and delays a cancellation until litellm has left the thread in which it begins.

    litellm makes a coroutine in that thread. Where a cancellation comes first, nobody awaits the coroutine, and Python
    prints a warning. A cancellation asks `stop_sending`, which returns whether nothing was sent, nor will be; only then
    is it delayed.
    """
    task = asyncio.ensure_future(call)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        if stop_sending():
            await asyncio.wait([task], timeout=_THREAD_SECONDS)
        raise
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # so that Python does not print it


async def close_clients() -> None:
    """Closes the connections that are litellm's own, if litellm was imported."""
    if not is_loaded():
        return
    from litellm.llms.custom_httpx.async_client_cleanup import close_litellm_async_clients

    await close_litellm_async_clients()
    await import_litellm().module_level_aclient.close()  # it is not in the cache, and opens again on its next use
    import_litellm().in_memory_llm_clients_cache.flush_cache()  # so that the next call does not get a closed client


@cache
def make_client_class(base: type[T], *, for_azure: bool) -> type[T]:
    """Returns a subclass of `base` that litellm takes for one of its HTTP handlers, or for Azure's client."""
    import_litellm()
    from litellm.llms.custom_httpx.http_handler import AsyncHTTPHandler
    from openai import AsyncAzureOpenAI

    wanted: type = AsyncAzureOpenAI if for_azure else AsyncHTTPHandler
    return type(f"{wanted.__name__}{base.__name__}", (base, wanted), {})


def map_responses_parameters(provider: str, model: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """Returns the parameters of the Responses API as litellm maps them for a model, which is named without provider.

    Those that litellm knows the model not to take are missing in it, or make it raise litellm's exceptions.
    """
    import_litellm()
    from litellm.utils import ProviderConfigManager

    config = ProviderConfigManager.get_provider_responses_api_config(provider=provider, model=model)
    supported = set(config.get_supported_openai_params(model))
    taken = {name: value for name, value in parameters.items() if name in supported}
    mapped: dict[str, Any] = config.map_openai_params(taken, model, drop_params=False)
    return mapped


def fetch_azure_credentials(litellm_params: Mapping[str, str]) -> dict[str, str]:
    """Returns the header with the credentials for Azure that this machine has; empty where it has none.

    They are those of litellm's own calls: a key or a token in a variable, or a token of Entra ID, which litellm
    renews. Fetching a token takes a network call, so this is not for the event loop.
    Raises whatever the found credentials raise.
    """
    import_litellm()
    from litellm.llms.azure.common_utils import BaseAzureLLM
    from litellm.secret_managers.main import get_secret_str
    from litellm.types.router import GenericLiteLLMParams

    headers: dict[str, str] = BaseAzureLLM.base_validate_azure_environment({}, GenericLiteLLMParams(**litellm_params))
    if not headers and (token := get_secret_str("AZURE_OPENAI_AD_TOKEN")):  # the variable of OpenAI's own client
        return {"Authorization": f"Bearer {token}"}
    return headers


def complete_fireworks_name(name: str) -> str:
    """Returns the full name of a model of Fireworks, which litellm sends for a short one."""
    import_litellm()
    from litellm.llms.fireworks_ai.common_utils import resolve_fireworks_resource_name

    return str(resolve_fireworks_resource_name(name))


@cache
def has_two_routes_on_bedrock(name: str) -> bool:
    """Whether litellm calls a model of Bedrock through Chat Completions or through Converse, as a request needs it."""
    import_litellm()
    from litellm.llms.bedrock.common_utils import BedrockModelInfo

    return bool(BedrockModelInfo.get_bedrock_route(name) == "chat_completions")


def find_amazon_credentials(account: Mapping[str, str]) -> Any:
    """Returns Amazon's credentials of an account, as litellm finds them; it keeps those of roles for a while."""
    names = ("aws_region_name", "aws_session_name", "aws_profile_name", "aws_role_name")
    return _create_amazon_finder().get_credentials(**{name: account[name] for name in names if name in account})


@cache
def _create_amazon_finder() -> Any:
    import_litellm()
    from litellm.llms.bedrock.base_aws_llm import BaseAWSLLM

    return BaseAWSLLM()


def has_reasoning(model: str) -> bool:
    """Whether litellm knows that a model reasons."""
    return bool(import_litellm().supports_reasoning(model))


def lacks_reasoning(model: str) -> bool:
    """Whether litellm knows a model, and that it does not reason."""
    return model in import_litellm().model_cost and not has_reasoning(model)


def has_response_schemas(model: str) -> bool:
    """Whether litellm knows that a model can hold its answer to a JSON schema."""
    return bool(import_litellm().supports_response_schema(model))


def count_tokens(model: str, text: str) -> int:
    """Returns the tokens of a text by the tokenizer that litellm has for a model of OpenAI."""
    count: int = import_litellm().token_counter(model=model, text=text)
    return count


def has_provider(name: str) -> bool:
    """Whether litellm knows a provider, which is the prefix of its models' names."""
    return name in import_litellm().provider_list


def find_api_base(litellm_model: str) -> str:
    """Returns the address of a model's provider in litellm's tables; empty where they have none."""
    _, _, _, api_base = import_litellm().get_llm_provider(litellm_model)
    return api_base or ""


@cache
def _make_quiet_logging() -> Callable[[str, list[dict[str, Any]]], Any]:
    """Returns a function that creates litellm `Logging` objects without callbacks and costs, which keep no content."""
    import_litellm()
    from litellm.litellm_core_utils.litellm_logging import Logging

    def do_nothing(*_args: object, **_kwargs: object) -> None:
        return None

    async def do_nothing_async(*_args: object, **_kwargs: object) -> None:
        return None

    def has_no_hooks(*_args: object, **_kwargs: object) -> bool:
        return False

    hooks = dict.fromkeys(SILENCED, do_nothing) | dict.fromkeys(SILENCED_ASYNC, do_nothing_async)
    quiet_class = type("QuietLogging", (Logging,), hooks | {"should_run_prompt_management_hooks": has_no_hooks})

    def create_logging(model: str, messages: list[dict[str, Any]]) -> Any:
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
        # litellm looks here for the option with providers whose protocol has none.
        logging.stream_options = {"include_usage": True}
        return logging

    return create_logging
