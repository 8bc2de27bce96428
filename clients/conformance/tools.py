"""Tools of the server that the scenarios let the agent call."""

from reasoning_grpc.tools import InputRequired, ToolError


def fail(why: str) -> str:
    """Fail, and say why.

    Args:
        why: What to say.
    """
    raise ToolError(why)


def ask(question: str) -> str:
    """Ask the user, who is not here.

    Args:
        question: What to ask.
    """
    raise InputRequired(question)


def send(text: str) -> str:
    """Send a text. It needs the caller's approval."""
    return f"sent: {text}"
