"""Docstrings of functions and their parameters, in the styles of Google, numpy and Sphinx."""

import inspect
import re
from dataclasses import dataclass, field
from typing import Final

_GOOGLE_SECTION: Final = re.compile(
    r"(?:Args|Arguments|Parameters|Params|Returns?|Yields?|Raises|Notes?|Examples?):\s*"
)
_PARAMETERS: Final = re.compile(r"(?:Args|Arguments|Parameters|Params):?\s*")
_NUMPY_SECTION: Final = re.compile(r"(?:(?:Other )?Parameters|Returns|Yields|Raises|Notes|Examples|See Also)\s*")
_GOOGLE_PARAMETER: Final = re.compile(r"\*{0,2}(\w+)\s*(?:\([^)]*\))?:\s*(.*)")
_NUMPY_PARAMETER: Final = re.compile(r"(\w+)\s*(?::.*)?")
_SPHINX_FIELD: Final = re.compile(r":(\w+)\s*([^:]*):\s*(.*)")
_SPHINX_PARAMETERS: Final = frozenset({"param", "parameter", "arg", "argument"})


@dataclass(frozen=True, slots=True)
class Documentation:
    """The content of a docstring."""

    description: str
    """The text before the first section."""
    parameters: dict[str, str] = field(default_factory=dict)


def parse_docstring(docstring: str | None) -> Documentation:
    """Parses a docstring. Text in no known style becomes part of the description."""
    lines = inspect.cleandoc(docstring or "").splitlines()
    first = next((row for row in range(len(lines)) if _begins_section(lines, row)), len(lines))
    description = "\n".join(lines[:first]).strip()
    return Documentation(description, _parse_sphinx_fields(lines[first:]) | _parse_sections(lines[first:]))


def _begins_section(lines: list[str], row: int) -> bool:
    return bool(_GOOGLE_SECTION.fullmatch(lines[row]) or _SPHINX_FIELD.match(lines[row]) or _is_numpy(lines, row))


def _is_numpy(lines: list[str], row: int) -> bool:
    underline = lines[row + 1].strip() if row + 1 < len(lines) else ""
    return bool(underline and not underline.strip("-") and _NUMPY_SECTION.fullmatch(lines[row]))


def _parse_sections(lines: list[str]) -> dict[str, str]:
    """Returns the parameters in sections of Google's and numpy's style, each with its description."""
    parameters: dict[str, str] = {}
    for row, line in enumerate(lines):
        if not _PARAMETERS.fullmatch(line):
            continue
        numpy = _is_numpy(lines, row)
        start = row + 2 if numpy else row + 1
        end = next((other for other in range(start, len(lines)) if _begins_section(lines, other)), len(lines))
        parameters |= _parse_parameters(lines[start:end], _NUMPY_PARAMETER if numpy else _GOOGLE_PARAMETER)
    return parameters


def _parse_parameters(lines: list[str], pattern: re.Pattern[str]) -> dict[str, str]:
    """Returns the parameters of a section. Each begins on a line with the smallest indentation."""
    indents = [len(line) - len(line.lstrip()) for line in lines if line.strip()]
    smallest, name = min(indents, default=0), ""
    parameters: dict[str, list[str]] = {}
    for line in lines:
        found = pattern.fullmatch(line.strip()) if len(line) - len(line.lstrip()) == smallest else None
        if found is not None:
            name = found[1]
            parameters[name] = [found[2]] if pattern is _GOOGLE_PARAMETER else []
        elif name:
            parameters[name].append(line.strip())
    return {name: " ".join(filter(None, words)) for name, words in parameters.items()}


def _parse_sphinx_fields(lines: list[str]) -> dict[str, str]:
    parameters: dict[str, list[str]] = {}
    name = ""
    for line in lines:
        if found := _SPHINX_FIELD.match(line):
            name = found[2].split()[-1] if found[1] in _SPHINX_PARAMETERS and found[2].strip() else ""
            if name:
                parameters[name] = [found[3]]
        elif name:
            parameters[name].append(line.strip())
    return {name: " ".join(filter(None, words)) for name, words in parameters.items()}
