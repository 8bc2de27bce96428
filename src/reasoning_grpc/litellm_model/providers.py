"""litellm's providers, and the way that their calls go.

Measured on litellm 1.106.2, provider by provider, with a client that only records how litellm uses it; a test
repeats this. A provider is the prefix of a model's name.
"""

from enum import StrEnum
from typing import Final


class Way(StrEnum):
    """The way of a provider's calls: whose connections carry them, and who reads the answers."""

    OWN_WIRE = "OWN_WIRE"
    """Our connections and our own reader: exact in every respect, and the cheapest."""
    PLAIN = "PLAIN"
    """Our connections and litellm's reader; an observer finds out what litellm invents."""
    FOREIGN = "FOREIGN"
    """litellm's own connections and reader; errors and ends are as exact as litellm reports them."""


SDK_SHAPE: Final = frozenset(
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

Azure is among them if it has a key: only litellm's own client gets and renews tokens of Entra ID.
"""

HTTP_SHAPE: Final = frozenset(
    {"a2a", "anthropic", "azure_ai", "bedrock", "bedrock_mantle", "cometapi", "compactifai", "databricks"}
    | {"datarobot", "deepseek", "edenai", "fireworks_ai", "gemini", "groq", "heroku", "hosted_vllm", "huggingface"}
    | {"langflow", "langgraph", "lemonade", "minimax", "mistral", "nadir", "ollama", "ollama_chat", "openrouter"}
    | {"ovhcloud", "sagemaker_chat", "sagemaker_nova", "snowflake", "together_ai", "xai"}
)
"""Providers for which litellm takes a client in the shape of its own HTTP handler."""

SPEAKS_OPENAI: Final = (
    SDK_SHAPE
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
"""Providers whose requests litellm leaves in the OpenAI protocol, without converting anything."""

TRANSLATED: Final = frozenset({"anthropic", "gemini"})
"""Providers whose requests litellm translates to a protocol of the provider's own, which our own reader reads."""

SIGNS_REQUESTS: Final = frozenset({"bedrock", "bedrock_mantle", "sagemaker_chat", "sagemaker_nova"})
"""Providers whose requests are signed, and must not be changed after litellm has built them."""

TEXT_COMPLETION: Final = frozenset(
    {"azure_text", "text-completion-codestral", "text-completion-inception", "text-completion-openai"}
)
"""Providers of the older protocol, which completes a text and has no conversations."""

WITHOUT_ADDRESS: Final = frozenset(
    {"ai21", "azure", "custom_openai", "databricks", "hosted_vllm", "litellm_proxy", "llamafile", "lm_studio"}
    | {"xinference"}
)
"""Providers without an address of their own: the configuration must have one."""

OWN_CREDENTIALS: Final = frozenset(
    {"azure", "bedrock", "bedrock_mantle", "gdc", "oci", "sagemaker", "sagemaker_chat", "sagemaker_nova", "sap"}
    | {"vertex_ai", "vertex_ai_beta"}
)
"""Providers that need no key where the variables, files or machine of their cloud have credentials."""

_WITHOUT_KEYS: Final = frozenset({"sagemaker_chat", "sagemaker_nova"})
"""Providers whose requests litellm signs, or sends with a key of the environment, whatever key it gets."""
_WITH_KEYS: Final = frozenset(
    {"aiohttp_openai", "amazon_nova", "anthropic_text", "cloudflare", "cohere", "cohere_chat", "maritalk", "nlp_cloud"}
)
"""Providers to which litellm sends the key that it gets, and no other credentials, over its own connections."""


def takes_key(provider: str) -> bool:
    """Returns whether one key is all the credentials of a provider, so that callers can have their own."""
    return provider in (SDK_SHAPE | HTTP_SHAPE | _WITH_KEYS) - _WITHOUT_KEYS


def choose_way(provider: str) -> Way:
    """Returns the way of a provider's calls. A few of its models may go another way, which each call finds out."""
    if provider in SPEAKS_OPENAI | TRANSLATED:
        return Way.OWN_WIRE
    return Way.PLAIN if provider in HTTP_SHAPE else Way.FOREIGN


def explain_way(provider: str, *, has_key: bool) -> tuple[Way, str]:
    """Returns the way of one model's calls, and a sentence for people that says why."""
    if provider == "azure" and not has_key:
        return Way.FOREIGN, "without a key, litellm gets a token for azure by itself"
    match choose_way(provider):
        case Way.OWN_WIRE if provider in TRANSLATED:
            return Way.OWN_WIRE, f"{provider} has a protocol of its own, which we read ourselves"
        case Way.OWN_WIRE:
            return Way.OWN_WIRE, f"{provider} has OpenAI's protocol"
        case Way.PLAIN:
            return Way.PLAIN, f"{provider} has a protocol of its own"
        case _:
            return Way.FOREIGN, f"litellm takes no client of ours for {provider}"
