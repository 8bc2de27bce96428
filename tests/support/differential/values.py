"""The values of each field of a request, edge ones included."""

import json
from collections.abc import Mapping
from typing import Any, Final

from reasoning_grpc.v1 import completion_pb2
from reasoning_grpc.v1.completion_pb2 import (
    CompleteRequest,
    JsonObjectFormat,
    JsonSchemaFormat,
    ReasoningOptions,
    ResponseFormat,
    Sampling,
    TextFormat,
    Tool,
    ToolChoice,
)
from tests.support.differential.conversations import LOOKUP
from tests.support.differential.schema_forms import CLOSED, FORMS, STRICT_FORMS
from tests.support.differential.targets import OPTION


def _sampling(**fields: Any) -> CompleteRequest:
    return CompleteRequest(sampling=Sampling(**fields))


def _tool(schema: Any, **fields: Any) -> CompleteRequest:
    return CompleteRequest(tools=[Tool(name="f", parameters_schema=json.dumps(schema), **fields)])


def _schema_format(schema: Any, **fields: Any) -> CompleteRequest:
    return CompleteRequest(
        response_format=ResponseFormat(
            json_schema=JsonSchemaFormat(**{"name": "answer", "schema": json.dumps(schema), **fields})
        )
    )


def _choice(**choice: Any) -> CompleteRequest:
    return CompleteRequest(tools=[LOOKUP, Tool(name="g")], tool_choice=ToolChoice(**choice))


def _effort(name: str) -> CompleteRequest:
    return CompleteRequest(reasoning=ReasoningOptions(effort=f"REASONING_EFFORT_{name}"))  # type: ignore[arg-type]


def _budget(tokens: int) -> CompleteRequest:
    return CompleteRequest(reasoning=ReasoningOptions(budget_tokens=tokens))


SAMPLING: Final[Mapping[str, CompleteRequest]] = {
    **{f"temperature {each}": _sampling(temperature=each) for each in (0, 0.2, 1, 1.5, 2)},
    **{f"top_p {each}": _sampling(top_p=each) for each in (0.01, 0.5, 1)},
    **{f"top_k {each}": _sampling(top_k=each) for each in (1, 40, 2**31 - 1)},
    **{f"limit {each}": _sampling(max_output_tokens=each) for each in (1, 50, 2000)},
    "one stop": _sampling(stop_sequences=["END"]),
    "stops": _sampling(stop_sequences=["a", "\n", " "]),
    "16 stops": _sampling(stop_sequences=[f"s{index}" for index in range(16)]),
    **{f"seed {each}": _sampling(seed=each) for each in (0, 7, -1, 2**63 - 1)},
    **{f"presence_penalty {each}": _sampling(presence_penalty=each) for each in (0, 1.5, -2)},
    **{f"frequency_penalty {each}": _sampling(frequency_penalty=each) for each in (0, 0.5, 2)},
    "logit_bias": _sampling(logit_bias={50256: -100, 7: 1.5}),
    "logprobs": _sampling(logprobs=True),
    "no logprobs": _sampling(logprobs=False),
    "top_logprobs 0": _sampling(logprobs=True, top_logprobs=0),
    "top_logprobs 20": _sampling(logprobs=True, top_logprobs=20),
}
TOOLS: Final[Mapping[str, CompleteRequest]] = {
    "tool": CompleteRequest(tools=[LOOKUP]),
    "tool without a schema": CompleteRequest(tools=[Tool(name="f", description="d")]),
    "tool with a name of every kind": CompleteRequest(tools=[Tool(name="-9_Az", parameters_schema="{}")]),
    "tool with a name of 64": CompleteRequest(tools=[Tool(name="f" * 64)]),
    "two tools": CompleteRequest(tools=[LOOKUP, Tool(name="a", description="first")]),
    "strict tool": _tool(CLOSED, strict=True),
    "lax tool": _tool(CLOSED, strict=False),
}
CHOICES: Final[Mapping[str, CompleteRequest]] = {
    "choice auto": _choice(mode="TOOL_CHOICE_MODE_AUTO"),
    "choice none": _choice(mode="TOOL_CHOICE_MODE_NONE"),
    "choice required": _choice(mode="TOOL_CHOICE_MODE_REQUIRED"),
    "choice by name": _choice(tool="lookup"),
}
PARALLEL: Final[Mapping[str, CompleteRequest]] = {
    "parallel": CompleteRequest(tools=[LOOKUP], parallel_tool_calls=True),
    "not parallel": CompleteRequest(tools=[LOOKUP], parallel_tool_calls=False),
}
FORMATS: Final[Mapping[str, CompleteRequest]] = {
    "text": CompleteRequest(response_format=ResponseFormat(text=TextFormat())),
    "json_object": CompleteRequest(response_format=ResponseFormat(json_object=JsonObjectFormat())),
    "schema": _schema_format(CLOSED),
    "strict schema": _schema_format(CLOSED, strict=True),
    "lax schema": _schema_format(CLOSED, strict=False),
    "described schema": _schema_format(CLOSED, description="what was found"),
}
EFFORTS: Final[Mapping[str, CompleteRequest]] = {
    f"effort {name.lower()}": _effort(name) for name in ("NONE", "MINIMAL", "LOW", "MEDIUM", "HIGH", "XHIGH", "MAX")
}
BUDGETS: Final[Mapping[str, CompleteRequest]] = {
    f"budget {each}": _budget(each) for each in (1, 1024, 2048, 10_000, 50_000)
}
OTHERS: Final[Mapping[str, CompleteRequest]] = {
    "plain": CompleteRequest(),
    "end_user": CompleteRequest(end_user="user-7"),
    "end_user of 256": CompleteRequest(end_user="u" * 256),
    "provider option": CompleteRequest(provider_options={OPTION: '{"a": [1, null, false, 0.5]}'}),
    "provider option of numbers": CompleteRequest(provider_options={OPTION: "[1e2, 123456789012345678901234567890]"}),
    "provider option of text": CompleteRequest(provider_options={OPTION: '"x"'}),
    "ours alone": CompleteRequest(
        labels={"team": "a"},
        include=completion_pb2.IncludeOptions(reasoning=True, model_calls=True),
        context_policy=completion_pb2.CONTEXT_POLICY_TRUNCATE_OLDEST,
        routing={"mode": "ROUTING_MODE_PASSTHROUGH", "preference": "ROUTING_PREFERENCE_COST"},  # type: ignore[arg-type]
    ),
}
TOOL_SCHEMAS: Final = {f"arguments: {name}": _tool(schema) for name, schema in FORMS.items()}
FORMAT_SCHEMAS: Final = {f"format: {name}": _schema_format(schema) for name, schema in FORMS.items()}
STRICT_SCHEMAS: Final = {
    **{f"strict arguments: {name}": _tool(schema, strict=True) for name, schema in STRICT_FORMS.items()},
    **{f"strict format: {name}": _schema_format(schema, strict=True) for name, schema in STRICT_FORMS.items()},
}

PARAMETERS: Final[Mapping[str, CompleteRequest]] = {
    **OTHERS,
    **SAMPLING,
    **TOOLS,
    **CHOICES,
    **PARALLEL,
    **FORMATS,
    **EFFORTS,
    **BUDGETS,
}
"""Each field but the conversation."""
SCHEMAS: Final = {**TOOL_SCHEMAS, **FORMAT_SCHEMAS, **STRICT_SCHEMAS}
"""Each form of schema, for a tool's arguments and for the answer."""
_FEW: Final = (
    "open",
    "map-of-integers",
    "enum-of-integers",
    "one-of-objects",
    "any-of-beside-properties",
    "reference",
    "property-true",
    "array-without-items",
    "nullable",
    "without-a-type",
    "draft",
)
FEW_SCHEMAS: Final = {
    f"{place}: {form}": SCHEMAS[f"{place}: {form}"] for place in ("arguments", "format") for form in _FEW
}
"""The forms of schemas that are changed most often."""
