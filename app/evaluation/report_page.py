"""The pages of a report: Markdown, or one HTML page that loads nothing, with charts as inline SVG.

Texts come from models and documents, and names from whoever configured them: all are escaped here. Positions across a
chart are percentages, so texts keep their size on every width; colours are classes of the page's style.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import floor, log10
from pathlib import Path
from string import Template
from typing import Literal

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from app.errors import InputError
from app.export import plain, shown
from app.translation import _, chosen

_TEMPLATE = Path(__file__).with_name("report.html")


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
    chart: str = ""
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
        parts = [f"# {plain(self.title)}", plain(self.date), _listed(self.facts)]
        if self.changes:
            parts += [f"## {_('What has changed')}", _listed(self.changes)]
        for section in self.sections:
            rows = ([plain(f"{it.value} ({it.below})" if it.below else it.value) for it in row] for row in section.rows)
            heads = [[*map(plain, section.heads)], ["---", *["---:"] * (len(section.heads) - 1)]]
            lines = (f"| {' | '.join(row)} |" for row in (*heads, *rows))
            parts += [f"## {plain(section.title)}", plain(section.about), "\n".join(lines)]
        if self.questions:
            parts.append(f"## {_('Questions and answers')}")
        for asked in self.questions:
            parts += [f"### {plain(asked.question)}", plain(asked.expected)]
            for reply in asked.replies:
                remarks = plain(" · ".join(reply.remarks))
                quoted = "\\\n  > ".join(plain(line) for line in reply.text.strip().splitlines() if line.strip())
                parts.append(f"- {reply.verdict[0]} **{plain(reply.name)}** {remarks}\n\n  > {quoted or '–'}")
        return "\n\n".join(filter(None, parts)) + "\n"

    _repr_markdown_ = markdown
    """By which a notebook shows it."""

    def html(self) -> str:
        """Write the page as HTML."""
        values = {"language": chosen(), "title": shown(self.title), "date": shown(self.date)}
        return Template(_TEMPLATE.read_text(encoding="utf-8")).substitute(values, body="\n".join(self._body()))

    def _body(self) -> Iterator[str]:
        yield _points(self.facts)
        if self.changes:
            yield f"<section><h2>{shown(_('What has changed'))}</h2>{_points(self.changes)}</section>"
        yield from map(_section, self.sections)
        if self.questions:
            yield f"<section><h2>{shown(_('Questions and answers'))}</h2>"
            alone = len(self.questions) == 1
            yield from (_asked(it, " open" if alone else "") for it in self.questions)
            yield "</section>"


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


def _listed(lines: Sequence[str]) -> str:
    return "\n".join(f"- {plain(line)}" for line in lines)


def _points(lines: Sequence[str]) -> str:
    return f'<ul class="plain">{"".join(f"<li>{shown(line)}</li>" for line in lines)}</ul>'


def _section(section: Section) -> str:
    swatch = '<svg viewBox="0 0 10 10" aria-hidden="true"><rect class="part{}" width="10" height="10"/></svg>'
    key = "".join(f"<li>{swatch.format(number)}{shown(name)}</li>" for number, name in enumerate(section.key))
    chart = f"<figure>{section.chart}</figure>" if section.chart else ""
    key = f'<ul class="key">{key}</ul>' if key else ""
    about = f'<p class="soft">{shown(section.about)}</p>' if section.about else ""
    return f"<section><h2>{shown(section.title)}</h2>{about}{key}{chart}{_html_table(section)}</section>"


def _html_table(section: Section) -> str:
    heads = "".join(f'<th scope="col">{shown(head)}</th>' if head else "<td></td>" for head in section.heads)
    rows = "".join(f"<tr>{''.join(_cell(at, it) for at, it in enumerate(row))}</tr>" for row in section.rows)
    label = f'tabindex="0" role="region" aria-label="{shown(section.title)}"'
    return f'<div class="scroll" {label}><table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>'


def _cell(at: int, cell: Cell) -> str:
    below = f"<small>{shown(cell.below)}</small>" if cell.below else ""
    return f"<td>{shown(cell.value)}{below}</td>" if at else f'<th scope="row">{shown(cell.value)}{below}</th>'


def _asked(asked: Asked, opened: str) -> str:
    verdicts = "".join(f"<span>{_sign(it)} {shown(it.name)}</span>" for it in asked.replies)
    rows = "".join(_reply(it) for it in asked.replies)
    expected = f'<p class="soft">{shown(asked.expected)}</p>' if asked.expected else ""
    return (
        f'<details{opened}><summary>{shown(asked.question)}<span class="verdicts">{verdicts}</span></summary>'
        f"<div>{expected}<table><tbody>{rows}</tbody></table></div></details>"
    )


def _reply(reply: Reply) -> str:
    remarks = "".join(f"<small>{shown(remark)}</small>" for remark in reply.remarks)
    head = f'<th scope="row">{_sign(reply)} {shown(reply.name)}{remarks}</th>'
    return f'<tr>{head}<td class="text">{shown(reply.text.strip()) or "–"}</td></tr>'


def _sign(reply: Reply) -> str:
    sign, said, colour = reply.verdict
    return f'<span class="{colour}" role="img" aria-label="{shown(said)}">{sign}</span>'


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
