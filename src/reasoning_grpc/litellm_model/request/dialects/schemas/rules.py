"""The keywords of JSON Schema that refuse values, and the error for those that a dialect has no words for."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final


class Unsayable(Exception):
    """A schema says something that the dialect has no words for."""

    def __init__(self, pointer: str, keyword: str) -> None:
        super().__init__(pointer, keyword)
        self.pointer = pointer
        """The JSON pointer of the schema that has the keyword; empty for the whole schema."""
        self.keyword = keyword


_RULES: Final = frozenset(
    {"type", "enum", "const", "not", "if", "allOf", "anyOf", "oneOf", "$ref", "$dynamicRef", "$recursiveRef"}
    | {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength", "pattern"}
    | {"items", "prefixItems", "additionalItems", "unevaluatedItems", "contains", "minItems", "maxItems"}
    | {"uniqueItems", "properties", "patternProperties", "additionalProperties", "unevaluatedProperties", "required"}
    | {"propertyNames", "minProperties", "maxProperties", "dependentRequired", "dependentSchemas", "dependencies"}
)
"""Every other keyword refuses nothing by itself."""
_IDLE: Final[Mapping[str, Any]] = {
    "not": False,
    "uniqueItems": False,
    "minLength": 0,
    "minItems": 0,
    "minProperties": 0,
    "required": [],
    "allOf": [],
    "patternProperties": {},
    "dependentRequired": {},
    "dependentSchemas": {},
    "dependencies": {},
}
_TAKES_ANYTHING: Final = frozenset({"additionalItems", "unevaluatedItems", "unevaluatedProperties", "propertyNames"})


def find_other_rules(schema: Mapping[str, Any], taken: Collection[str]) -> Iterator[str]:
    """Yields the keywords that refuse something and that are not among the taken ones."""
    for keyword, value in schema.items():
        is_idle = (keyword in _IDLE and _IDLE[keyword] == value) or (keyword in _TAKES_ANYTHING and value in (True, {}))
        is_idle = is_idle or (keyword == "additionalItems" and not isinstance(schema.get("items"), list))
        if keyword in _RULES and keyword not in taken and not is_idle:
            yield keyword


def add_step(pointer: str, name: str) -> str:
    """Returns the JSON pointer of a member."""
    return f"{pointer}/{name.replace('~', '~0').replace('/', '~1')}"
