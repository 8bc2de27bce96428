"""`References`: the `$ref`s of a schema, as llama.cpp resolves them."""

import re
from itertools import chain
from typing import Any, Final

_NO_NAME: Final = re.compile("[^a-zA-Z0-9-]+")
_MISSING: Final = object()
_MAX_REFERENCES: Final = 100


class References:
    """The references that were met in a schema.

    llama.cpp names a rule of its grammar after each reference, and after the parts of the schema to which it leads.
    Two references whose rules get the same name lead to the same schema, so only references that differ in letters and
    digits from all others are held.
    """

    def __init__(self, root: Any) -> None:
        self._root = root
        self._names: dict[str, str] = {}
        """The name of the rule of each reference."""

    def find_problem(self, reference: Any) -> str:
        """Returns why llama.cpp refuses a reference, as a sentence; empty when it takes it."""
        if not isinstance(reference, str) or not reference.startswith("#/"):
            return "It must lead to a part of this schema, such as #/$defs/NAME."
        if reference not in self._names and len(self._names) >= _MAX_REFERENCES:
            return f"The schema has more than {_MAX_REFERENCES} different references."
        if self._find(reference) is _MISSING:
            return "It leads to nothing; ~ and % in it have no special meaning."
        if self._leads_to_itself(reference):
            return "It leads back to itself."
        return ""

    def resolve(self, reference: Any) -> Any:
        """Returns the part of the schema to which a reference leads; None where it leads to nothing."""
        found = self._find(reference) if isinstance(reference, str) else _MISSING
        return None if found is _MISSING else found

    def is_known(self, reference: str) -> bool:
        """Whether the reference was added before."""
        return reference in self._names

    def add(self, reference: str) -> str:
        """Adds a reference. Returns why it is not held, as a sentence; empty when it is."""
        name = "ref" + _NO_NAME.sub("-", reference[1:])
        clash = next((known for known, other in self._names.items() if _do_clash(name, other)), None)
        self._names[reference] = name
        return "" if clash is None else f"Its name is too much like that of {clash}."

    def _find(self, reference: str) -> Any:
        place = self._root
        for name in reference.split("/")[1:]:
            if isinstance(place, dict) and name in place:
                place = place[name]
            elif isinstance(place, list) and name.isascii() and name.isdecimal() and int(name) < len(place):
                place = place[int(name)]
            else:
                return _MISSING
        return place

    def _leads_to_itself(self, reference: str) -> bool:
        """Whether a reference leads back to itself by references and alternatives alone, without any value between."""
        met: set[str] = set()
        waiting = [self._find(reference)]
        while waiting:
            schema = waiting.pop()
            if not isinstance(schema, dict):
                continue
            following = schema.get("$ref")
            if following == reference:
                return True
            if isinstance(following, str) and following not in met:
                met.add(following)
                waiting.append(self._find(following))
            elif "$ref" not in schema:
                waiting += chain.from_iterable(_list_alternatives(schema))
        return False


def _list_alternatives(schema: dict[str, Any]) -> list[list[Any]]:
    return [schema[keyword] for keyword in ("oneOf", "anyOf") if isinstance(schema.get(keyword), list)]


def _do_clash(name: str, other: str) -> bool:
    """Whether rules that are named after two references may get the same name."""
    return name == other or name.startswith(f"{other}-") or other.startswith(f"{name}-")
