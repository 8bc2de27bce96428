"""Problems of a configuration, one line each: suggestions for misspelt names, and which problems follow from others.

A line begins with the key that it is about, such as "models.gpt.api_base: ...".
"""

import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

_SUGGESTION: Final = re.compile(r"; did you mean (\S+)\?$")
_UNSET_VARIABLE: Final = "the environment variable {} is not set"
_NAMED_THINGS: Final = (
    ("models", re.compile(r" is not (a|another) model|: no model of |^there is no model|^default_model: is missing")),
    ("embedded", re.compile(r"^there is no model")),
    ("routes", re.compile(r" is not a route")),
    ("callers", re.compile(r" is not a caller|so callers( and TLS)? must be configured")),
    ("tools", re.compile(r" is not a tool")),
    ("mcp_servers", re.compile(r" is not a tool")),
)
"""The keys of the file, and the problems that arise when such a key cannot be read."""
_SETTINGS_OF_LISTEN: Final = frozenset({"tls_certificate", "tls_key", "allow_insecure"})
_ADDRESS_KEYS: Final = frozenset({"litellm_model", "api_base", "base_model"})
"""The keys of a model that decide together whether it can be reached."""


def suggest(name: str, known: Iterable[str], *, prefix: str = "") -> str:
    """Returns the end of a sentence that suggests the known name which is nearest; empty when none is near.

    `prefix` begins all the names, and does not make them near.
    """
    others = sorted(other.removeprefix(prefix) for other in known)
    nearest = difflib.get_close_matches(name.removeprefix(prefix), others, n=1, cutoff=0.75)
    return f"; did you mean {prefix}{nearest[0]}?" if nearest else ""


def describe_unset_variable(name: str) -> str:
    """Returns the sentence about an environment variable that is needed and not set."""
    return _UNSET_VARIABLE.format(name)


def is_unset_variable(problem: str) -> bool:
    """Whether the problem is that an environment variable is not set."""
    return re.search(_UNSET_VARIABLE.format(r"\S+") + "$", problem) is not None


def remove_follow_ups(found: Sequence[str], later: Iterable[str] = ()) -> list[str]:
    """Returns the problems without those that others explain.

    `found` are the problems of reading the values; `later` those of values that do not go together or that cannot be
    served, which may arise because a value could not be read.
    """
    unreadable = {key for problem in found for key in _list_unreadable_keys(problem)}
    misspelt = {key for problem in found for key in _list_misspelt_keys(problem)}
    wrong = {_find_keys(problem)[0] for problem in found if not _is_missing(problem)}
    kept = [problem for problem in found if not (_is_missing(problem) and _find_keys(problem)[0] in misspelt | wrong)]
    unset = {_find_keys(problem)[0] for problem in found if is_unset_variable(problem)}
    return kept + [
        problem for problem in later if not _is_follow_up(problem, unreadable) and not _lacks_key(problem, unset)
    ]


def _is_missing(problem: str) -> bool:
    return problem.endswith(": is missing")


def _is_follow_up(problem: str, unreadable: set[str]) -> bool:
    if any(table in unreadable and pattern.search(problem) for table, pattern in _NAMED_THINGS):
        return True
    if ": '' is not a" in problem:
        return True
    keys = _find_keys(problem)
    if keys == ["listen"] and unreadable & _SETTINGS_OF_LISTEN:
        return True
    return any(
        key == other or key.startswith((f"{other}.", f"{other}[")) for key in _relate(keys) for other in unreadable
    )


def _lacks_key(problem: str, unset: set[str]) -> bool:
    """Whether a model has the problem only because the environment variable of its key is not set."""
    (key, *_) = _find_keys(problem)
    return key.endswith(".api_key_env") and key in unset


def _relate(keys: list[str]) -> Iterator[str]:
    """Yields the keys, and those that decide with them whether a model can be reached."""
    for key in keys:
        yield key
        entry, _, last = key.rpartition(".")
        if key.startswith("models.") and last in _ADDRESS_KEYS:
            yield from (f"{entry}.{other}" for other in sorted(_ADDRESS_KEYS - {last}))
            if last == "litellm_model":
                yield f"{entry}.untested"


def _list_unreadable_keys(problem: str) -> Iterator[str]:
    if not is_unset_variable(problem):
        yield from _find_keys(problem)
        yield from _list_misspelt_keys(problem)


def _list_misspelt_keys(problem: str) -> Iterator[str]:
    """Yields the key that was meant, if the problem is a key that is not known and a near one is."""
    suggestion = _SUGGESTION.search(problem)
    if suggestion is not None and ": is not a known" in problem:
        (key,) = _find_keys(problem)
        entry, dot, _ = key.rpartition(".")
        yield _normalize(f"{entry}{dot}{suggestion[1]}")


def _find_keys(problem: str) -> list[str]:
    """Returns the keys that a problem is about, by their names in the file."""
    return [_normalize(key) for key in problem.partition(": ")[0].split(" and ")]


def _normalize(key: str) -> str:
    """Returns the name in the file of an option that is given by a flag or a variable."""
    if key.startswith("--"):
        return key.removeprefix("--").replace("-", "_")
    return key.removeprefix("REASONING_").lower() if key.startswith("REASONING_") else key
