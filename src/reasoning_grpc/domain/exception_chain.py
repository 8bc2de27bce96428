"""`walk_chain`: yields an exception and everything that it came from."""

from collections.abc import Iterator


def walk_chain(exc: BaseException) -> Iterator[BaseException]:
    """Yields the exception and everything that it came from, each once. litellm has a reference of its own for that."""
    seen: set[int] = set()
    pending: list[object] = [exc]
    while pending:
        link = pending.pop(0)
        if not isinstance(link, BaseException) or id(link) in seen:
            continue
        seen.add(id(link))
        yield link
        pending += [getattr(link, "original_exception", None), link.__cause__, link.__context__]
