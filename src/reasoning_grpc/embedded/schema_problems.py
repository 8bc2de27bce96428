"""`SchemaProblem`: what is wrong with a JSON schema for the embedded model, and the texts that say so."""

from dataclasses import dataclass
from typing import Any, Final

Schema = dict[str, Any]

_MAX_PLACE_CHARACTERS: Final = 120

NOT_CHECKED: Final = "The model cannot be held to it."
NO_SCHEMA: Final = "It must be a schema that is an object, not true, false or anything else."


@dataclass(frozen=True, slots=True)
class SchemaProblem:
    """A keyword of a schema to which answers are not held."""

    place: str
    """JSON pointer to the schema with the keyword, as a URI fragment: "#" is the whole schema."""
    keyword: str
    """Empty where the schema itself is the problem."""
    reason: str
    """A sentence."""
    is_unusable: bool = False
    """Whether llama.cpp refuses the schema because of it, also where it need not be held."""

    def __str__(self) -> str:
        place = self.place if len(self.place) <= _MAX_PLACE_CHARACTERS else f"{self.place[:_MAX_PLACE_CHARACTERS]}..."
        return f"{place}: {self.keyword}: {self.reason}" if self.keyword else f"{place}: {self.reason}"


def extend_place(place: str, *names: str | int) -> str:
    """Returns the pointer to a part of the schema at a place."""
    return "/".join((place, *(str(name).replace("~", "~0").replace("/", "~1") for name in names)))
