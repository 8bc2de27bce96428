"""`OutputList`: the items of one answer of OpenAI's Responses API, whichever way a server tells them apart."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from reasoning_grpc.litellm_model.answers.output_items import CallLabels, OutputItem
from reasoning_grpc.litellm_model.lenient import Json, read_label, read_object, read_text


@dataclass(slots=True)
class OutputList:
    """Finds the item of each event. Index and id are labels: servers leave them out, repeat them and change them."""

    labels: CallLabels = field(default_factory=CallLabels)
    _items: list[OutputItem] = field(default_factory=list)

    def __iter__(self) -> Iterator[OutputItem]:
        """Yields the items in the order in which they began."""
        return iter(self._items)

    def list_later(self, item: OutputItem) -> list[OutputItem]:
        """Returns the items that began after this one."""
        return self._items[next(row for row, known in enumerate(self._items, 1) if known is item) :]

    def begin(self, event: Json) -> OutputItem:
        """Returns the item of an event that begins one, which is a new item unless the event is repeated."""
        item = read_object(event.get("item"))
        kind, place, item_id = read_text(item.get("type")), _read_place(event), read_text(item.get("id"))
        call_id = read_text(item.get("call_id"))

        def is_same(known: OutputItem) -> bool:
            labels = (known.kind, known.place, known.id)
            return labels == (kind, place, item_id) and known.call_id in {"", call_id} and not known.is_done

        has_label = place is not None or item_id
        return (self._find_last(is_same) if has_label else None) or self._open(kind, place, item_id)

    def find(self, event: Json, kind: str) -> OutputItem:
        """Returns the item that an event continues or ends; a new one where some server left out its beginning.

        The index and the id decide together, then the index alone, then the id alone. Without any label, the last item
        of the kind is meant, unless it has ended.
        """
        place = _read_place(event)
        item_id = read_text(event.get("item_id")) or read_text(read_object(event.get("item")).get("id"))
        if place is None and not item_id:
            found = self._find_last(lambda known: known.kind == kind and not known.is_done)
        else:
            found = (
                self._find_last(lambda known: (known.kind, known.place, known.id) == (kind, place, item_id))
                or self._find_last(lambda known: known.kind == kind and _is_at(known, place, item_id))
                or self._find_last(lambda known: known.kind == kind and bool(item_id) and known.id == item_id)
            )
        return found or self._open(kind, place, item_id)

    def match(self, output: list[Json]) -> list[tuple[Json, OutputItem]]:
        """Returns each item of the whole output with the item that its events had before, or a new one.

        The ids decide, then the places, then the order, because servers leave out items here and change ids.
        """
        matches: dict[int, OutputItem] = {}
        unmatched = list(self._items)
        for fits in (_has_call_id, _has_id, _has_place, _has_kind):
            for place, item in enumerate(output):
                if place in matches:
                    continue
                known = next(
                    (each for each in unmatched if _has_kind(each, item, place) and fits(each, item, place)), None
                )
                if known is not None:
                    matches[place] = known
                    unmatched = [each for each in unmatched if each is not known]
        return [
            (item, matches.get(place) or self._open(read_text(item.get("type")), place, read_text(item.get("id"))))
            for place, item in enumerate(output)
        ]

    def _open(self, kind: str, place: int | None, item_id: str) -> OutputItem:
        opened = OutputItem(kind, place, item_id, self.labels)
        self._items.append(opened)
        return opened

    def _find_last(self, fits: Callable[[OutputItem], bool]) -> OutputItem | None:
        return next((item for item in reversed(self._items) if fits(item)), None)


def _read_place(event: Json) -> int | None:
    return read_label(event.get("output_index"))


def _is_at(known: OutputItem, place: int | None, item_id: str) -> bool:
    """Whether an item has this place, and its id does not contradict that: some servers change the ids of items.

    After the end of an item, another id at its place is that of another item; some servers count nothing.
    """
    return place is not None and known.place == place and not (known.is_done and item_id and known.id)


def _has_kind(known: OutputItem, item: Json, _place: int) -> bool:
    return known.kind == read_text(item.get("type"))


def _has_call_id(known: OutputItem, item: Json, _place: int) -> bool:
    return bool(known.call_id) and known.call_id == item.get("call_id")


def _has_id(known: OutputItem, item: Json, _place: int) -> bool:
    return bool(known.id) and known.id == item.get("id")


def _has_place(known: OutputItem, _item: Json, place: int) -> bool:
    return known.place == place
