"""A conversation, or one of its answers, as a document for others: Markdown, or one HTML page that loads nothing.

It is made of what the history keeps: the rows and elements of the screen. Their texts come from documents and models:
those of answers are Markdown that app/answering/sanitizer.py has made safe, all others are escaped.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from app.errors import InputError
from app.files import FORBIDDEN, is_reserved
from app.history import Item, remembered, titled
from app.translation import _, chosen, mark

if TYPE_CHECKING:
    from jinja2 import Environment
    from jinja2.nodes import EvalContext
    from markdown_it import MarkdownIt

Form = Literal["md", "html"]

MAX_NAME = 60
"""Characters of a file's name: a path on Windows has 260, and some systems count bytes."""

SHORT_QUESTION = 120
"""Characters of a question that is a heading as a whole."""

_AUTHORS = {
    "extractive": mark("Quotes from the documents, written by no model."),
    "small": mark("Answered by {model}, the small model."),
    "large": mark("Answered by {model}, the large model."),
}

_ODD = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")
"""Control characters, those that change the direction of text, and those that no file, or no XML, can hold."""

_SPECIAL = re.compile(r"[\\`*_\[\]<>&~|$#]|^[+=:-]|^\d{1,9}[.)](?=\s|\Z)")
"""What Markdown would read as more than a character."""

_MARK = re.compile(
    r"\\.|(?P<ticks>`+)(?!`).*?(?<!`)(?P=ticks)(?!`)|^ *~{3,}.*?(?:^ *~{3,}|\Z)|^ *`{3}.*|\[(?P<number>\d+)\](?!\()",
    re.DOTALL | re.MULTILINE,
)
"""The mark of a source; what is escaped, and code, in which there are no marks, are matched too."""


@dataclass(frozen=True, slots=True)
class Source:
    """The place of a source, and what is quoted from it; `number` is unique in the document."""

    number: int
    place: str
    quotes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """An answer, perhaps with a question.

    `columns` are the two texts that were compared, each with its model and the number of its passages. `sources` are by
    their numbers in the answer, `given` the places of passages where the answer cites none.
    """

    question: str
    text: str
    columns: tuple[tuple[str, str], ...]
    remarks: tuple[str, ...]
    figures: tuple[str, ...]
    sources: Mapping[int, Source]
    given: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """What is exported."""

    title: str
    date: str
    entries: tuple[Entry, ...]

    def write(self, form: str, *, figures: bool) -> str:
        """Write the document in a form, with times and tokens if `figures` is set; raises InputError."""
        if form not in get_args(Form):
            names = ", ".join(get_args(Form))
            raise InputError("The format is {name}; it must be one of {names}.", name=repr(form), names=names)
        entries = self.entries if figures else tuple(replace(entry, figures=()) for entry in self.entries)
        ways = {"asked": _asked, "referring": _referring, "rendered": _rendered}
        shown, given = replace(self, entries=entries), _("The model was given:")
        return filled(f"export.{form}", document=shown, language=chosen(), given=given, **ways)

    def name(self, form: str) -> str:
        """Return a name for its file, which every system allows."""
        words = " ".join(FORBIDDEN.sub(" ", _ODD.sub(" ", self.title).replace("/", " ")).split())
        name = words[:MAX_NAME].strip(" .") or "Escalator"
        return f"{'Escalator ' if is_reserved(name) else ''}{name}.{form}"


def from_items(title: str, items: Sequence[Item]) -> Document:
    """Gather a conversation from the history."""
    kinds = {kind: [item.data for item in items if item.kind == kind and item.data] for kind in ("row", "element")}
    return gather(title, kinds["row"], kinds["element"])


def gather(
    title: str, rows: Iterable[Mapping[str, Any]], elements: Iterable[Mapping[str, Any]], only: str = ""
) -> Document:
    """Gather a conversation, or only the answer in one row, from rows and elements; a title of "" is the question."""
    attached: dict[str, list[Mapping[str, Any]]] = {}
    for element in elements:
        attached.setdefault(element["forId"], []).append(element)
    entries: list[Entry] = []
    first = question = date = ""
    for row in rows:
        if row["type"] == "user_message":
            question = row["output"]
            first = first or question
        elif row["type"] == "assistant_message" and only in ("", row["id"]):
            number = sum(len(entry.sources) for entry in entries)
            entries.append(_entry(question, row, attached.get(row["id"], []), number))
            date = date or (row.get("createdAt") or "")[:10]
            first, question = (question if only else first), ""
    title = titled(title or first)
    if len(entries) == 1 and entries[0].question.strip() == title:
        entries = [replace(entries[0], question="")]
    return Document(title, date, tuple(entries))


def _entry(question: str, row: Mapping[str, Any], attached: Sequence[Mapping[str, Any]], before: int) -> Entry:
    record = remembered(row)
    compared = next((each["props"]["answers"] for each in attached if each["name"] == "Compare"), ())
    columns = tuple((" · ".join(filter(None, [each["name"], each["note"]])), each["text"]) for each in compared)
    text = row["output"][: record.get("shown")]
    places = {
        int(found[1]): each["props"]
        for each in attached
        if (found := re.match(r"\[(\d+)\] ", each["name"])) and "caption" in (each["props"] or ())
    }
    marks = [
        int(number) for part in (text, *dict(columns).values()) for _ticks, number in _MARK.findall(part) if number
    ]
    cited = [number for number in dict.fromkeys(marks) if number in places]
    sources = {
        number: Source(before + at, places[number]["caption"], tuple(places[number].get("quotes", ())))
        for at, number in enumerate(cited, 1)
    }
    given = () if cited else tuple(dict.fromkeys(place["caption"] for place in places.values()))
    remarks = tuple(_remarks(record)) if record and not columns else tuple(_preferred(record))
    return Entry(question, text, columns, remarks, tuple(record.get("figures", ())), sources, given)


def _remarks(record: Mapping[str, Any]) -> Iterator[str]:
    if (role := record.get("role")) in _AUTHORS:
        yield _(_AUTHORS[role], model=record.get("model"))
    if not record.get("whole", True):
        yield _("The answer was not finished.")
    if record.get("escalated"):
        yield _("Why the large model was asked: {reason}", reason=record.get("why"))


def _preferred(record: Mapping[str, Any]) -> Iterator[str]:
    if (preferred := record.get("preferred")) is not None:
        yield _("Preferred: {model}", model=preferred) if preferred else _("Neither answer was preferred.")


def _asked(question: str) -> str:
    lines = [plain(line) for line in question.strip().splitlines()]
    if len(lines) == 1 and len(question) <= SHORT_QUESTION:
        return f"## {lines[0]}"
    return f"## {plain(_('Question'))}\n\n> " + "\\\n> ".join(lines) if lines else ""


def _referring(text: str, entry: Entry) -> str:
    """Return an answer with footnotes in place of its marks; a code block in it has an end."""

    def footnote(found: re.Match[str]) -> str:
        source = entry.sources.get(int(found["number"])) if found["number"] else None
        return f"[^{source.number}]" if source else found[0]

    text = _ODD.sub("\ufffd", text.strip())
    return _MARK.sub(footnote, text) + _missing_end(text)


def _missing_end(text: str) -> str:
    """Return the end of a code block that was cut off, without which the rest of the document would be code."""
    last = next(reversed(_parser().parse(text)), None)
    if last is None or last.type != "fence" or last.map is None:
        return ""
    end = text.rpartition("\n")[2].strip()
    ended = last.map[1] - last.map[0] > 1 and set(end) == {last.markup[0]} and len(end) >= len(last.markup)
    return "" if ended else f"\n{last.markup}"


def plain(text: str) -> str:
    """Return a text on one line, in Markdown that shows it as it is."""
    flat = " ".join(_ODD.sub("\ufffd", text).split())
    return _SPECIAL.sub(lambda found: found[0][:-1] + "\\" + found[0][-1], flat)


def filled(template: str, **values: object) -> str:
    """Fill a template, a file of HTML, XML or Markdown in `app/`; texts are shown as they are unless marked as safe."""
    return _templates().get_template(template).render(values)


@cache
def _templates() -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_eval_context, select_autoescape

    @pass_eval_context
    def whole(context: "EvalContext", value: Any) -> Any:
        if not isinstance(value, str) or hasattr(value, "__html__"):  # by which texts are marked as safe
            return value
        return _ODD.sub("\ufffd", value.replace("\f", "\n")) if context.autoescape else plain(value)

    made = Environment(
        autoescape=select_autoescape(("html", "xml")),
        finalize=whole,
        keep_trailing_newline=True,
        loader=FileSystemLoader(Path(__file__).parent),
        lstrip_blocks=True,
        trim_blocks=True,
        undefined=StrictUndefined,
    )
    made.filters["percent"] = "{:.2f}%".format
    return made


def _rendered(text: str, entry: Entry) -> str:
    """Render an answer as HTML, with links to its sources in place of marks."""
    from markdown_it.common.utils import escapeHtml

    def link(found: re.Match[str]) -> str:
        source = entry.sources.get(int(found[1]))
        return f'<sup><a href="#source-{source.number}">[{source.number}]</a></sup>' if source else found[0]

    parser = _parser()
    parser.add_render_rule(
        "text", lambda _, tokens, at, *__: re.sub(r"\[(\d+)\]", link, escapeHtml(tokens[at].content))
    )
    tokens = parser.parse(_ODD.sub("\ufffd", text))
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):  # below the question, which is a second heading
            token.tag = f"h{min(6, int(token.tag[1]) + 2)}"
    return str(parser.renderer.render(tokens, parser.options, {}))


def _parser() -> "MarkdownIt":
    """Make a parser for which HTML is text and pictures are links, and which links to web and mail addresses only."""
    from markdown_it import MarkdownIt

    parser = (
        MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"]).disable(["image", "reference"])
    )
    parser.validateLink = lambda url: re.match(r"(?i:https?://|mailto:)", url) is not None  # type: ignore[method-assign]
    return parser
