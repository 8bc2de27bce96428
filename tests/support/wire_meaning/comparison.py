"""Compares what was asked with what left, and names each difference by the field of the request."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from itertools import pairwise, product
from typing import Any

from tests.support.wire_meaning.meaning import FormatMeaning, Meaning, MeaningPart, ToolMeaning, Turn
from tests.support.wire_meaning.schemas import find_annotation_difference, find_schema_difference

_BREAKS = {"": "without a break", " ": "by a blank", "\n": "by a line break", "\n\n": "by an empty line"}
_EFFORT = "reasoning.effort"
_BUDGET = "reasoning.budget_tokens"
DEFAULTS = {"tool_choice": "auto", "parallel_tool_calls": True, "sampling.logprobs": False}
"""What every provider does where nothing is said."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One difference between what was asked and what left."""

    field: str
    """Path of the request's field; without a field of its own, "extras.NAME", or "model"."""
    what: str
    """missing, added, changed, moved, or the refused rule after "breaks: ", or words for the field alone."""
    asked: Any = None
    left: Any = None

    def __str__(self) -> str:
        return f"{self.field}: {self.what} (asked {self.asked!r}, left {self.left!r})"


def find_differences(asked: Meaning, left: Meaning) -> list[Difference]:
    """Returns every difference; empty when a request left as it was asked."""
    found = list(_compare_turns(asked, left))
    if asked.model != left.model:
        found.append(Difference(field="model", what="changed", asked=asked.model, left=left.model))
    found += _compare_parameters(asked, left)
    found += _compare_tools(asked, left)
    found += _compare_formats(asked.response_format, left.response_format, left)
    found += _compare_extras(asked, left)
    found += [Difference(field=field, what=f"breaks: {rule}") for field, rule in left.broken_rules]
    return found


def _compare_parameters(asked: Meaning, left: Meaning) -> Iterator[Difference]:
    fields = asked.parameters.keys() | left.parameters.keys()
    for field, other in ((_EFFORT, _BUDGET), (_BUDGET, _EFFORT)):
        if field in asked.parameters and other in left.parameters and not {other} & asked.parameters.keys():
            fields -= {field, other}
            what = "as a budget" if other == _BUDGET else "as an effort"
            yield Difference(field=field, what=what, asked=asked.parameters[field], left=left.parameters[other])
    for field in sorted(fields):
        mine = asked.parameters.get(field, DEFAULTS.get(field))
        others = left.parameters.get(field, DEFAULTS.get(field))
        if not _is_equal(mine, others):
            what = "missing" if field not in left.parameters else "changed" if field in asked.parameters else "added"
            what = "default left out" if what == "missing" and field in asked.defaulted else what
            yield Difference(field=field, what=what, asked=mine, left=others)


def _is_equal(one: Any, other: Any) -> bool:
    """Compares values; unlike in Python, true is not 1."""
    if isinstance(one, bool) != isinstance(other, bool):
        return False
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_is_equal(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_is_equal, one, other))
    return bool(one == other)


def _compare_extras(asked: Meaning, left: Meaning) -> Iterator[Difference]:
    for name in sorted(asked.extras.keys() | left.extras.keys()):
        if name not in left.extras:
            yield Difference(field=f"provider_options.{name}", what="missing", asked=asked.extras[name])
        elif name not in asked.extras:
            yield Difference(field=f"extras.{name}", what="added", left=left.extras[name])
        elif not _is_equal(asked.extras[name], left.extras[name]):
            mine, others = asked.extras[name], left.extras[name]
            yield Difference(field=f"provider_options.{name}", what="changed", asked=mine, left=others)


def _compare_tools(asked: Meaning, left: Meaning) -> Iterator[Difference]:
    by_name = {tool.name: tool for tool in left.tools}
    for index, tool in enumerate(asked.tools):
        if tool.name in by_name:
            yield from _compare_tool(f"tools[{index}]", tool, by_name.pop(tool.name), left)
        else:
            yield Difference(field=f"tools[{index}]", what="missing", asked=tool.name)
    for name in by_name:
        yield Difference(field="tools", what="added", left=name)
    names = [tool.name for tool in asked.tools], [tool.name for tool in left.tools]
    if sorted(names[0]) == sorted(names[1]) and names[0] != names[1]:
        yield Difference(field="tools", what="moved", asked=names[0], left=names[1])


def _compare_tool(path: str, tool: ToolMeaning, other: ToolMeaning, left: Meaning) -> Iterator[Difference]:
    if tool.description != other.description:
        yield _difference(f"{path}.description", tool.description, other.description)
    if _read_strict(tool.strict, left) != _read_strict(other.strict, left):
        yield _difference(f"{path}.strict", tool.strict, other.strict)
    if other.cache:
        yield Difference(field=path, what="cache mark added")
    # The arguments of a tool are always an object.
    whole = [{"type": "object", **each.schema} for each in (tool, other)]
    yield from _compare_schemas(f"{path}.parameters_schema", *whole)


def _read_strict(strict: bool | None, left: Meaning) -> bool | None:
    return strict if left.abilities.tells_lax_tools else bool(strict)


def _compare_schemas(path: str, asked: Any, left: Any) -> Iterator[Difference]:
    for keyword in find_schema_difference(asked, left):
        yield Difference(field=path, what=f"schema: {keyword}", asked=asked, left=left)
    for annotation in find_annotation_difference(asked, left):
        yield Difference(field=path, what=f"annotation: {annotation.partition(':')[0]}", asked=asked, left=left)


def _compare_formats(asked: FormatMeaning | None, other: FormatMeaning | None, left: Meaning) -> Iterator[Difference]:
    if asked is None or other is None or asked.kind != other.kind:
        if asked is not other:
            kinds = [None if each is None else each.kind for each in (asked, other)]
            yield _difference("response_format", *kinds)
        return
    path = "response_format.json_schema"
    if asked.name != other.name:
        yield _difference(f"{path}.name", asked.name, other.name)
    if asked.description != other.description:
        yield _difference(f"{path}.description", asked.description, other.description)
    provider_decides = asked.strict is None and not left.abilities.tells_lax_tools
    if not provider_decides and _read_strict(asked.strict, left) != _read_strict(other.strict, left):
        yield _difference(f"{path}.strict", asked.strict, other.strict)
    yield from _compare_schemas(f"{path}.schema", asked.schema, other.schema)


def _difference(field: str, asked: Any, left: Any) -> Difference:
    what = "missing" if not left and left is not False else "added" if not asked and asked is not False else "changed"
    return Difference(field=field, what=what, asked=asked, left=left)


@dataclass(frozen=True, kw_only=True)
class _Place:
    """A part of a conversation, with where it stands."""

    path: str
    turn: int
    role: str
    name: str
    part: MeaningPart


def _compare_turns(asked: Meaning, left: Meaning) -> Iterator[Difference]:
    expressed, others_turns = _express(asked.turns, left), left.turns
    if _list_call_ids(expressed) != _list_call_ids(others_turns):
        expressed, others_turns = _name_calls(expressed), _name_calls(others_turns)
    mine, others = _list_places(expressed), _list_places(others_turns)
    keys = [place.part.key for place in mine], [place.part.key for place in others]
    matches: list[tuple[_Place, _Place]] = []
    missing: list[_Place] = []
    added: list[_Place] = []
    for tag, start, end, other_start, other_end in SequenceMatcher(None, *keys, autojunk=False).get_opcodes():
        if tag == "equal":
            matches += zip(mine[start:end], others[other_start:other_end], strict=True)
        else:
            missing += mine[start:end]
            added += others[other_start:other_end]
    yield from _compare_unmatched(missing, added)
    for one, other in matches:
        yield from _compare_places(one, other)
    if not left.abilities.joins_turns:
        yield from _compare_bounds(matches)


def _express(turns: tuple[Turn, ...], left: Meaning) -> tuple[Turn, ...]:
    """Returns the turns in what the protocol has words for."""
    names = {part.value["id"]: part.value["name"] for turn in turns for part in turn.parts if part.kind == "call"}

    def express(part: MeaningPart) -> MeaningPart:
        if part.kind == "call" and not left.abilities.has_call_ids:
            return replace(part, value={**part.value, "id": ""})
        if part.kind == "media" and not left.abilities.tells_media_types and part.value.get("data"):
            is_image = part.value["mime_type"].startswith("image/")
            return replace(part, value={**part.value, "mime_type": "image"}) if is_image else part
        if part.kind != "result":
            return part
        value = dict(part.value)
        if not left.abilities.marks_errors and value["is_error"]:
            content = value["content"] if isinstance(value["content"], str) else json.dumps(value["content"])
            value |= {"is_error": False, "content": f"Error: {content}"}
        if not left.abilities.has_call_ids:
            value["call_id"] = names.get(value["call_id"], value["call_id"])
        return replace(part, value=value)

    return tuple(replace(turn, parts=tuple(map(express, turn.parts))) for turn in turns)


def _list_call_ids(turns: tuple[Turn, ...]) -> set[str]:
    return {part.value["id"] for turn in turns for part in turn.parts if part.kind == "call"}


def _name_calls(turns: tuple[Turn, ...]) -> tuple[Turn, ...]:
    """Returns the turns with call ids by the order of the calls: an id is a label, and may be written otherwise."""
    labels: dict[str, str] = {}
    for part in (part for turn in turns for part in turn.parts if part.kind == "call" and part.value["id"]):
        labels.setdefault(part.value["id"], f"call {len(labels)}")

    def rename(part: MeaningPart) -> MeaningPart:
        name = {"call": "id", "result": "call_id"}.get(part.kind)
        if name is None:
            return part
        return replace(part, value={**part.value, name: labels.get(part.value[name], part.value[name])})

    return tuple(replace(turn, parts=tuple(map(rename, turn.parts))) for turn in turns)


def _list_places(turns: tuple[Turn, ...]) -> list[_Place]:
    first = -sum(turn.is_default for turn in turns)
    return [
        _Place(path=f"messages[{row}].content[{column}]", turn=row, role=turn.role, name=turn.name, part=part)
        for row, turn in enumerate(turns, first)
        for column, part in enumerate(turn.parts)
    ]


def _compare_unmatched(missing: list[_Place], added: list[_Place]) -> Iterator[Difference]:
    """Pairs what stands elsewhere, then what has changed, and reports the rest."""
    for place in [each for each in missing if each.part.kind == "text" and each.part.value == ""]:
        missing.remove(place)  # it stands for its signature alone
        added[:] = [each for each in added if each.part.kind != "empty"]
        yield Difference(field=f"{place.path}.signature", what="missing on text", asked=place.part.signature)
    for place in list(missing):
        if other := next((each for each in added if each.part.key == place.part.key), None):
            missing.remove(place)
            added.remove(other)
            what = "moved" if place.role == other.role else f"moved, with the role {other.role}"
            yield Difference(field=_name(place), what=what, asked=place.part.value, left=other.path)
    for place in list(missing):
        words = place.part.value if place.part.kind == "refusal" else None
        if other := next((each for each in added if each.part.kind == "text" and each.part.value == words), None):
            missing.remove(place)
            added.remove(other)
            yield Difference(field=_name(place), what="as a text", asked=words, left=other.path)
    yield from _find_joined(missing, added)
    for place in list(missing):
        if other := next((each for each in added if each.part.kind == place.part.kind), None):
            missing.remove(place)
            added.remove(other)
            yield Difference(field=_name(place), what="changed", asked=place.part.value, left=other.part.value)
    for place in missing:
        yield Difference(field=_name(place), what="missing", asked=place.part.value)
    for place in added:
        yield Difference(field="messages", what=f"{place.part.kind} added", left=place.part.value)


def _find_joined(missing: list[_Place], added: list[_Place]) -> Iterator[Difference]:
    """Reports texts that left as one text, with what stands between them."""
    for other in [each for each in added if isinstance(each.part.value, str)]:
        alike = [each for each in missing if each.part.kind == other.part.kind]
        for start, count, (break_, name) in product(range(len(alike)), range(len(alike), 1, -1), _BREAKS.items()):
            run = alike[start : start + count]
            if len(run) == count and break_.join(each.part.value for each in run) == other.part.value:
                for each in run:
                    missing.remove(each)
                added.remove(other)
                yield Difference(field=_name(run[0]), what=f"joined {name}", left=other.part.value)
                break


def _name(place: _Place) -> str:
    kinds = {"call": "tool_call", "result": "tool_result", "redacted": "reasoning.redacted"}
    if place.part.kind == "empty":
        return f"messages[{place.turn}]"
    return f"{place.path}.{kinds.get(place.part.kind, place.part.kind)}"


def _compare_places(one: _Place, other: _Place) -> Iterator[Difference]:
    if one.role != other.role:
        yield Difference(field=f"messages[{one.turn}].role", what="changed", asked=one.role, left=other.role)
    if one.name != other.name:
        yield _difference(f"messages[{one.turn}].name", one.name, other.name)
    kind = one.part.kind
    if one.part.cache != other.part.cache:
        what = f"missing on {kind}" if one.part.cache else f"added on {kind}"
        yield Difference(field=f"{one.path}.cache", what=what)
    if one.part.filename != other.part.filename:
        yield _difference(f"{one.path}.media.filename", one.part.filename, other.part.filename)
    if one.part.signature != other.part.signature:
        found = _difference(f"{one.path}.signature", one.part.signature, other.part.signature)
        yield replace(found, what=f"{found.what} on {kind}")


def _compare_bounds(matches: list[tuple[_Place, _Place]]) -> Iterator[Difference]:
    """Reports messages that were joined or split. Each result is a message of its own in many protocols."""
    for (one, other), (next_one, next_other) in pairwise(matches):
        if one.part.kind == next_one.part.kind == "result":
            continue
        if (one.turn == next_one.turn) != (other.turn == next_other.turn):
            what = "split" if one.turn == next_one.turn else "joined"
            yield Difference(field=f"messages[{next_one.turn}]", what=what)
