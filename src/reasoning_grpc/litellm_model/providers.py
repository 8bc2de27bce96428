"""litellm's providers, and which way their calls go.

Measured on litellm 1.106.2 by asking it, provider by provider, with a client that only
notes how it is used; a test asks again. A provider is the prefix of a model's name.
"""

from enum import StrEnum
from typing import Final


class Way(StrEnum):
    """How the answers of a provider are reached and read."""

    OWN_WIRE = "OWN_WIRE"
    """Over our connections, by our reader: exact in every respect, and the cheapest."""
    PLAIN = "PLAIN"
    """Over our connections, by litellm's reader; what it makes up is seen through."""
    FOREIGN = "FOREIGN"
    """Over litellm's own connections, by litellm's reader; errors and ends are as exact as litellm tells them."""


OWN_WIRE: Final = frozenset(
    {"ai21", "ai21_chat", "aiml", "apertis", "assemblyai", "azure", "baseten", "cerebras", "charity_engine", "chutes"}
    | {"codestral", "cognition", "cortecs", "custom_openai", "darkbloom", "dashscope", "deepinfra"}
    | {"docker_model_runner", "empower", "featherless_ai", "friendliai", "galadriel", "github", "helicone"}
    | {"hyperbolic", "inception", "lambda_ai", "libertai", "litellm_proxy", "llamafile", "lm_studio", "meta"}
    | {"meta_llama", "modelscope", "moonshot", "morph", "nano-gpt", "nebius", "neosantara", "novita", "nscale"}
    | {"nvidia_nim", "openai", "parasail", "perplexity", "pinstripes", "poe", "prism", "publicai"}
    | {"qwen_ai_platform", "qwencloud", "reka", "sail", "sambanova", "scaleway", "scx-ai", "synthetic", "tencent"}
    | {"tensormesh", "v0", "vercel_ai_gateway", "volcengine", "wandb", "xiaomi_mimo", "xinference", "zai"}
)
"""Providers of the OpenAI protocol for which litellm takes a client in the shape of the OpenAI SDK's.

Azure among them if it has a key; a token of Entra ID is got, and renewed, by litellm's own client alone."""

PLAIN: Final = frozenset(
    {"a2a", "anthropic", "azure_ai", "bedrock", "bedrock_mantle", "cometapi", "compactifai", "databricks"}
    | {"datarobot", "deepseek", "edenai", "fireworks_ai", "gemini", "groq", "heroku", "hosted_vllm", "huggingface"}
    | {"langflow", "langgraph", "lemonade", "minimax", "mistral", "nadir", "ollama", "ollama_chat", "openrouter"}
    | {"ovhcloud", "sagemaker_chat", "sagemaker_nova", "snowflake", "together_ai", "xai"}
)
"""Providers for which litellm takes a client in the shape of its own HTTP handler."""

SPEAKS_OPENAI: Final = (
    OWN_WIRE
    | {"azure", "databricks", "deepseek", "fireworks_ai", "groq", "hosted_vllm"}
    | {
        "huggingface",
        "minimax",
        "mistral",
        "openrouter",
        "together_ai",
        "xai",
    }
)
"""Providers whose requests litellm leaves in the OpenAI protocol, so that nothing of them is translated."""

SIGNS_REQUESTS: Final = frozenset({"bedrock", "bedrock_mantle", "sagemaker_chat", "sagemaker_nova"})
"""Providers whose requests are signed, and must not be changed after litellm made them."""

TEXT_COMPLETION: Final = frozenset(
    {"azure_text", "text-completion-codestral", "text-completion-inception", "text-completion-openai"}
)
"""Providers of the older protocol that completes a text, and knows no conversation."""

WITHOUT_ADDRESS: Final = frozenset(
    {"azure", "custom_openai", "hosted_vllm", "litellm_proxy", "llamafile", "xinference"}
)
"""Providers that are nowhere unless an address is given."""

OWN_CREDENTIALS: Final = frozenset(
    {"azure", "bedrock", "bedrock_mantle", "gdc", "oci", "sagemaker", "sagemaker_chat", "sagemaker_nova", "sap"}
    | {"vertex_ai", "vertex_ai_beta"}
)
"""Providers whose cloud may know us without a key: what its own variables, files or machine say."""


def way(provider: str) -> Way:
    """Which way the calls of a provider go; a few of its models may go another, and each call finds out by itself."""
    if provider in OWN_WIRE:
        return Way.OWN_WIRE
    return Way.PLAIN if provider in PLAIN else Way.FOREIGN


def way_and_reason(provider: str, *, has_key: bool, by_responses_api: bool) -> tuple[Way, str]:
    """Which way the calls of one model go, and why, for people."""
    if by_responses_api and provider == "openai":
        return Way.FOREIGN, "litellm asks for this model by another protocol, the Responses API"
    if provider == "azure" and not has_key:
        return Way.FOREIGN, "without a key, litellm gets a token for azure by itself"
    match way(provider):
        case Way.OWN_WIRE:
            return Way.OWN_WIRE, f"litellm takes our client for {provider}"
        case Way.PLAIN if provider in SPEAKS_OPENAI:
            return Way.PLAIN, f"litellm reads the answers of {provider} itself; openai/NAME with its address would not"
        case Way.PLAIN:
            return Way.PLAIN, f"{provider} has a protocol of its own"
        case _:
            return Way.FOREIGN, f"litellm takes no client of ours for {provider}"
