"""The pages of a report: Markdown, or one HTML page that loads nothing.

Texts come from models and documents, and names from whoever configured them: all are escaped here.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template

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
    return f"<section><h2>{shown(section.title)}</h2>{about}{key}{chart}{_table(section)}</section>"


def _table(section: Section) -> str:
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
