"""The chain of an exception that was converted."""

from reasoning_grpc.domain import walk_chain


def drop_tracebacks(exc: BaseException) -> None:
    """Takes the tracebacks from an exception that was converted, and from everything that it came from.

    aiohttp, asyncio and litellm keep exceptions in variables of the frames that their tracebacks hold. Such a circle,
    with connections, buffers and answers in it, would stay until the garbage collector finds it.
    """
    for link in walk_chain(exc):
        link.__traceback__ = None
