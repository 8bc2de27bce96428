"""What stands in a README: its sections, their fenced blocks, and the commands in those."""

import re
import shlex
from dataclasses import dataclass

_BLOCK = re.compile(
    r"(?:^`(?P<file>[^`\n]+)`:\n\n?)?^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block."""

    language: str
    """Empty: none stands there."""
    text: str
    file: str = ""
    """The name of a file that stands before it, if one does."""


def section(readme: str, title: str) -> str | None:
    """The text of the section with this title, up to the next one; None: there is none."""
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", readme, re.MULTILINE | re.DOTALL)
    return found and found[1]


def blocks(text: str) -> list[Block]:
    """The fenced blocks of a text, in their order."""
    return [Block(found["language"], found["text"], found["file"] or "") for found in _BLOCK.finditer(text)]


def commands(block: str) -> list[str]:
    """The commands of a block for sh, each as it stands there, over as many lines as it has."""
    found, command = [], ""
    for line in block.splitlines(keepends=True):
        command += line
        words = _words(command)
        if words is None:
            continue
        if words:
            found.append(command)
        command = ""
    return [*found, command] if command else found


def _words(command: str) -> list[str] | None:
    """The words of a command, none for a comment; None: it goes on, after a backslash or within quotes."""
    if command.endswith("\\\n"):
        return None
    try:
        return shlex.split(command, comments=True)
    except ValueError:
        return None
