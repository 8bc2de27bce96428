"""`draw_calibration`: draws how often a router was right against how sure it was, as SVG."""

from collections.abc import Iterator
from typing import Final

from reasoning_grpc.evaluation.routing_figures import Calibration, CalibrationBin

_SIDE: Final = 320
_MARGIN: Final = 56
_WIDTH: Final = _SIDE + 2 * _MARGIN


def draw_calibration(calibration: Calibration) -> str:
    """Returns the picture: a calibrated router has its points on the diagonal. The bars are 95 % intervals."""
    return "\n".join(_draw_lines(calibration)) + "\n"


def _draw_lines(calibration: Calibration) -> Iterator[str]:
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_WIDTH}" viewBox="0 0 {_WIDTH} {_WIDTH}" '
        'font-family="sans-serif" font-size="12">'
    )
    yield f'<rect width="{_WIDTH}" height="{_WIDTH}" fill="white"/>'
    for step in range(0, 11, 2):
        place = step / 10
        yield _draw_line(place, 0, place, 1, "#e5e5e5")
        yield _draw_line(0, place, 1, place, "#e5e5e5")
        yield f'<text x="{_x(place)}" y="{_y(0) + 18:.1f}" text-anchor="middle">{step * 10} %</text>'
        yield f'<text x="{_x(0) - 6:.1f}" y="{_y(place) + 4:.1f}" text-anchor="end">{step * 10} %</text>'
    yield _draw_line(0, 0, 1, 1, "#999999")
    for each in calibration.bins:
        yield from _draw_bin(each)
    middle = _WIDTH / 2
    error = f"{calibration.prompts} decisions, calibration error {calibration.error * 100:.1f} points"
    yield f'<text x="{middle}" y="24" text-anchor="middle">{error}</text>'
    yield f'<text x="{middle}" y="{_WIDTH - 12}" text-anchor="middle">confidence</text>'
    yield f'<text x="14" y="{middle}" text-anchor="middle" transform="rotate(-90 14 {middle})">right</text>'
    yield "</svg>"


def _draw_bin(each: CalibrationBin) -> Iterator[str]:
    interval, place = each.right.interval, each.confidence
    yield _draw_line(place, interval.low, place, interval.high, "#1f5fa8")
    radius = 3 + min(6.0, each.prompts**0.5 / 2)
    yield f'<circle cx="{_x(place)}" cy="{_y(each.right.share)}" r="{radius:.1f}" fill="#1f5fa8"/>'
    x, y = _x(place) + radius + 3, _y(each.right.share) + 4
    yield f'<text x="{x:.1f}" y="{y:.1f}" fill="#1f5fa8">{each.prompts}</text>'


def _draw_line(x1: float, y1: float, x2: float, y2: float, colour: str) -> str:
    return f'<line x1="{_x(x1)}" y1="{_y(y1)}" x2="{_x(x2)}" y2="{_y(y2)}" stroke="{colour}"/>'


def _x(share: float) -> float:
    return round(_MARGIN + share * _SIDE, 1)


def _y(share: float) -> float:
    return round(_MARGIN + (1 - share) * _SIDE, 1)
