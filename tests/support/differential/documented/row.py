"""`Documented`: a difference between what was asked and what left that is documented, or reported to the caller."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.support.differential.targets import Target
from tests.support.wire_meaning import Difference


@dataclass(frozen=True, kw_only=True)
class Documented:
    """A difference that may be."""

    prefixes: frozenset[str]
    """Empty: every prefix."""
    field: str
    """A pattern for the path of the field, without positions."""
    what: str
    """A pattern for the kind of the difference."""
    is_reported: bool = False
    """Whether the answer must report it as an effective setting."""
    effective: str = ""
    """The reported value, where it is not the one that left."""
    documented: str = ""
    """Words that docs/providers.md has about it, whatever its line breaks."""
    holds: Callable[[Difference, Target], bool] = lambda *_: True
    """Whether the values differ only as the row says."""

    def fits(self, target: Target, difference: Difference) -> bool:
        """Whether the row is about this difference."""
        return (
            (not self.prefixes or target.prefix in self.prefixes)
            and re.fullmatch(self.field, strip_positions(difference.field)) is not None
            and re.fullmatch(self.what, difference.what) is not None
            and self.holds(difference, target)
        )


def row(prefixes: str, field: str, what: str, **more: Any) -> Documented:
    """Builds a row; `field` has [] for any position, * for anything, and | between alternatives."""
    pattern = re.escape(field).replace(r"\*", ".*").replace(r"\|", "|")
    return Documented(prefixes=frozenset(prefixes.split()), field=pattern, what=what, **more)


def strip_positions(path: str) -> str:
    """Returns a path without its indexes."""
    return re.sub(r"\[\d+\]", "[]", path)
