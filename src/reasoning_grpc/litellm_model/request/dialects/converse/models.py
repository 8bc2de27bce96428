"""The facts about a model of Bedrock that decide what a call may hold, from litellm's tables."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from reasoning_grpc.litellm_model import library


@dataclass(frozen=True, slots=True)
class BedrockModel:
    """The facts about one model."""

    is_claude: bool
    by_converse: bool
    """Whether it gets the messages of the Converse API."""
    by_prompt: bool
    """Whether it gets the conversation as a single text, which litellm writes."""
    takes_top_k: bool
    takes_cache_marks: bool
    takes_parallel_setting: bool
    """Whether the request may forbid parallel tool calls."""
    takes_strict_tools: bool
    takes_closed_tools: bool
    """Whether a tool may forbid arguments that its schema does not list."""
    takes_few_tokens: bool
    """Whether the limit of output tokens may be smaller than 16."""
    is_free_with_effort: bool
    """Whether litellm makes a forced tool call a free one beside an effort."""


@lru_cache(maxsize=4096)
def describe_bedrock(model: str) -> BedrockModel:
    """Returns the facts about a model, by litellm's name of it."""
    library.import_litellm()
    from litellm.llms.bedrock import common_utils
    from litellm.llms.bedrock.chat.converse_transformation import AmazonConverseConfig

    bedrock: Any = common_utils
    config: Any = AmazonConverseConfig
    name = model.partition("/")[2]
    bare = name.removeprefix("converse/").removeprefix("invoke/")
    base, route = bedrock.BedrockModelInfo.get_base_model(bare), bedrock.BedrockModelInfo.get_bedrock_route(name)
    is_claude, is_nova = "claude" in bare, base.startswith("amazon.nova")
    by_converse = route in {"converse", "converse_like"} or (route == "invoke" and is_nova)
    by_prompt = route == "invoke" and not is_claude and not is_nova
    takes_strict_tools = by_converse and bool(bedrock.bedrock_converse_supports_strict_tools(bare))
    return BedrockModel(
        is_claude=is_claude,
        by_converse=by_converse,
        by_prompt=by_prompt,
        takes_top_k=not by_converse or is_claude or (is_nova and route != "invoke"),
        takes_cache_marks=not by_prompt and bedrock.bedrock_model_accepts_cache_points(bare),
        takes_parallel_setting=not by_converse or bedrock.bedrock_converse_supports_parallel_tool_use_config(bare),
        takes_strict_tools=takes_strict_tools,
        takes_closed_tools=not by_converse or takes_strict_tools,
        takes_few_tokens=not config._requires_min_max_tokens(bare),
        is_free_with_effort=by_converse and ("gpt-oss" in bare or "deepseek" in bare),
    )
