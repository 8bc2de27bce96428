"""Reads the repository's Markdown pages: their sections, their fenced blocks, and the commands in those blocks."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
_BLOCK: Final = re.compile(
    r"(?:^`(?P<file>[^`\n]+)`:\n\n?)?^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of a page."""

    language: str
    """The word after the fence; empty where there is none."""
    text: str
    file: str = ""
    """The name of the file that the line before the block gives it; empty where no line does."""


def read_pages() -> dict[str, str]:
    """Returns the README and the pages of docs/, by their paths in the repository."""
    files = [ROOT / "README.md", *sorted(ROOT.joinpath("docs").rglob("*.md"))]
    return {file.relative_to(ROOT).as_posix(): file.read_text("utf-8") for file in files}


def find_section(page: str, title: str) -> str | None:
    """Returns the text of the section with this title, up to the next section; None when there is none."""
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    return found and found[1]


def find_blocks(text: str, language: str | None = None) -> list[Block]:
    """Returns the fenced blocks of a text in their order: all of them, or those of one language."""
    found = (Block(match["language"], match["text"], match["file"] or "") for match in _BLOCK.finditer(text))
    return [block for block in found if language in (None, block.language)]


def split_commands(block: str) -> list[str]:
    """Returns the commands of a block for sh, each as it stands there, over as many lines as it has."""
    found, command = [], ""
    for line in block.splitlines(keepends=True):
        command += line
        words = _split_words(command)
        if words is None:
            continue
        if words:
            found.append(command)
        command = ""
    return [*found, command] if command else found


def _split_words(command: str) -> list[str] | None:
    """Returns the words of a command, none for a comment; None when it continues after a backslash or in quotes."""
    if command.endswith("\\\n"):
        return None
    try:
        return shlex.split(command, comments=True)
    except ValueError:
        return None


def find_anchors(page: str) -> set[str]:
    """Returns the anchors that GitHub and the site give to the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", _BLOCK.sub("", page), re.MULTILINE)
    anchors: set[str] = set()
    for heading in headings:
        slug = (
            re.sub(r"[^\w\- ]", "", re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower()).strip().replace(" ", "-")
        )
        number = sum(1 for anchor in anchors if re.fullmatch(rf"{re.escape(slug)}(-\d+)?", anchor))
        anchors.add(f"{slug}-{number}" if number else slug)
    return anchors


def find_links(page: str) -> Iterator[str]:
    """Yields the target of every link and image of a page, in its text and in its tables."""
    text = re.sub(r"`[^`\n]*`", "", _BLOCK.sub("", page))
    for match in re.finditer(r"\]\(\s*<?([^)\s>]+)>?[^)]*\)|(?:href|src|srcset)=\"([^\"]+)\"", text):
        yield match[1] or match[2]
