"""A tool of the server that the scenarios let the agent call."""

from reasoning_grpc.tools import ToolError


def fail(why: str) -> str:
    """Fail, and say why.

    Args:
        why: What to say.
    """
    raise ToolError(why)
