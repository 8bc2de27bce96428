"""The recorded conversations of model families, in tests/support/families: one folder a family.

The recordings are written by hand after what the provider sends and what its documentation asks for. In each
conversation the caller asks a question and offers two tools. Whenever the model calls tools, the caller sends their
results; otherwise it asks the next question. A folder holds:

- family.toml: the documentation that the recordings follow, as `sources`; the `entry` of the model; what every
  `request` of the caller has; the `path` and the `headers` that the provider must get; the number of events of the
  first answer that make it complete, as `complete_after`; what the tests expect of `failing`; the fields of requests
  that are `refused`; the members of the body that ask for a `summary` where the request has no effort; the reasons why
  single answers are `absent`; and the `table`: what docs/models.md says of the family, each statement with the tests
  that show it
- 1.sse, 2.sse ...: the answer of each turn, as the provider streams it (see `Recording` for other endings)
- 1.request.json ...: the whole body that the provider must get in the turn
- 1.answer.json ...: the answer that the caller must get, as a `CompleteResponse` in JSON
- structured, refusal: the same three files for single answers: one in JSON by a schema, and one that declines
- failing.sse: an answer with an error in its middle

In JSON, the ids of calls that the server makes are written as "made 1", "made 2" ..., by their order. Signatures and
redacted reasoning are written without the marks that the server adds.
"""

import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from google.protobuf.json_format import MessageToDict, ParseDict

from reasoning_grpc.config import ModelEntry
from reasoning_grpc.config.model_entry import read_model_entry
from reasoning_grpc.v1.completion_pb2 import CompleteRequest, CompleteResponse
from reasoning_grpc.v1.messages_pb2 import ROLE_TOOL, ROLE_USER, Message, Part, ToolResult
from tests.support.opaque_values import remove_marks
from tests.support.recordings import Recording, list_recordings, read_recording
from tests.support.serving import UPSTREAM_KEY
from tests.support.upstream import DIALECTS, FakeUpstream

Json = dict[str, Any]

FOLDER: Final = Path(__file__).parent / "families"
QUESTIONS: Final = (
    "What is the weather in Oslo, and what time is it there?",
    "Say it in one word.",
    "Thank you.",
)
"""The questions of the caller, in order."""
RESULTS: Final[Mapping[str, str]] = {"weather": '{"celsius": 4}', "clock": "14:05"}
"""The results of the tools, by name."""
TOOLS: Final[list[Json]] = [
    {
        "name": "weather",
        "description": "Returns the weather of a city.",
        "parametersSchema": '{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}',
    },
    {
        "name": "clock",
        "description": "Returns the time in a zone.",
        "parametersSchema": '{"type":"object","properties":{"zone":{"type":"string"}},"required":["zone"]}',
    },
]
FORMAT: Final[Json] = {
    "jsonSchema": {
        "name": "weather",
        "schema": '{"type":"object","properties":{"celsius":{"type":"integer"}},"required":["celsius"],'
        '"additionalProperties":false}',
    }
}
"""The format that the request for a structured answer asks for."""
_MADE_ID: Final = re.compile(r"call_[0-9a-f]{28,32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""The ids of calls that the server or litellm makes."""


@dataclass(frozen=True, slots=True)
class ModelFamily:
    """The recordings of one family of models."""

    name: str
    facts: Mapping[str, Any]
    """The content of family.toml."""

    @property
    def folder(self) -> Path:
        """Returns the folder of the recordings."""
        return FOLDER / self.name

    @property
    def recordings(self) -> list[str]:
        """Returns the names of the recordings."""
        return list_recordings(self.folder)

    @property
    def turns(self) -> list[str]:
        """Returns the names of the recordings that are the turns of the conversation, in order."""
        return [name for name in self.recordings if name.isdecimal()]

    def read(self, name: str) -> Recording:
        """Reads the recording of this name."""
        return read_recording(self.folder, name)

    def read_request(self, name: str) -> Json:
        """Reads the body that the provider must get for the answer of this name."""
        body: Json = json.loads((self.folder / f"{name}.request.json").read_text("utf-8"))
        return body

    def read_answer(self, name: str) -> Json:
        """Reads the answer of this name that the caller must get."""
        answer = json.loads((self.folder / f"{name}.answer.json").read_text("utf-8"))
        return MessageToDict(ParseDict(answer, CompleteResponse()))

    def build_entry(self, upstream: FakeUpstream) -> ModelEntry:
        """Builds the entry of the model, named after the family, as the configuration's file would have it."""
        problems: list[str] = []
        table = {"api_base": self._find_address(upstream), "api_key_env": "KEY", **self.facts["entry"]}
        entry = read_model_entry(self.name, table, {"KEY": UPSTREAM_KEY}, problems)
        assert not problems
        return entry

    def build_request(self, **fields: Any) -> CompleteRequest:
        """Builds a request of the caller; `fields` are members in JSON, in place of those that every request has."""
        shared = {"tools": TOOLS, "include": {"reasoning": True}, **self.facts.get("request", {}), **fields}
        return ParseDict({"model": self.name, **shared}, CompleteRequest())

    def _find_address(self, upstream: FakeUpstream) -> str:
        provider = self.facts["entry"]["litellm_model"].partition("/")[0]
        return upstream.api_base_for(provider if provider in DIALECTS else "openai")


def read_family(name: str) -> ModelFamily:
    """Reads the facts of a family."""
    return ModelFamily(name, tomllib.loads((FOLDER / name / "family.toml").read_text("utf-8")))


def read_families() -> dict[str, ModelFamily]:
    """Reads the facts of all families, by name."""
    return {folder.name: read_family(folder.name) for folder in sorted(FOLDER.iterdir()) if folder.is_dir()}


def ask(text: str) -> Message:
    """Returns a message of the user."""
    return Message(role=ROLE_USER, content=[Part(text=text)])


def continue_conversation(answer: Message, questions: Iterator[str]) -> Message:
    """Returns the caller's message after an answer: the results of its calls, or the next question."""
    calls = [part.tool_call for part in answer.content if part.HasField("tool_call")]
    if not calls:
        return ask(next(questions))
    results = [ToolResult(call_id=call.id, content=RESULTS[call.name]) for call in calls]
    return Message(role=ROLE_TOOL, content=[Part(tool_result=result) for result in results])


def summarize_answer(response: CompleteResponse) -> Json:
    """Returns the facts of an answer that do not vary from call to call, in JSON."""
    kept = CompleteResponse(
        message=remove_marks(response.message),
        finish_reason=response.finish_reason,
        provider_finish_reason=response.provider_finish_reason,
        usage=response.usage,
        effective_settings=response.effective_settings,
    )
    for setting in kept.effective_settings:
        setting.reason = ""
    return MessageToDict(kept)


def rename_made_ids(values: Iterable[Json]) -> list[Json]:
    """Returns the values with the ids that the server made as "made 1", "made 2" ..., in order."""
    text = json.dumps(list(values))
    for number, made in enumerate(dict.fromkeys(_MADE_ID.findall(text)), start=1):
        text = text.replace(made, f"made {number}")
    renamed: list[Json] = json.loads(text)
    return renamed
