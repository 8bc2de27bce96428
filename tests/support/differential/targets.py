"""The models to which the differential test sends its requests, a few for each promised prefix."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from reasoning_grpc.config import Config, ModelEntry
from reasoning_grpc.domain import Sampling, Secret, Wire
from tests.support.differential.capturing import CapturingUpstream
from tests.support.serving import config_for
from tests.support.wire_meaning import EntryDefaults

OPTION: Final = "x_option"
"""A name that requests may use in `provider_options`."""


class Scope(StrEnum):
    """Which requests a model gets: what depends on the model is tried with each, the rest once for a prefix."""

    ALL = "ALL"
    """Everything."""
    FEW_SCHEMAS = "FEW_SCHEMAS"
    """Everything, but only the forms of schemas that are changed most often."""
    PLAIN = "PLAIN"
    """Each field alone, the pairs that matter to a model, and few schemas."""
    MODEL = "MODEL"
    """Each parameter alone, and the pairs that matter to a model."""
    AMOUNT = "AMOUNT"
    """Each amount of reasoning alone."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """A model of a provider, as an operator configures it."""

    litellm_model: str
    base_model: str = ""
    litellm_params: Mapping[str, str] = field(default_factory=dict)
    system_prompt: str = ""
    sampling: Mapping[str, Any] = field(default_factory=dict)
    """The defaults of the entry."""
    wire: Wire | None = None
    """OpenAI's API that the entry names."""
    label: str = ""
    """Distinguishes entries of one model."""
    scope: Scope = Scope.FEW_SCHEMAS

    @property
    def name(self) -> str:
        """The name of the entry."""
        described = f"@{self.base_model}" if self.base_model else ""
        return f"{self.litellm_model}{described}{self.label}"

    @property
    def prefix(self) -> str:
        """litellm's prefix."""
        return self.litellm_model.partition("/")[0]

    @property
    def model_on_wire(self) -> str:
        """The provider's name of the model."""
        return self.litellm_model.partition("/")[2].removeprefix("converse/")

    @property
    def described_model(self) -> str:
        """The provider's own model: the rules that it has for a request."""
        is_proxy = self.prefix == "litellm_proxy"  # which takes a request for any model, and converts it
        return self.litellm_model if is_proxy else self.base_model or self.litellm_model

    @property
    def reasoning_model(self) -> str:
        """The model whose amounts of reasoning count: a proxy takes those of the model behind it."""
        return self.base_model or self.litellm_model

    @property
    def has_responses(self) -> bool:
        """Whether calls of the model may go through OpenAI's Responses API."""
        named = _HAS_RESPONSES.match(self.base_model or self.litellm_model)
        return self.wire is Wire.RESPONSES or (self.wire is None and self.prefix in {"openai", "azure"} and bool(named))

    @property
    def defaults(self) -> EntryDefaults:
        """What holds for a request that does not say it."""
        return EntryDefaults(system_prompt=self.system_prompt, sampling=self.sampling)

    def build_entry(self, port: int) -> ModelEntry:
        """Builds the entry; the upstream on this port of the loopback serves it."""
        return ModelEntry(
            name=self.name,
            litellm_model=self.litellm_model,
            api_base=f"http://127.0.0.1:{port}{_BASE_PATHS.get(self.prefix, '/v1')}",
            api_key=Secret("sk-differential"),
            base_model=self.base_model,
            wire=self.wire,
            provider_options=frozenset({OPTION}),
            system_prompt=self.system_prompt,
            defaults=Sampling(**self.sampling),
            litellm_params=self.litellm_params,
        )


_HAS_RESPONSES: Final = re.compile(r"(azure|openai)/(gpt-[5-9]|o3)(?!.*chat)")
_BASE_PATHS: Final = {"anthropic": "", "gemini": "/v1beta", "bedrock": "", "ollama_chat": "", "azure": ""}

_WITH_DEFAULTS: Final[Mapping[str, Any]] = {
    "sampling": {"temperature": 0.4, "top_p": 0.9, "max_output_tokens": 300},
    "system_prompt": "be brief",
    "label": "+defaults",
}
_BY_RESPONSES: Final[Mapping[str, Any]] = {"wire": Wire.RESPONSES, "label": "+responses"}
_BEDROCK: Final[Mapping[str, Any]] = {"litellm_params": {"aws_region_name": "eu-central-1"}}


def _targets(prefix: str, *models: str, **fields: Any) -> tuple[Target, ...]:
    return tuple(Target(litellm_model=f"{prefix}/{model}", **fields) for model in models)


def _with_all_schemas(prefix: str, *models: str, **fields: Any) -> tuple[Target, ...]:
    return _targets(prefix, *models, scope=Scope.ALL, **fields)


def _plain(prefix: str, *models: str, **fields: Any) -> tuple[Target, ...]:
    return _targets(prefix, *models, scope=Scope.PLAIN, **fields)


def _others(prefix: str, *models: str, **fields: Any) -> tuple[Target, ...]:
    return _targets(prefix, *models, scope=Scope.MODEL, **fields)


def _amounts(prefix: str, *models: str, **fields: Any) -> tuple[Target, ...]:
    return _targets(prefix, *models, scope=Scope.AMOUNT, **fields)


TARGETS: Final[tuple[Target, ...]] = (
    *_with_all_schemas("openai", "gpt-4o"),
    *_plain("openai", "o3-mini", "gpt-5"),
    *_targets("openai", "gpt-4o", **_WITH_DEFAULTS),
    *_others("openai", "our-model", "o1", "gpt-5.1", "gpt-5-chat-latest", "gpt-4o-audio-preview"),
    *_plain("openai", "gpt-5-pro"),
    *_others("openai", "gpt-5.4", "gpt-5.6", "gpt-5.2-codex", "o3-pro"),
    *_targets("openai", "gpt-5.6", **_BY_RESPONSES),
    *_with_all_schemas("openai", "gpt-4.1", **_BY_RESPONSES),
    *_targets("openai", "gpt-5-pro", **_WITH_DEFAULTS),
    *_others("azure", "gpt-5.4"),
    *_plain("azure", "our-pro", base_model="azure/gpt-5-pro"),
    *_others("openai", "our-reasoner", base_model="openai/gpt-5"),
    *_others("openai", "our-chat", base_model="openai/gpt-4o"),
    *_with_all_schemas("azure", "our-deployment", base_model="azure/gpt-4o"),
    *_plain("azure", "our-reasoner", base_model="azure/gpt-5"),
    *_others("azure", "our-thinker", base_model="azure/o3-mini"),
    *_others("azure", "unknown"),
    *_targets("litellm_proxy", "team-model"),
    *_others("litellm_proxy", "team-model", base_model="openai/gpt-5"),
    *_plain("litellm_proxy", "team-model", **_BY_RESPONSES),
    *_others("litellm_proxy", "team-model", base_model="openai/gpt-5.6", **_BY_RESPONSES),
    *_plain("custom_openai", "our-model"),
    *_plain("cerebras", "llama-3.3-70b"),
    *_others("cerebras", "gpt-oss-120b"),
    *_targets("moonshot", "kimi-k2.5"),
    *_others("moonshot", "kimi-k2.6", "moonshot-v1-8k"),
    *_plain("nvidia_nim", "meta/llama-3.1-70b-instruct"),
    *_plain("perplexity", "sonar"),
    *_others("perplexity", "sonar-reasoning"),
    *_targets("sambanova", "Meta-Llama-3.3-70B-Instruct"),
    *_plain("dashscope", "qwen-plus"),
    *_plain("deepinfra", "meta-llama/Llama-3.3-70B-Instruct"),
    *_plain("lm_studio", "qwen3-8b"),
    *_plain("llamafile", "our-model"),
    *_plain("zai", "glm-4.6"),
    *_plain("nebius", "meta-llama/Llama-3.3-70B-Instruct"),
    *_with_all_schemas("groq", "llama-3.3-70b-versatile"),
    *_plain("groq", "openai/gpt-oss-120b"),
    *_others("groq", "qwen/qwen3.8-27b"),
    *_targets("deepseek", "deepseek-chat"),
    *_plain("deepseek", "deepseek-reasoner"),
    *_others("deepseek", "deepseek-v4-pro"),
    *_with_all_schemas("mistral", "mistral-large-latest"),
    *_plain("mistral", "magistral-medium-latest"),
    *_others("mistral", "mistral-small-latest"),
    *_targets("xai", "grok-4.3"),
    *_others("xai", "grok-3-mini"),
    *_targets("together_ai", "meta-llama/Llama-3.3-70B-Instruct-Turbo"),
    *_others("together_ai", "openai/gpt-oss-120b", "Qwen/Qwen3.7-Plus"),
    *_targets("openrouter", "anthropic/claude-sonnet-4.5"),
    *_plain("openrouter", "openai/gpt-4o"),
    *_others("openrouter", "google/gemini-2.5-flash", "openai/gpt-5"),
    *_targets("fireworks_ai", "accounts/fireworks/models/deepseek-v3p1"),
    *_others("fireworks_ai", "accounts/fireworks/models/glm-4p5"),
    *_with_all_schemas("hosted_vllm", "our-model"),
    *_plain("hosted_vllm", "our-model", **_BY_RESPONSES),
    *_with_all_schemas("databricks", "databricks-claude-sonnet-4"),
    *_plain("databricks", "databricks-meta-llama-3-3-70b-instruct"),
    *_with_all_schemas("anthropic", "claude-sonnet-4-5", "claude-3-5-haiku-20241022"),
    *_targets("anthropic", "claude-opus-4-7"),
    *_targets("anthropic", "claude-sonnet-4-5", **_WITH_DEFAULTS),
    *_others("anthropic", "claude-opus-4-6", "claude-haiku-4-5", "claude-3-7-sonnet-20250219", "our-claude"),
    *_others("anthropic", "claude-opus-4-8", "claude-sonnet-5-5"),
    *_with_all_schemas("gemini", "gemini-2.5-flash", "gemini-3.5-flash"),
    *_targets("gemini", "gemini-2.5-flash", **_WITH_DEFAULTS),
    *_others("gemini", "gemini-2.5-pro", "gemini-2.0-flash", "gemini-3.1-pro-preview"),
    *_with_all_schemas(
        "bedrock/converse", "anthropic.claude-sonnet-4-5-20250929-v1:0", "us.amazon.nova-pro-v1:0", **_BEDROCK
    ),
    *_others("bedrock/converse", "anthropic.claude-3-5-haiku-20241022-v1:0", **_BEDROCK),
    *_others("bedrock/converse", "us.anthropic.claude-opus-4-8", "us.amazon.nova-2-lite-v1:0", **_BEDROCK),
    *_others("bedrock/converse", "meta.llama3-1-70b-instruct-v1:0", "openai.gpt-oss-120b-1:0", **_BEDROCK),
    *_others("bedrock/converse", "deepseek.v3-v1:0", "mistral.mistral-large-2407-v1:0", **_BEDROCK),
    *_with_all_schemas("ollama_chat", "llama3.2"),
    *_others("ollama_chat", "gpt-oss:20b"),
    *_amounts("openai", "o4-mini", "gpt-5.2", "gpt-5.5", "gpt-5.4-pro", "gpt-5.1-codex-max", "gpt-5.2-chat-latest"),
    *_amounts("openai", "gpt-6-sol", "gpt-6-astra"),
    *_amounts("openai", "gpt-6-luna", wire=Wire.CHAT),
    *_amounts("openai", "our-thinker", base_model="openai/gpt-6.1-sol", wire=Wire.RESPONSES),
    *_amounts("azure", "our-newest", base_model="azure/gpt-6.1-sol"),
    *_amounts("litellm_proxy", "team-claude", base_model="anthropic/claude-sonnet-4-5"),
    *_amounts("anthropic", "claude-sonnet-4-6", "claude-opus-5", "claude-haiku-5-5", "claude-fable-5"),
    *_amounts("bedrock/converse", "us.anthropic.claude-opus-4-6-v1", "us.anthropic.claude-sonnet-5-5", **_BEDROCK),
    *_amounts("bedrock/converse", "us.openai.gpt-5.4", "us.deepseek.r1-v1:0", **_BEDROCK),
    *_amounts("bedrock/converse", "moonshotai.kimi-k2-thinking", **_BEDROCK),
    *_amounts("databricks", "databricks-claude-opus-4-7", "databricks-gemini-2-5-pro", "databricks-gpt-oss-120b"),
    *_amounts("gemini", "gemini-3-pro-preview", "gemini-3-flash-preview", "gemini-3.7-flash", "gemini-2.5-flash-lite"),
    *_amounts("groq", "qwen/qwen3-32b"),
    *_amounts("cerebras", "zai-glm-4.7"),
    *_amounts("mistral", "zai-glm-5-3"),
    *_amounts("xai", "grok-4", "grok-4.5", "grok-4.6", "grok-4.20-non-reasoning"),
    *_amounts("together_ai", "zai-org/GLM-5.3", "moonshotai/Kimi-K3", "deepseek-ai/DeepSeek-V4-Pro"),
    *_amounts("fireworks_ai", "accounts/fireworks/models/kimi-k3", "accounts/fireworks/models/glm-5"),
    *_amounts("fireworks_ai", "accounts/fireworks/models/gpt-oss-120b"),
    *_amounts("zai", "glm-5.2", "glm-5.3"),
    *_amounts("moonshot", "kimi-k3", "kimi-k2.7-code"),
    *_amounts("dashscope", "qwen3-235b-a22b-thinking-2507"),
    *_amounts("hosted_vllm", "openai/gpt-oss-20b"),
    *_amounts("perplexity", "sonar-deep-research"),
    *_amounts("sambanova", "gpt-oss-120b"),
    *_amounts("deepinfra", "openai/gpt-oss-120b"),
)
"""All models."""


def build_config(targets: Iterable[Target], upstream: CapturingUpstream) -> Config:
    """Builds the configuration of a server with these models, all of which the upstream serves."""
    return config_for(*(target.build_entry(upstream.port) for target in targets))
