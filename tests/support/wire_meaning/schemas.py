"""Compares JSON schemas by what they mean: a normal form, which is checked by sample values.

Two schemas are held to be equal only when their normal forms are. The forms know what can be written in several ways:
booleans, `const`, lists of types, `nullable`, references, `allOf`, `anyOf` and disjoint `oneOf`, limits of integers,
and keywords that say nothing. What they do not know stays different, so that a person looks at it.
"""

import json
import math
from collections.abc import Iterator
from functools import cache
from itertools import combinations, product
from typing import Any, Final

from jsonschema import Draft202012Validator

from tests.support.wire_meaning.meaning import Json
from tests.support.wire_meaning.samples import list_samples

ANNOTATIONS: Final = frozenset(
    {"title", "description", "default", "examples", "format", "deprecated", "readOnly", "writeOnly"}
    | {"contentEncoding", "contentMediaType"}
)
"""Keywords that refuse no value, but tell the model something."""
_SILENT: Final = frozenset({"$schema", "$id", "$comment", "$defs", "definitions", "$anchor"})
_OF_TYPE: Final = {
    "string": {"minLength", "maxLength", "pattern"},
    "number": {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"},
    "array": {"items", "prefixItems", "minItems", "maxItems", "uniqueItems", "contains", "minContains", "maxContains"}
    | {"unevaluatedItems", "additionalItems"},
    "object": {"properties", "patternProperties", "additionalProperties", "required", "minProperties"}
    | {"maxProperties", "propertyNames", "dependentRequired", "dependentSchemas", "unevaluatedProperties"},
}
_OF_TYPE["integer"] = _OF_TYPE["number"]
_TYPED: Final = frozenset().union(*_OF_TYPE.values())
_NAMED: Final = ("properties", "patternProperties", "dependentSchemas")
_SINGLE: Final = ("items", "additionalProperties", "contains", "propertyNames", "not", "if", "then", "else")
_SINGLE_MORE: Final = ("unevaluatedItems", "unevaluatedProperties", "additionalItems")
_LISTS: Final = ("prefixItems",)
_IDLE: Final = {"minLength": 0, "minItems": 0, "minProperties": 0, "uniqueItems": False, "required": []}
_LOWER: Final = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_UPPER: Final = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")


def find_schema_difference(asked: Any, left: Any) -> tuple[str, ...]:
    """Returns what `_find_difference` does; many providers get one schema in one form."""
    return _find_difference(json.dumps(asked), json.dumps(left))


@cache
def _find_difference(asked_text: str, left_text: str) -> tuple[str, ...]:
    """Returns the keywords whose meaning differs, and "schema" where no single keyword can be named; empty when none.

    Raises AssertionError when a sample shows that the normal forms are wrong about two schemas.
    """
    asked, left = json.loads(asked_text), json.loads(left_text)
    try:
        normal_asked, normal_left = normalize(asked), normalize(left)
    except LookupError:
        return ("$ref",)  # it refers to nothing
    except (AttributeError, TypeError):
        return ("schema",)  # it is none
    if normal_asked == normal_left:
        sample = find_telling_sample(asked, left)
        assert sample is None, f"equal normal forms, but {sample} tells {asked} and {left} apart"
        return ()
    changed = {keyword for keyword, _ in set(_list_features(normal_asked)) ^ set(_list_features(normal_left))}
    return tuple(sorted(changed)) or ("schema",)


def find_annotation_difference(asked: Any, left: Any) -> tuple[str, ...]:
    """Returns the annotations that were lost, as "keyword: value"."""
    return tuple(sorted(set(_list_annotations(asked)) - set(_list_annotations(left))))


def find_telling_sample(asked: Any, left: Any) -> str | None:
    """Returns a value, as JSON text, that one schema takes and the other refuses; None when no sample is such."""
    one, other = Draft202012Validator(asked), Draft202012Validator(left)
    for sample in [*list_samples(asked), *list_samples(left)]:
        if one.is_valid(sample) != other.is_valid(sample):
            return json.dumps(sample)
    return None


def normalize(schema: Any) -> Any:
    """Returns the normal form of a schema: its alternatives, none of which has alternatives itself."""
    return _join(_list_alternatives(schema, schema, ()))


def _join(alternatives: list[Json]) -> Any:
    unique = {json.dumps(each, sort_keys=True): each for each in alternatives}
    ordered = [unique[text] for text in sorted(unique)]
    if {} in ordered:
        return {}
    if len(ordered) == 1:
        return ordered[0]
    return {"anyOf": ordered} if ordered else {"not": {}}


def _list_alternatives(schema: Any, root: Any, above: tuple[str, ...]) -> list[Json]:
    """Returns the alternatives of a schema; a value is valid when it matches one of them."""
    if isinstance(schema, bool):
        return [{}] if schema else []
    factors = [_list_typed(_normalize_keywords(schema, root, above))]
    if "$ref" in schema:
        reference = schema["$ref"]
        if reference in above:
            factors.append([{"$ref": reference}])
        else:
            factors.append(_list_alternatives(_resolve(reference, root), root, (*above, reference)))
    if "anyOf" in schema:
        factors.append([each for branch in schema["anyOf"] for each in _list_alternatives(branch, root, above)])
    factors += [_list_alternatives(branch, root, above) for branch in schema.get("allOf", ())]
    if "oneOf" in schema:
        branches = [_list_alternatives(branch, root, above) for branch in schema["oneOf"]]
        if all(_are_disjoint(one, other) for one, other in combinations(branches, 2)):
            factors.append([each for branch in branches for each in branch])
        else:
            factors.append([{"oneOf": sorted((_join(branch) for branch in branches), key=json.dumps)}])
    merged: list[Json] = []
    for choice in product(*factors):
        together: Json | None = {}
        for each in choice:
            together = None if together is None else _merge(together, each)
        if together is not None:
            merged.append(_tidy(together))
    return merged


def _normalize_keywords(schema: Json, root: Any, above: tuple[str, ...]) -> Json:
    """Returns the keywords of a schema but those that combine schemas, with the schemas in them normalized."""
    kept: Json = {}
    for keyword, value in schema.items():
        if keyword in ANNOTATIONS | _SILENT | {"$ref", "anyOf", "allOf", "oneOf"}:
            continue
        if keyword == "const":
            kept["enum"] = [value]
        elif keyword in _NAMED:
            kept[keyword] = {name: _join(_list_alternatives(each, root, above)) for name, each in sorted(value.items())}
        elif keyword in (*_SINGLE, *_SINGLE_MORE) and isinstance(value, dict | bool):
            kept[keyword] = _join(_list_alternatives(value, root, above))
        elif keyword in _LISTS or (keyword == "items" and isinstance(value, list)):
            kept[keyword] = [_join(_list_alternatives(each, root, above)) for each in value]
        elif keyword == "required":
            kept[keyword] = sorted(value)
        elif isinstance(value, float) and value.is_integer():
            kept[keyword] = int(value)
        else:
            kept[keyword] = value
    return kept


def _list_typed(schema: Json) -> list[Json]:
    """Splits a schema by its types; each alternative keeps what applies to its type."""
    types = schema.get("type")
    types = [types] if isinstance(types, str) else types
    if "enum" in schema:
        of_values = list(dict.fromkeys(map(_find_type, schema["enum"])))
        types = (
            of_values
            if types is None
            else [each for each in of_values if each in types or (each == "integer" and "number" in types)]
        )
    if types is None:
        return [schema]
    if "number" in types and "enum" not in schema:
        types = [each for each in types if each != "integer"]
    return [_keep_applicable({**schema, "type": each}) for each in types]


def _keep_applicable(schema: Json) -> Json:
    kind = schema["type"]
    kept = {
        keyword: value
        for keyword, value in schema.items()
        if keyword not in _TYPED or keyword in _OF_TYPE.get(kind, set())
    }
    if "enum" in kept:
        values = [each for each in kept["enum"] if _find_type(each) == kind]
        kept["enum"] = sorted(values, key=json.dumps)
    return kept


def _find_type(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case float() if not value.is_integer():
            return "number"
        case int() | float():
            return "integer"
        case str():
            return "string"
        case list():
            return "array"
        case _:
            return "object"


def _merge(one: Json, other: Json) -> Json | None:
    """Returns the schema of what matches both; None when nothing does."""
    merged = dict(one)
    for keyword, value in other.items():
        if keyword not in merged or merged[keyword] == value:
            merged[keyword] = value
            continue
        mine = merged[keyword]
        match keyword:
            case "type" if {mine, value} == {"integer", "number"}:
                merged[keyword] = "integer"
            case "type":
                return None
            case "enum":
                merged[keyword] = [each for each in mine if each in value]
                if not merged[keyword]:
                    return None
            case "required":
                merged[keyword] = sorted({*mine, *value})
            case "properties":
                merged[keyword] = _merge_properties(mine, value)
            case _ if keyword in _LOWER:
                merged[keyword] = max(mine, value)
            case _ if keyword in _UPPER:
                merged[keyword] = min(mine, value)
            case _:
                merged.setdefault("allOf", []).append({keyword: value})
    return _keep_applicable(merged) if isinstance(merged.get("type"), str) else merged


def _merge_properties(mine: Json, value: Json) -> Json:
    merged = dict(mine)
    for name, each in value.items():
        if name not in merged:
            merged[name] = each
        else:
            merged[name] = normalize({"allOf": [merged[name], each]})
    return dict(sorted(merged.items()))


def _tidy(schema: Json) -> Json:
    """Leaves out keywords that refuse nothing, and rounds the limits of an integer."""
    tidy = {keyword: value for keyword, value in schema.items() if (keyword, value) not in _IDLE.items()}
    for keyword in ("additionalProperties", "items", "propertyNames", "properties"):
        if tidy.get(keyword) == {}:
            del tidy[keyword]
    if tidy.get("type") == "integer":
        _round_limits(tidy)
    if "enum" in tidy and isinstance(tidy.get("type"), str):
        del tidy["type"]  # the values say it
    return tidy


def _round_limits(schema: Json) -> None:
    lower = [math.ceil(schema.pop("minimum"))] if "minimum" in schema else []
    lower += [math.floor(schema.pop("exclusiveMinimum")) + 1] if "exclusiveMinimum" in schema else []
    upper = [math.floor(schema.pop("maximum"))] if "maximum" in schema else []
    upper += [math.ceil(schema.pop("exclusiveMaximum")) - 1] if "exclusiveMaximum" in schema else []
    if lower:
        schema["minimum"] = max(lower)
    if upper:
        schema["maximum"] = min(upper)


def _are_disjoint(one: list[Json], other: list[Json]) -> bool:
    return all(_exclude_each_other(a, b) for a in one for b in other)


def _exclude_each_other(one: Json, other: Json) -> bool:
    if "enum" in one and "enum" in other:
        return not any(each in other["enum"] for each in one["enum"])
    kinds = _list_kinds(one), _list_kinds(other)
    if all(kinds) and not kinds[0] & kinds[1] and {*kinds[0], *kinds[1]} != {"integer", "number"}:
        return True
    shared = set(one.get("required", ())) & set(other.get("required", ()))
    for name in shared:
        mine, others = one.get("properties", {}).get(name, {}), other.get("properties", {}).get(name, {})
        if "enum" in mine and "enum" in others and not any(each in others["enum"] for each in mine["enum"]):
            return True
    return False


def _list_kinds(schema: Json) -> set[str]:
    if "enum" in schema:
        return set(map(_find_type, schema["enum"]))
    return {schema["type"]} if "type" in schema else set()


def _resolve(reference: str, root: Any) -> Any:
    if not reference.startswith("#"):
        raise LookupError(reference)
    found = root
    for step in reference.split("/")[1:]:
        found = found[step.replace("~1", "/").replace("~0", "~")]
    return found


def _list_features(normal: Any) -> Iterator[tuple[str, str]]:
    """Yields each keyword of a normal form with its own value, to name what differs between two of them."""
    if not isinstance(normal, dict):
        return
    for keyword, value in normal.items():
        if keyword in _NAMED:
            for name, each in value.items():
                yield keyword, name
                yield from _list_features(each)
        elif keyword in (*_SINGLE, *_SINGLE_MORE):
            yield keyword, json.dumps(value, sort_keys=True) if keyword != "items" else ""
            yield from _list_features(value)
        elif keyword in ("anyOf", "oneOf", "allOf", "prefixItems"):
            yield keyword, str(len(value))
            for each in value:
                yield from _list_features(each)
        else:
            yield keyword, json.dumps(value, sort_keys=True)


def _list_annotations(schema: Any) -> Iterator[str]:
    if not isinstance(schema, dict):
        return
    for keyword, value in schema.items():
        if keyword in ANNOTATIONS:
            yield f"{keyword}: {json.dumps(value, sort_keys=True)}"
        elif keyword in (*_NAMED, "$defs", "definitions") and isinstance(value, dict):
            for each in value.values():
                yield from _list_annotations(each)
        elif keyword in (*_SINGLE, *_SINGLE_MORE):
            yield from _list_annotations(value)
        elif keyword in ("anyOf", "oneOf", "allOf", "prefixItems"):
            for each in value:
                yield from _list_annotations(each)
