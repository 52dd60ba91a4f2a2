"""Charts as inline SVG, which needs no network and no script.

Positions across are percentages, so texts keep their size on every width; colours are classes of the page's style.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import floor, log10
from typing import Literal

from app.export import shown

ROW = 46
"""Pixels of a row: a line of text, and a bar below it."""

PLOT, LEFT, RIGHT = 300, 13.0, 97.0
"""The height of a plane in pixels, and its sides in percent; the names of ticks are left of it."""

APART = 16
"""Pixels between the names of two points."""

CHARACTER = 2.1
"""Percent of the width that a character of a name takes at most, on a telephone."""

Write = Callable[[float], str]
"""How a value is written, with its unit."""

Shape = Literal["alone", "hybrid", "bound"]
"""Of a point: a model alone, models that share the work, or a bound for such sharing."""

Range = tuple[float, float, float]
"""A median between the ends of its interval: low, median, high."""


@dataclass(frozen=True, slots=True)
class Point:
    """A point of a plane, with intervals in both directions."""

    name: str
    across: Range
    up: Range
    shape: Shape


def stacked(title: str, about: str, rows: Sequence[tuple[str, Sequence[float]]], write: Write) -> str:
    """Draw a bar for each row, of parts one behind the other; the n-th part has the n-th colour."""
    longest = max((sum(parts) for _, parts in rows), default=0) or 1
    shapes: list[str] = []
    for number, (name, parts) in enumerate(rows):
        top, at = number * ROW, 0.0
        shapes += _head(name, write(sum(parts)), top)
        for colour, part in enumerate(parts):
            width = 100 * part / longest
            shapes.append(f'<rect class="part{colour}" x="{at:.2f}%" y="{top + 22}" width="{width:.2f}%" height="16"/>')
            at += width
    return _svg(title, about, len(rows) * ROW, shapes)


def intervals(title: str, about: str, rows: Sequence[tuple[str, Range]], write: Write) -> str:
    """Draw a dot for each row's median, and a line from end to end of its interval, on one scale from 0."""
    scale = ticks(max((high for _, (_, _, high) in rows), default=0))
    bottom = len(rows) * ROW
    shapes = [_line(f"{_percent(tick, scale)}%", 20, f"{_percent(tick, scale)}%", bottom, "grid") for tick in scale]
    for number, (name, given) in enumerate(rows):
        top = number * ROW
        low, middle, high = (f"{_percent(value, scale):.2f}%" for value in given)
        shapes += _head(name, write(given[1]), top)
        shapes.append(_line(low, top + 30, high, top + 30, "interval"))
        shapes += [_line(end, top + 24, end, top + 36, "interval") for end in (low, high)]
        shapes.append(f'<circle class="median" cx="{middle}" cy="{top + 30}" r="5"/>')
    for tick in scale:
        anchor = "start" if tick == scale[0] else "end" if tick == scale[-1] else "middle"
        shapes.append(_text(write(tick), f"{_percent(tick, scale)}%", bottom + 16, anchor, "tick"))
    return _svg(title, about, bottom + 24, shapes)


def plane(title: str, about: str, points: Sequence[Point], names: tuple[str, str], write: tuple[Write, Write]) -> str:
    """Draw points by two values, both from 0, with the names of the axes; names of points do not overlap."""
    across = ticks(max((point.across[2] for point in points), default=0))
    up = ticks(max((point.up[2] for point in points), default=0))
    below = PLOT + 10

    def x(value: float) -> float:
        return LEFT + (RIGHT - LEFT) * value / across[-1]

    def y(value: float) -> float:
        return below - PLOT * value / up[-1]

    shapes = [_text(names[1], "0", -8, "start", "tick")]
    for tick in up:
        shapes.append(_line(f"{LEFT}%", y(tick), f"{RIGHT}%", y(tick), "grid"))
        shapes.append(_text(write[1](tick), f"{LEFT - 1}%", y(tick) + 4, "end", "tick"))
    for tick in across:
        shapes.append(_line(f"{x(tick):.2f}%", 10, f"{x(tick):.2f}%", below, "grid"))
        anchor = "end" if tick == across[-1] else "middle"
        shapes.append(_text(write[0](tick), f"{x(tick):.2f}%", below + 18, anchor, "tick"))
    shapes.append(_text(names[0], f"{RIGHT}%", below + 36, "end", "tick"))
    marks: list[str] = []
    for point, start, height in _labelled(points, x, y):
        low, middle, high = (x(value) for value in point.across)
        top = y(point.up[1])
        shapes.append(_line(f"{low:.2f}%", top, f"{high:.2f}%", top, "interval"))
        shapes.append(_line(f"{middle:.2f}%", y(point.up[0]), f"{middle:.2f}%", y(point.up[2]), "interval"))
        marks.append(_mark(point, middle, top))
        left = start < middle
        if abs(height - top) > APART / 2:
            shapes.append(_line(f"{middle:.2f}%", top, f"{middle - 2.5 if left else start:.2f}%", height, "leader"))
        beside = f"{middle - 3:.2f}%" if left else f"{start:.2f}%"
        marks.append(_text(point.name, beside, height + 4, "end" if left else "start", "name"))
    return _svg(title, about, below + 42, [*shapes, *marks], above=20)


def ticks(highest: float) -> list[float]:
    """Return a few round values from 0 to at least the highest one."""
    if highest < 1e-9:
        return [0, 1]
    unit = 10 ** floor(log10(highest / 4))
    step = next(unit * factor for factor in (1, 2, 2.5, 5, 10) if unit * factor * 4 >= highest * (1 - 1e-9))
    count = next(number for number in range(1, 7) if step * number >= highest * (1 - 1e-9))
    return [step * number for number in range(count + 1)]


def _labelled(
    points: Sequence[Point], x: Callable[[float], float], y: Callable[[float], float]
) -> Iterator[tuple[Point, float, float]]:
    """Yield each point with the start and the height of its name: beside it, or as near as it covers nothing."""
    taken = [(x(point.across[1]) - 1.5, x(point.across[1]) + 1.5, y(point.up[1])) for point in points]
    for point in sorted(points, key=lambda point: y(point.up[1])):
        middle, height, width = x(point.across[1]), y(point.up[1]), CHARACTER * len(point.name)
        start = middle + 3 if middle + 3 + width <= RIGHT + 3 else middle - 3 - width
        beside = [at for first, end, at in taken if start < end and first < start + width]
        heights = sorted([height, *range(int(y(0)))], key=lambda at: abs(at - height))
        height = next((at for at in heights if all(abs(at - other) >= APART for other in beside)), height)
        taken.append((start, start + width, height))
        yield point, start, height


def _mark(point: Point, x: float, y: float) -> str:
    shape = '<rect x="-5" y="-5" width="10" height="10" transform="rotate(45)"/>'
    shape = shape if point.shape == "hybrid" else '<circle r="5"/>'
    return f'<svg class="{point.shape}" x="{x:.2f}%" y="{y:.1f}" overflow="visible">{shape}</svg>'


def _head(name: str, value: str, top: float) -> list[str]:
    return [_text(name, "0", top + 15, "start", "name"), _text(value, "100%", top + 15, "end", "value")]


def _percent(value: float, scale: Sequence[float]) -> float:
    return 100 * value / scale[-1]


def _line(x1: str, y1: float, x2: str, y2: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{x1}" y1="{y1:.1f}" x2="{x2}" y2="{y2:.1f}"/>'


def _text(text: str, x: str, y: float, anchor: str, kind: str) -> str:
    return f'<text class="{kind}" x="{x}" y="{y:.1f}" text-anchor="{anchor}">{shown(text)}</text>'


def _svg(title: str, about: str, height: float, shapes: Sequence[str], above: int = 0) -> str:
    """Wrap shapes; a reader of the screen says the title and what the chart is about, and no text within."""
    inner = f'<svg y="{above}" overflow="visible">{"".join(shapes)}</svg>' if above else "".join(shapes)
    words = f"<title>{shown(title)}</title><desc>{shown(about)}</desc>"
    name = shown(f"{title}. {about}")
    return f'<svg role="img" aria-label="{name}" width="100%" height="{height + above:.0f}">{words}{inner}</svg>'
