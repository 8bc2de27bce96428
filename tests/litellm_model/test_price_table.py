"""The price table is litellm's price map: an entry is decoded when it is used, and no use sees the JSON."""

import copy
import json
from collections.abc import Callable
from types import MappingProxyType
from typing import Any, Final

import msgspec
import pytest

from reasoning_grpc.litellm_model import library
from reasoning_grpc.litellm_model.prices.map_file import find_map_file, read_map
from reasoning_grpc.litellm_model.prices.price_table import PriceTable

ENTRIES: Final[dict[str, Any]] = {
    "one": {"litellm_provider": "openai", "input_cost_per_token": 2.5e-07, "max_tokens": 8192},
    "two": {"tiers": [{"range": [0, 128000.0]}], "supports_vision": True, "note": None},
}


def a_table(**changed: Any) -> PriceTable:
    """Returns a table of entries, some of them changed from what is in the file."""
    file = msgspec.json.decode(json.dumps(ENTRIES).encode(), type=dict[str, msgspec.Raw])
    return PriceTable.compact(ENTRIES | changed, file)


def update(base: dict[str, Any], table: PriceTable) -> dict[str, Any]:
    """Returns the dict with the entries of the table."""
    base.update(table)
    return base


def match_entry(table: PriceTable) -> dict[str, Any]:
    """Returns the entries by a pattern."""
    match table:
        case {"one": one, "two": two}:
            return {"one": one, "two": two}
    return {}


READINGS: Final[dict[str, Callable[[PriceTable], Any]]] = {
    "[]": lambda table: {name: table[name] for name in table},
    "get": lambda table: {name: table.get(name) for name in table},
    "items": lambda table: dict(table.items()),
    "values": lambda table: dict(zip(table, table.values(), strict=True)),
    "setdefault": lambda table: {name: table.setdefault(name, 3) for name in table},
    "pop": lambda table: {name: table.pop(name) for name in list(table)},
    "popitem": lambda table: dict(table.popitem() for _ in ENTRIES),
    "dict": dict,
    "**": lambda table: {**table},
    "update": lambda table: update({}, table),
    "|": lambda table: table | {},
    "| to another": lambda table: {} | table,
    "copy": lambda table: table.copy(),
    "copy.copy": copy.copy,
    "copy.deepcopy": copy.deepcopy,
    "json": lambda table: json.loads(json.dumps(table)),
    "msgspec": lambda table: msgspec.json.decode(msgspec.json.encode(table)),
    "view": lambda table: dict(MappingProxyType(table)),
    "match": match_entry,
}


@pytest.mark.parametrize("read", READINGS.values(), ids=list(READINGS))
def test_no_way_of_reading_sees_the_json(read: Callable[[PriceTable], Any]) -> None:
    """Each way to read a dict gives the decoded entries."""
    read_entries = read(a_table())

    assert json.dumps(dict(read_entries), sort_keys=True) == json.dumps(ENTRIES, sort_keys=True)
    assert not any(isinstance(entry, msgspec.Raw) for entry in dict.values(read_entries))


def test_an_entry_is_decoded_when_it_is_used() -> None:
    """An entry that was used stays the same object, so that a change of it is kept."""
    table = a_table()
    assert table.decoded_count == 0

    table["one"]["max_tokens"] = 5

    assert table["one"]["max_tokens"] == 5
    assert table.decoded_count == 1


def test_an_entry_that_is_not_the_one_of_the_file_is_kept() -> None:
    """What litellm has made of an entry, or has added, counts, and the file does not."""
    table = a_table(one={"max_tokens": 1}, three={"mode": "chat"})

    assert (table["one"], table["three"]) == ({"max_tokens": 1}, {"mode": "chat"})


def test_a_table_compares_as_a_dict() -> None:
    """Tables and dicts with the same entries are equal, on either side."""
    assert a_table() == ENTRIES
    assert ENTRIES == a_table()  # noqa: SIM300 - the other side
    assert a_table() == a_table()
    assert a_table() != a_table(one={})


def test_a_name_that_is_not_there() -> None:
    """A missing entry is what it is in a dict."""
    table = a_table()

    assert table.get("none") is None
    assert table.pop("none", 3) == 3
    assert table.setdefault("new", {"a": 1}) is table["new"]
    with pytest.raises(KeyError):
        table["none"]
    with pytest.raises(KeyError):
        table.pop("none")
    with pytest.raises(KeyError):
        PriceTable().popitem()


def test_litellm_has_its_own_price_map() -> None:
    """The table that litellm uses has all that its file lists of models, with the values of Python's own decoder."""
    file = find_map_file()
    assert file is not None
    listed = json.loads(file.read_bytes())
    listed.pop("fallback_generalizations", None)

    table = library.import_litellm().model_cost

    assert isinstance(table, PriceTable)
    assert {name: table[name] for name in listed} == listed


def test_litellm_reads_its_file_once() -> None:
    """litellm's copies of the file are tables of what we have read of it."""
    bundled = library.import_litellm().utils.get_bundled_model_cost_map()
    from litellm.litellm_core_utils.get_model_cost_map import GetModelCostMap

    assert isinstance(bundled, PriceTable)
    assert bundled.keys() == read_map(find_map_file()).keys()
    assert GetModelCostMap.loaded_model_cost_map() == bundled
