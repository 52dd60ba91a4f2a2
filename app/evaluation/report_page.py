"""The pages of a report: Markdown, or one HTML page that loads nothing, with charts as inline SVG.

Texts come from models and documents, and names from whoever configured them: all are escaped. Positions across a chart
are percentages, so texts keep their size on every width; colours are classes of the page's style.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import floor, log10
from pathlib import Path
from typing import Literal

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from app.errors import InputError
from app.export import filled
from app.translation import _, chosen

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
class Chart:
    """A chart with its title, and what it shows in words, for whoever does not see it."""

    title: str
    words: str

    def svg(self) -> str:
        """Draw it."""
        return filled("evaluation/charts.html", chart=self, kind=type(self).__name__)


@dataclass(frozen=True, slots=True)
class Bars(Chart):
    """A bar for each row, of parts one behind the other; the n-th part has the n-th colour."""

    rows: Sequence[tuple[str, Sequence[float]]]
    write: Write


@dataclass(frozen=True, slots=True)
class Intervals(Chart):
    """A dot for each row's median, and a line from end to end of its interval, on one scale from 0."""

    rows: Sequence[tuple[str, Range]]
    write: Write

    @property
    def scale(self) -> list[float]:
        """The ticks of its axis."""
        return ticks(max((high for _, (_, _, high) in self.rows), default=0))


@dataclass(frozen=True, slots=True)
class Point:
    """A point of a plane, with intervals in both directions."""

    name: str
    across: Range
    up: Range
    shape: Shape


@dataclass(frozen=True, slots=True)
class Plane(Chart):
    """Points by two values, both from 0, with the names of the axes; names of points do not overlap."""

    points: Sequence[Point]
    names: tuple[str, str]
    write: tuple[Write, Write]
    sides = LEFT, RIGHT
    bottom = PLOT + 10

    @property
    def scales(self) -> tuple[list[float], list[float]]:
        """The ticks of both axes."""
        ends = [(0.0, 0.0), *((it.across[2], it.up[2]) for it in self.points)]
        return ticks(max(across for across, _ in ends)), ticks(max(up for _, up in ends))

    def x(self, value: float) -> float:
        """Return where a value is across, in percent."""
        return LEFT + (RIGHT - LEFT) * value / self.scales[0][-1]

    def y(self, value: float) -> float:
        """Return where a value is from above, in pixels."""
        return self.bottom - PLOT * value / self.scales[1][-1]

    def labelled(self) -> Iterator[tuple[Point, float, float]]:
        """Yield each point with the start and the height of its name: beside it, or as near as it covers nothing."""
        points, x, y = self.points, self.x, self.y
        taken = [(x(point.across[1]) - 1.5, x(point.across[1]) + 1.5, y(point.up[1])) for point in points]
        for point in sorted(points, key=lambda point: y(point.up[1])):
            middle, height, width = x(point.across[1]), y(point.up[1]), CHARACTER * len(point.name)
            start = middle + 3 if middle + 3 + width <= RIGHT + 3 else middle - 3 - width
            beside = [at for first, end, at in taken if start < end and first < start + width]
            heights = sorted([height, *range(int(y(0)))], key=lambda at: abs(at - height))
            height = next((at for at in heights if all(abs(at - other) >= APART for other in beside)), height)
            taken.append((start, start + width, height))
            yield point, start, height


@dataclass(frozen=True, slots=True)
class Cell:
    """A value, and what is said below it, such as its interval."""

    value: str
    below: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """A table with a heading, what one must know to read it, and a chart of its figures with a key."""

    title: str
    about: str
    heads: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    chart: Chart | None = None
    key: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Reply:
    """What a contender answered, its score from 0 to 1 if it was judged, and remarks about it."""

    name: str
    score: float | None
    text: str
    remarks: Sequence[str] = ()

    @property
    def verdict(self) -> tuple[str, str, str]:
        """The sign of its score, the word for that, and its colour."""
        if self.score is None:
            return "–", _("not judged"), ""
        if 0 < self.score < 1:
            return "◐", _("partly right"), ""
        return ("✓", _("right"), "good") if self.score else ("✗", _("wrong"), "bad")


@dataclass(frozen=True, slots=True)
class Asked:
    """A question with the replies to it."""

    question: str
    expected: str
    replies: Sequence[Reply]


@dataclass(frozen=True, slots=True)
class Page:
    """All that a report says: `facts` about the run, what has changed since another one, figures, questions."""

    title: str
    date: str
    facts: Sequence[str]
    changes: Sequence[str]
    sections: Sequence[Section]
    questions: Sequence[Asked]

    def markdown(self) -> str:
        """Write the page as Markdown, without charts."""
        return self._filled("report.md")

    _repr_markdown_ = markdown
    """By which a notebook shows it."""

    def html(self) -> str:
        """Write the page as HTML."""
        return self._filled("report.html")

    def _filled(self, template: str) -> str:
        words = {"changed": _("What has changed"), "answers": _("Questions and answers")}
        return filled(f"evaluation/{template}", page=self, language=chosen(), **words)


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], left: int = 1) -> Table:
    """Make a table for a terminal, whose first columns, so many, are of names, and the others of figures."""
    made = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False, pad_edge=False)
    for at, head in enumerate(heads):
        made.add_column(head, justify="left" if at < left else "right", overflow="fold")
    for row in rows:
        texts = [Text(cell) for cell in row]
        for text in texts:
            text.highlight_regex(r"\(.*\)$", "dim")  # an interval
        made.add_row(*texts)
    return made


def form_of(file: Path) -> Callable[[Page], str]:
    """Return the form in which a page is written to a file, by the ending of its name; raises InputError."""
    forms = {".html": Page.html, ".htm": Page.html, ".md": Page.markdown}
    if (form := forms.get(file.suffix.lower())) is None:
        raise InputError(f"The report is {file.name!r}; its name must end with .html or .md.")
    return form


def ticks(highest: float) -> list[float]:
    """Return a few round values from 0 to at least the highest one."""
    if highest < 1e-9:
        return [0, 1]
    unit = 10 ** floor(log10(highest / 4))
    step = next(unit * factor for factor in (1, 2, 2.5, 5, 10) if unit * factor * 4 >= highest * (1 - 1e-9))
    count = next(number for number in range(1, 7) if step * number >= highest * (1 - 1e-9))
    return [step * number for number in range(count + 1)]
