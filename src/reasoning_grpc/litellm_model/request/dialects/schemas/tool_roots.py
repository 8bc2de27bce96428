"""Refuses tools whose schema is more at its top level than the provider takes.

OpenAI and Anthropic take a plain object there, and refuse `anyOf` and its like. litellm hides that: it joins the
alternatives to one object for OpenAI, and leaves out all keywords but a few for Anthropic and Bedrock. The tool would
then take other arguments than its author wrote. Schemas within the top level may have any keyword.
"""

import json
from collections.abc import Iterator
from typing import Final

from reasoning_grpc.domain.errors import FieldViolation
from reasoning_grpc.llm import ModelCall

_COMBINED: Final = frozenset({"allOf", "anyOf", "oneOf", "not", "enum", "const"})
_OTHERS: Final = frozenset(
    {"$ref", "if", "then", "else", "dependentSchemas", "dependentRequired", "dependencies", "patternProperties"}
    | {"propertyNames", "minProperties", "maxProperties", "unevaluatedProperties"}
)
"""Keywords that litellm leaves out for Anthropic and Bedrock, besides the combined ones."""
BEYOND_PLAIN_OBJECTS: Final = _COMBINED | _OTHERS
"""Keywords that make a schema more than a plain object."""


def refuse_combined_tools(call: ModelCall, _model: str) -> Iterator[FieldViolation]:
    """Refuses tools whose schema has alternatives, or the like, at its top level."""
    return _refuse(call, _COMBINED)


def refuse_tools_beyond_plain_objects(call: ModelCall, _model: str) -> Iterator[FieldViolation]:
    """Refuses tools whose schema is more than properties at its top level."""
    return _refuse(call, _COMBINED | _OTHERS)


def refuse_tools_beyond_plain_objects_for_claude(call: ModelCall, model: str) -> Iterator[FieldViolation]:
    """Refuses such tools where the model is one of Anthropic's, because the provider has models of others too."""
    return _refuse(call, _COMBINED | _OTHERS if "claude" in model else frozenset())


def _refuse(call: ModelCall, keywords: frozenset[str]) -> Iterator[FieldViolation]:
    for index, tool in enumerate(call.tools):
        for keyword in json.loads(tool.parameters_schema or "{}"):
            if keyword in keywords:
                problem = f"The model takes no {keyword} at the top level of a tool's schema."
                yield FieldViolation(f"tools[{index}].parameters_schema", problem)
