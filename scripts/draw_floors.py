"""`make floors`: draws docs/images/floors.svg, the floors of the package, from the real imports.

It also writes the list of floors into docs/architecture.md, as the package's docstring has it. A test fails when the
picture or the list is out of date.

An arrow means that one floor imports another. An import that other arrows already lead to is not drawn, but is named in
the box, so the picture has every import and stays readable.
"""

import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from xml.sax.saxutils import escape

from scripts.floors import DESCRIPTIONS, PAGE, read_imports, replace_list
from scripts.pages import ROOT

PICTURE: Final = ROOT / "docs" / "images" / "floors.svg"
Imports = Mapping[str, set[str]]
"""For each floor, the floors that it imports; the highest floor comes first."""

_WIDTH, _HEIGHT, _GAP, _TOP, _MARGIN = 304, 84, 32, 24, 24
_LEFT, _MIDDLE, _RIGHT = _MARGIN, _MARGIN + _WIDTH + 30, _MARGIN + 2 * (_WIDTH + 30)
_SPINE: Final = (_LEFT + _MIDDLE) // 2
_COLUMNS: Final = {
    "agent": _LEFT,
    "tools": _LEFT,
    "router": _MIDDLE,
    "catalog": _MIDDLE,
    "litellm_model": _MIDDLE,
    "llm": _MIDDLE,
    "embedded": _RIGHT,
    "evaluation": _RIGHT,
    "client": _RIGHT,
    "v1": _RIGHT,
}
"""The left edge of the boxes that do not stand on the spine. Their heights follow from the imports."""
_COLORS: Final = {
    "#2563eb": ("cli", "server", "rpc"),
    "#7c3aed": ("engine", "agent", "router", "tools"),
    "#059669": ("catalog", "litellm_model", "embedded", "llm"),
    "#d97706": ("evaluation", "client", "v1"),
}
_OTHER_COLOR: Final = "#64748b"
_LOWEST: Final = "domain"
_STYLE: Final = """
    text { font-family: system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
    text { fill: #334155; font-size: 12px; }
    .name { font-size: 15px; font-weight: 600; fill: #0f172a; }
    .also { font-size: 10.5px; fill: #64748b; }
    .box { fill: #ffffff; stroke: #94a3b8; }
    .arrow { fill: none; stroke: #475569; stroke-width: 1.6; marker-end: url(#head); }
"""


@dataclass(frozen=True, slots=True)
class Box:
    """The place of a floor in the picture, by its top left corner."""

    x: int
    y: int


def find_reachable(imports: Imports, floor: str) -> set[str]:
    """Returns every floor that a floor imports, directly or through others."""
    found = set[str]()
    for other in imports.get(floor, ()):
        found |= {other} | find_reachable(imports, other)
    return found


def choose_arrows(imports: Imports) -> dict[str, list[str]]:
    """Returns, for each floor, the imports that no other import of its leads to."""
    return {
        floor: sorted(
            other for other in others if not any(other in find_reachable(imports, via) for via in others - {other})
        )
        for floor, others in imports.items()
    }


def find_levels(imports: Imports) -> dict[str, int]:
    """Returns the height of each floor: 0 for `domain`, and each floor above all that it imports.

    Floors that need nothing of `domain` stand right below the lowest floor that imports them.
    """
    levels = dict[str, int]()
    for floor in reversed(list(imports)):
        if floor == _LOWEST or _LOWEST in find_reachable(imports, floor):
            levels[floor] = max((levels[other] + 1 for other in imports[floor] if other in levels), default=0)
    for floor in imports:
        if floor not in levels:
            levels[floor] = min(levels[user] for user, others in imports.items() if floor in others) - 1
    return levels


def place_boxes(imports: Imports) -> dict[str, Box]:
    """Returns where each floor stands."""
    levels = find_levels(imports)
    top = max(levels.values())
    return {
        floor: Box(_COLUMNS.get(floor, _SPINE), _TOP + (top - level) * (_HEIGHT + _GAP))
        for floor, level in levels.items()
    }


def draw(imports: Imports) -> str:
    """Returns the picture, as SVG."""
    boxes, arrows = place_boxes(imports), choose_arrows(imports)
    width = _RIGHT + _WIDTH + _MARGIN
    height = max(box.y for box in boxes.values()) + _HEIGHT + _TOP
    count = sum(len(others) for others in imports.values())
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-labelledby="title">',
        '  <title id="title">The floors of reasoning_grpc, drawn from its imports: every arrow points down</title>',
        '  <defs><marker id="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7"'
        ' orient="auto"><path d="M0 0 10 5 0 10z" fill="#475569"/></marker>',
        f"  <style>{_STYLE}  </style></defs>",
        f'  <rect x="1" y="1" width="{width - 2}" height="{height - 2}" rx="14" fill="#f8fafc" stroke="#cbd5e1"/>',
        *_draw_arrows(boxes, arrows),
    ]
    for floor, box in boxes.items():
        parts += _draw_box(floor, box, describe_other_imports(imports, arrows, floor))
    legend = (
        f"An arrow means: imports. An import that other arrows already lead to is named after “also”. {count} imports."
    )
    lines = textwrap.wrap(legend, 43)
    parts += _draw_lines(lines, _RIGHT + 4, height - _TOP - 16 * len(lines), "text", 16)
    return "\n".join([*parts, "</svg>", ""])


def describe_other_imports(imports: Imports, arrows: Mapping[str, Sequence[str]], floor: str) -> str:
    """Returns in words what a floor imports without an arrow: the floors, or those below that it does not import."""
    order = list(imports)
    also = sorted(imports[floor] - set(arrows[floor]), key=order.index)
    missing = [other for other in order[order.index(floor) + 1 :] if other not in imports[floor]]
    if not also:
        return ""
    named = "also " + ", ".join(also)
    return min(named, "also all that stands lower, but not " + ", ".join(missing), key=len) if missing else named


def _draw_arrows(boxes: Mapping[str, Box], arrows: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Yields one curve an arrow; those that leave, or reach, the same box stand side by side."""
    ends = sorted(
        ((floor, other) for floor, others in arrows.items() for other in others),
        key=lambda end: (boxes[end[0]].x, boxes[end[1]].x),
    )
    for floor, other in ends:
        leaving = [end for end in sorted(ends, key=lambda end: boxes[end[1]].x) if end[0] == floor]
        reaching = [end for end in ends if end[1] == other]
        x1 = boxes[floor].x + _WIDTH * (leaving.index((floor, other)) + 1) // (len(leaving) + 1)
        x2 = boxes[other].x + _WIDTH * (reaching.index((floor, other)) + 1) // (len(reaching) + 1)
        y1, y2 = boxes[floor].y + _HEIGHT, boxes[other].y - 1
        bend = _GAP * 3 // 4
        yield (
            f'  <path class="arrow" d="M{x1} {y1}C{x1} {y1 + bend} {x2} {y1 + _GAP - bend} {x2} {y1 + _GAP}V{y2}"/>'
            if y2 > y1 + _GAP
            else f'  <path class="arrow" d="M{x1} {y1}C{x1} {y1 + bend} {x2} {y2 - bend} {x2} {y2}"/>'
        )


def _draw_box(floor: str, box: Box, also: str) -> Iterator[str]:
    color = next((color for color, floors in _COLORS.items() if floor in floors), _OTHER_COLOR)
    yield f'  <rect class="box" x="{box.x}" y="{box.y}" width="{_WIDTH}" height="{_HEIGHT}" rx="7"/>'
    yield f'  <rect x="{box.x}" y="{box.y + 8}" width="5" height="{_HEIGHT - 16}" rx="2" fill="{color}"/>'
    yield f'  <text class="name" x="{box.x + 16}" y="{box.y + 21}">{escape(floor)}</text>'
    described = textwrap.wrap(DESCRIPTIONS[floor], 43)
    yield from _draw_lines(described, box.x + 16, box.y + 38, "text", 15)
    yield from _draw_lines(textwrap.wrap(also, 54), box.x + 16, box.y + 26 + 15 * len(described) + 13, "also", 12)


def _draw_lines(lines: Sequence[str], x: int, y: int, style: str, step: int) -> Iterator[str]:
    for number, line in enumerate(lines):
        yield f'  <text class="{style}" x="{x}" y="{y + step * number}">{escape(line)}</text>'


def main() -> int:
    """Draws the picture, and writes the list into its page."""
    PICTURE.write_text(draw(read_imports()), "utf-8")
    PAGE.write_text(replace_list(PAGE.read_text("utf-8")), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
