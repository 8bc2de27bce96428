"""The chain of an exception: everything that it came from."""

from collections.abc import Iterator


def walk_chain(exc: BaseException) -> Iterator[BaseException]:
    """Yields the exception and everything that it came from, each once."""
    seen: set[int] = set()
    pending: list[object] = [exc]
    while pending:
        link = pending.pop(0)
        if not isinstance(link, BaseException) or id(link) in seen:
            continue
        seen.add(id(link))
        yield link
        pending += [getattr(link, "original_exception", None), link.__cause__, link.__context__]


def drop_tracebacks(exc: BaseException) -> None:
    """Takes the tracebacks from an exception that was converted, and from everything that it came from.

    aiohttp, asyncio and litellm keep exceptions in variables of the frames that their tracebacks hold. Such a circle,
    with connections, buffers and answers in it, would stay until the garbage collector finds it.
    """
    for link in walk_chain(exc):
        link.__traceback__ = None
