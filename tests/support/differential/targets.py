"""The models to which the differential test sends its requests, a few for each promised prefix."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from reasoning_grpc.config import Config, ModelEntry
from reasoning_grpc.domain import Sampling, Secret
from tests.support.differential.capturing import CapturingUpstream
from tests.support.serving import config_for
from tests.support.wire_meaning import EntryDefaults

OPTION: Final = "x_option"
"""A name that requests may use in `provider_options`."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """A model of a provider, as an operator configures it."""

    litellm_model: str
    base_model: str = ""
    litellm_params: Mapping[str, str] = field(default_factory=dict)
    system_prompt: str = ""
    sampling: Mapping[str, Any] = field(default_factory=dict)
    """The defaults of the entry."""
    label: str = ""
    """Distinguishes entries of one model."""
    gets_schemas: bool = True
    """Whether the model gets every form of schema; others of its prefix get their schemas in the same way."""

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
        """The model's name in the price map."""
        return self.base_model or self.litellm_model

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
            provider_options=frozenset({OPTION}),
            system_prompt=self.system_prompt,
            defaults=Sampling(**self.sampling),
            litellm_params=self.litellm_params,
        )


_BASE_PATHS: Final = {"anthropic": "", "gemini": "/v1beta", "bedrock": "", "ollama_chat": "", "azure": ""}

_WITH_DEFAULTS: Final[Mapping[str, Any]] = {
    "sampling": {"temperature": 0.4, "top_p": 0.9, "max_output_tokens": 300},
    "system_prompt": "be brief",
    "label": "+defaults",
    "gets_schemas": False,
}


def _targets(prefix: str, *models: str, **fields: Any) -> tuple[Target, ...]:
    return tuple(Target(litellm_model=f"{prefix}/{model}", **fields) for model in models)


TARGETS: Final[tuple[Target, ...]] = (
    *_targets("openai", "gpt-4o"),
    *_targets("openai", "o3-mini", "gpt-5", "our-model", gets_schemas=False),
    *_targets("openai", "our-reasoner", base_model="openai/gpt-5", gets_schemas=False),
    *_targets("openai", "gpt-4o", **_WITH_DEFAULTS),
    *_targets("azure", "our-deployment", base_model="azure/gpt-4o"),
    *_targets("azure", "our-reasoner", base_model="azure/gpt-5", gets_schemas=False),
    *_targets("litellm_proxy", "team-model"),
    *_targets("custom_openai", "our-model"),
    *_targets("cerebras", "llama-3.3-70b"),
    *_targets("cerebras", "gpt-oss-120b", gets_schemas=False),
    *_targets("moonshot", "kimi-k2.5"),
    *_targets("nvidia_nim", "meta/llama-3.1-70b-instruct"),
    *_targets("perplexity", "sonar"),
    *_targets("perplexity", "sonar-reasoning", gets_schemas=False),
    *_targets("sambanova", "Meta-Llama-3.3-70B-Instruct"),
    *_targets("dashscope", "qwen-plus"),
    *_targets("deepinfra", "meta-llama/Llama-3.3-70B-Instruct"),
    *_targets("lm_studio", "qwen3-8b"),
    *_targets("llamafile", "our-model"),
    *_targets("zai", "glm-4.6"),
    *_targets("nebius", "meta-llama/Llama-3.3-70B-Instruct"),
    *_targets("groq", "llama-3.3-70b-versatile", "openai/gpt-oss-120b"),
    *_targets("deepseek", "deepseek-chat"),
    *_targets("deepseek", "deepseek-reasoner", gets_schemas=False),
    *_targets("mistral", "mistral-large-latest"),
    *_targets("mistral", "magistral-medium-latest", gets_schemas=False),
    *_targets("xai", "grok-4.3"),
    *_targets("xai", "grok-3-mini", gets_schemas=False),
    *_targets("together_ai", "meta-llama/Llama-3.3-70B-Instruct-Turbo"),
    *_targets("together_ai", "openai/gpt-oss-120b", gets_schemas=False),
    *_targets("openrouter", "anthropic/claude-sonnet-4.5"),
    *_targets("openrouter", "openai/gpt-4o", gets_schemas=False),
    *_targets("fireworks_ai", "accounts/fireworks/models/deepseek-v3p1"),
    *_targets("hosted_vllm", "our-model"),
    *_targets("databricks", "databricks-claude-sonnet-4", "databricks-meta-llama-3-3-70b-instruct"),
    *_targets("anthropic", "claude-sonnet-4-5", "claude-opus-4-7", "claude-3-5-haiku-20241022"),
    *_targets("anthropic", "claude-sonnet-4-5", **_WITH_DEFAULTS),
    *_targets("gemini", "gemini-2.5-flash", "gemini-3.5-flash"),
    *_targets("gemini", "gemini-2.5-flash", **_WITH_DEFAULTS),
    *_targets(
        "bedrock/converse",
        "anthropic.claude-sonnet-4-5-20250929-v1:0",
        "us.amazon.nova-pro-v1:0",
        litellm_params={"aws_region_name": "eu-central-1"},
    ),
    *_targets("ollama_chat", "llama3.2"),
    *_targets("ollama_chat", "gpt-oss:20b", gets_schemas=False),
)
"""All models."""


def build_config(targets: Iterable[Target], upstream: CapturingUpstream) -> Config:
    """Builds the configuration of a server with these models, all of which the upstream serves."""
    return config_for(*(target.build_entry(upstream.port) for target in targets))
