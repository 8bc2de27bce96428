"""The requests of the differential test: each field alone with several values, and sensible pairs."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any, Final

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message as AnyMessage

from reasoning_grpc.v1 import completion_pb2, messages_pb2
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
from tests.support.differential.conversations import CONVERSATIONS, LOOKUP
from tests.support.differential.schema_forms import CLOSED, FORMS, STRICT_FORMS
from tests.support.differential.targets import OPTION, Target


@dataclass(frozen=True, kw_only=True)
class Case:
    """A request, by a name that says which fields it sets."""

    name: str
    request: CompleteRequest

    @property
    def fields(self) -> frozenset[str]:
        """The paths of all fields that the request sets, without those of a plain conversation."""
        paths = frozenset(list_paths(self.request))
        if any(path.endswith(".tool_call") for path in paths):
            paths |= {"tools"}  # a provider may want them beside the calls of a conversation
        return paths - _OF_A_PLAIN_REQUEST if self.request.messages == _PLAIN.messages else paths


def list_paths(message: AnyMessage, path: str = "") -> Iterator[str]:
    """Yields the path of each field that is set, and of what it stands in."""
    for field, value in message.ListFields():
        name = f"{path}.{field.name}".removeprefix(".")
        yield name
        if field.type != FieldDescriptor.TYPE_MESSAGE:
            yield from (f"{name}[{index}]" for index in range(len(value) if field.is_repeated else 0))
        elif field.message_type is not None and field.message_type.GetOptions().map_entry:
            yield from (f"{name}[{key}]" for key in value)
            yield from (f"{name}.{key}" for key in value)
        elif field.is_repeated:
            for index, each in enumerate(value):
                yield f"{name}[{index}]"
                yield from list_paths(each, f"{name}[{index}]")
        else:
            yield from list_paths(value, name)


def _merge(*requests: CompleteRequest) -> CompleteRequest:
    """Returns a request with the fields of all; the last conversation wins, and a plain message stands for none."""
    merged = CompleteRequest()
    for request in requests:
        if request.messages:
            del merged.messages[:]
        if request.tools:
            del merged.tools[:]
        merged.MergeFrom(request)
    if not merged.messages:
        merged.messages.add(role=messages_pb2.ROLE_USER).content.add(text="hi")
    return merged


_PLAIN: Final = _merge()
_OF_A_PLAIN_REQUEST: Final = frozenset(list_paths(_PLAIN))


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
    f"effort {name.lower()}": _effort(name) for name in ("NONE", "MINIMAL", "LOW", "MEDIUM", "HIGH")
}
BUDGETS: Final[Mapping[str, CompleteRequest]] = {f"budget {each}": _budget(each) for each in (1, 1024, 2048, 10_000)}
OTHERS: Final[Mapping[str, CompleteRequest]] = {
    "plain": CompleteRequest(),
    "effort xhigh": _effort("XHIGH"),
    "end_user": CompleteRequest(end_user="user-7"),
    "end_user of 256": CompleteRequest(end_user="u" * 256),
    "provider option": CompleteRequest(provider_options={OPTION: '{"a": [1, null, false, 0.5]}'}),
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

SINGLES: Final[Mapping[str, CompleteRequest]] = {
    **OTHERS,
    **SAMPLING,
    **TOOLS,
    **CHOICES,
    **PARALLEL,
    **FORMATS,
    **EFFORTS,
    **BUDGETS,
    **CONVERSATIONS,
}
"""Each field alone."""


def _choose(values: Mapping[str, CompleteRequest], *names: str) -> dict[str, CompleteRequest]:
    return {name: values[name] for name in names}


_LIMITS: Final = _choose(SAMPLING, "limit 1", "limit 50", "limit 2000")
_SOME_EFFORTS: Final = _choose(EFFORTS, "effort none", "effort low", "effort high")
_SOME_FORMATS: Final = _choose(FORMATS, "json_object", "schema", "strict schema")
_PAIRS: Final[tuple[tuple[Mapping[str, CompleteRequest], Mapping[str, CompleteRequest]], ...]] = (
    (_SOME_EFFORTS, _LIMITS),
    (_choose(BUDGETS, "budget 1024", "budget 10000"), _LIMITS),
    (
        _choose(EFFORTS, "effort none", "effort high"),
        _choose(
            SAMPLING,
            "temperature 0",
            "temperature 0.2",
            "temperature 1",
            "top_p 0.5",
            "top_k 40",
            "logprobs",
            "presence_penalty 1.5",
            "one stop",
            "seed 7",
        ),
    ),
    (_choose(BUDGETS, "budget 2048"), _choose(SAMPLING, "temperature 0.2", "top_p 0.5", "top_k 40")),
    (_choose(EFFORTS, "effort high", "effort none"), CHOICES),
    (_choose(EFFORTS, "effort high"), _SOME_FORMATS),
    (_choose(BUDGETS, "budget 2048"), CHOICES),
    (CHOICES, _SOME_FORMATS),
    (PARALLEL, _SOME_FORMATS),
    (TOOLS, _choose(FORMATS, "schema")),
    (_choose(FORMATS, "schema"), _LIMITS),
    (_choose(SAMPLING, "temperature 0.2"), _choose(SAMPLING, "top_p 0.5")),
    (_choose(SAMPLING, "temperature 0.2"), _choose(SAMPLING, "limit 50")),
    (_choose(SAMPLING, "top_k 40", "seed 7", "one stop"), _choose(FORMATS, "json_object", "schema")),
    (
        _choose(
            CONVERSATIONS,
            "call and result",
            "signed reasoning and call",
            "unsigned reasoning and call",
            "two calls and results",
            "later system",
            "last answer",
        ),
        {
            **_choose(TOOLS, "tool"),
            **_choose(CHOICES, "choice none", "choice required"),
            **_choose(FORMATS, "schema", "json_object"),
            **_choose(EFFORTS, "effort high", "effort none"),
            **_choose(BUDGETS, "budget 2048"),
        },
    ),
    (_choose(CONVERSATIONS, "cache on everything", "five cache marks"), _choose(TOOLS, "tool", "two tools")),
    (_choose(CONVERSATIONS, "image by data", "pdf"), _choose(FORMATS, "schema")),
    (_choose(OTHERS, "provider option"), {**_SOME_EFFORTS, **_SOME_FORMATS, **_choose(TOOLS, "tool")}),
)


def _list_pairs() -> Iterator[tuple[str, CompleteRequest]]:
    for ones, others in _PAIRS:
        for (name, one), (other_name, other) in product(ones.items(), others.items()):
            yield f"{name} + {other_name}", _merge(one, other)
    for names, choice in product(PARALLEL, CHOICES):
        yield f"{names} + {choice}", _merge(PARALLEL[names], CHOICES[choice])
    for tool in ("tool", "choice required"):
        for effort in EFFORTS:
            limited = _merge(SINGLES[tool], EFFORTS[effort], SAMPLING["limit 2000"])
            yield f"{tool} + {effort} + limit 2000", limited


def _build_cases(requests: Iterable[tuple[str, CompleteRequest]]) -> tuple[Case, ...]:
    return tuple(Case(name=name, request=_merge(request)) for name, request in requests)


SINGLE_CASES: Final = _build_cases(SINGLES.items())
SCHEMA_CASES: Final = _build_cases({**TOOL_SCHEMAS, **FORMAT_SCHEMAS, **STRICT_SCHEMAS}.items())
PAIR_CASES: Final = _build_cases(dict(_list_pairs()).items())

ALL_CASES: Final = (*SINGLE_CASES, *PAIR_CASES, *SCHEMA_CASES)


def list_cases(target: Target) -> tuple[Case, ...]:
    """Returns the requests for a model. Only one model of each way of converting schemas gets all their forms."""
    return ALL_CASES if target.gets_schemas else (*SINGLE_CASES, *PAIR_CASES)
