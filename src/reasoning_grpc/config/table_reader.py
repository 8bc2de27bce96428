"""`TableReader`: reads one table of the configuration file, value by value, and reports what is wrong with it."""

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final, TypeGuard
from urllib.parse import urlsplit

from reasoning_grpc.config.problems import describe_unset_variable, suggest
from reasoning_grpc.domain import Secret

_NANO: Final = 1_000_000_000
_MAX_INT32: Final = 2**31 - 1
VISIBLE_ASCII: Final = re.compile(r"[!-~]+")
VARIABLE_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class TableReader:
    """Reads one table, and adds a sentence to `problems` for each value that is wrong.

    A key that nobody reads is unknown; `report_unknown_keys` is called last and reports it. Each method that reads a
    value returns what stands for an absent one after it has reported a problem.
    """

    def __init__(self, path: str, table: object, problems: list[str]) -> None:
        """`path` is the table's key in the file, such as "models.gpt"; a value that is not a table is reported."""
        self._path = path
        self._problems = problems
        self._table: dict[str, Any] = dict(table) if isinstance(table, Mapping) else {}
        self._known: set[str] = set()
        if not isinstance(table, Mapping):
            self.report("", "must be a table")

    def report(self, key: str, text: str) -> None:
        """Reports what is wrong with a key; the empty key is the table itself."""
        self._problems.append(f"{self._path}{'.' if key else ''}{key}: {text}")

    def read_text(self, key: str, *, required: bool = False, find_problem: Callable[[str], str] = lambda _: "") -> str:
        """Returns a string; empty when absent. `find_problem` returns what is wrong with one that is not empty."""
        value = self._take(key)
        if isinstance(value, str) and (value or not required):
            if value and (problem := find_problem(value)):
                self.report(key, problem)
            return value
        if value is not None:
            self.report(key, "must be a string that is not empty" if required else "must be a string")
        elif required:
            self.report(key, "is missing")
        return ""

    def read_texts(self, key: str) -> tuple[str, ...] | None:
        """Returns a list of strings; None when absent."""
        value = self._take(key)
        if value is None:
            return None
        if isinstance(value, list) and all(isinstance(item, str) and item for item in value):
            return tuple(value)
        self.report(key, "must be a list of strings")
        return ()

    def read_count(self, key: str, maximum: int = _MAX_INT32, *, required: bool = False) -> int | None:
        """Returns a whole number of at least 1; None when absent."""
        value = self._take(key)
        if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= maximum:
            return value
        if value is not None:
            self.report(key, f"must be a whole number from 1 to {maximum}")
        elif required:
            self.report(key, "is missing")
        return None

    def read_number(self, key: str, minimum: float, maximum: float) -> float | None:
        """Returns a number in the range; None when absent."""
        value = self._take(key)
        if value is None:
            return None
        if _is_number(value) and minimum <= value <= maximum:
            return float(value)
        self.report(key, f"must be a number from {minimum:g} to {maximum:g}")
        return None

    def read_price(self, key: str) -> int | None:
        """Returns the price of a million tokens, US dollars in the file, as nano-dollars; None when absent."""
        value = self._take(key)
        if value is None:
            return None
        if _is_number(value) and 0 <= value <= 1_000_000:
            return round(value * _NANO)
        self.report(key, "must be US dollars for a million tokens, such as 0.15")
        return None

    def read_amount(self, key: str) -> int | None:
        """Returns an amount of US dollars in the file, as nano-dollars; None when absent."""
        value = self._take(key)
        if value is None:
            return None
        if _is_number(value) and 0 < value <= 1_000_000 and (amount := round(value * _NANO)):
            return amount
        self.report(key, "must be US dollars, such as 2.50, from 0.000000001 to 1000000")
        return None

    def read_bool(self, key: str) -> bool | None:
        """Returns true or false; None when absent."""
        value = self._take(key)
        if value is None or isinstance(value, bool):
            return value
        self.report(key, "must be true or false")
        return None

    def read_bool_or(self, key: str, word: str) -> bool | str | None:
        """Returns true, false or this word; None when absent."""
        value = self._take(key)
        if value is None or isinstance(value, bool):
            return value
        if value == word:
            return word
        self.report(key, f'must be true, false or "{word}"')
        return None

    def read_strings(self, key: str) -> dict[str, str]:
        """Returns a table of strings; empty when absent."""
        value = self._take(key, {})
        if isinstance(value, dict) and all(isinstance(item, str) for item in value.values()):
            return value
        self.report(key, "must be a table of strings")
        return {}

    def read_table(self, key: str) -> "TableReader":
        """Returns a reader of a table in this table; of an empty one when it is absent."""
        return TableReader(f"{self._path}.{key}", self._take(key, {}), self._problems)

    def read_tables(self, key: str) -> "list[TableReader]":
        """Returns a reader for each table of a list; none when the list is absent."""
        value = self._take(key, [])
        if not isinstance(value, list):
            self.report(key, "must be a list of tables")
            return []
        return [TableReader(f"{self._path}.{key}[{row}]", table, self._problems) for row, table in enumerate(value)]

    def list_unread_keys(self) -> tuple[str, ...]:
        """Returns the keys that were not read yet."""
        return tuple(self._table)

    def report_unknown_keys(self) -> None:
        """Reports every key that was not read."""
        for key in self._table:
            self.report(key, f"is not a known key{suggest(key, self._known)}")

    def _take(self, key: str, absent: Any = None) -> Any:
        """Removes a value from the table, and returns it, or what stands for an absent one."""
        self._known.add(key)
        return self._table.pop(key, absent)


def read_secret(
    reader: TableReader, key: str, environment: Mapping[str, str], *, required: bool = False
) -> Secret | None:
    """Returns the secret in the environment variable that a key of the table names; None when the key is absent."""
    variable = reader.read_text(key, required=required)
    if not variable:
        return None
    if not VARIABLE_NAME.fullmatch(variable):
        reader.report(key, 'must be the name of an environment variable, such as "OPENAI_API_KEY", and not the secret')
        return None
    value = environment.get(variable, "")
    if not value:
        reader.report(key, describe_unset_variable(variable))
    elif not VISIBLE_ASCII.fullmatch(value):
        reader.report(key, f"the environment variable {variable} must be visible ASCII characters")
    return Secret(value)


def find_url_problem(value: str, example: str, key_name: str) -> str:
    """Returns what is wrong with a URL, empty when nothing is; `key_name` is where a password belongs instead."""
    try:
        url = urlsplit(value)
        is_valid = url.scheme in {"http", "https"} and bool(url.hostname) and (url.port is None or url.port > 0)
    except ValueError:
        is_valid = False
    if not is_valid:
        return f'must be an http or https URL, such as "{example}"'
    return f"must not hold a password; use {key_name}" if url.username or url.password else ""


def _is_number(value: object) -> TypeGuard[int | Decimal]:
    """Whether a value of the file is a number that can be compared; a Decimal NaN cannot."""
    if isinstance(value, Decimal):
        return value.is_finite()
    return isinstance(value, int) and not isinstance(value, bool)
