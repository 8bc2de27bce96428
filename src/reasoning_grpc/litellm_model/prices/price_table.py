"""`PriceTable`: litellm's price map, with each entry decoded when it is first used.

litellm keeps three decoded copies of its map of 4,000 models. A server uses a few of them.
"""

from collections.abc import ItemsView, Iterator, Mapping, ValuesView
from typing import Any

import msgspec


class PriceTable(dict[str, Any]):
    """A dict of litellm's entries. An entry that nobody has used is still the JSON of the file."""

    @classmethod
    def compact(cls, entries: Mapping[str, Any], file: Mapping[str, msgspec.Raw]) -> "PriceTable":
        """Returns a table of these entries. It keeps the JSON of each that is the same in the file."""
        return cls({name: _choose_form(entry, file.get(name)) for name, entry in entries.items()})

    @property
    def decoded_count(self) -> int:
        """The number of entries that are decoded."""
        return sum(not isinstance(entry, msgspec.Raw) for entry in super().values())

    def __getitem__(self, name: str) -> Any:
        """Returns an entry."""
        entry = super().__getitem__(name)
        if isinstance(entry, msgspec.Raw):
            entry = self[name] = msgspec.json.decode(entry)
        return entry

    def __iter__(self) -> Iterator[str]:
        """Yields the names. Where this is overridden, `dict(table)` and `table | other` read the entries by `[]`."""
        return super().__iter__()

    def __eq__(self, other: object) -> bool:
        """Whether a dict has the same entries."""
        return dict(self) == (dict(other) if isinstance(other, PriceTable) else other)

    __hash__ = None  # as of every dict

    def get(self, name: str, default: Any = None) -> Any:
        """Returns an entry, or the default where there is none."""
        if name not in self:
            return default
        return self[name]

    def setdefault(self, name: str, default: Any = None) -> Any:
        """Returns an entry, and adds the default where there is none."""
        if name not in self:
            self[name] = default
        return self[name]

    def pop(self, name: str, *default: Any) -> Any:
        """Removes an entry and returns it. Without a default, raises KeyError where there is none."""
        if name in self:
            self[name] = self[name]  # decoded
        return super().pop(name, *default)

    def popitem(self) -> tuple[str, Any]:
        """Removes the last entry, and returns its name and the entry."""
        for name in reversed(self):
            return name, self.pop(name)
        return super().popitem()

    def items(self) -> Any:
        """Returns a view of the names and entries."""
        return ItemsView(self)

    def values(self) -> Any:
        """Returns a view of the entries."""
        return ValuesView(self)

    def copy(self) -> dict[str, Any]:
        """Returns a plain dict of the entries."""
        return dict(self)


def _choose_form(entry: Any, raw: msgspec.Raw | None) -> Any:
    return raw if raw is not None and msgspec.json.decode(raw) == entry else entry
