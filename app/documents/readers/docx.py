"""Word documents (.docx) as they read once all changes are accepted, and rich text (.rtf) by striprtf.

There is one page for each section under a heading.
"""

import re
from collections.abc import Iterator, Mapping
from itertools import chain
from xml.etree.ElementTree import Element

from app.documents.passages import Page
from app.documents.readers.ooxml import Package, chart, diagram, embed, inherited, nested, value
from app.documents.readers.sections import Block, Numbering, item, margin, numbers_page, paged
from app.documents.readers.tables import Row, repeated
from app.documents.readers.text import clean
from app.errors import UnreadableFile

_GONE = {"del", "moveFrom", "pPr", "rPr", "sdtPr", "sectPr", "tcPr", "rt", "instrText", "delText"}
"""Elements without text of the document: deleted text, settings, ruby annotations."""

_NOTES = ("footnote", "endnote", "comment")
_ASIDES = {"txbxContent", "graphicData", *(f"{kind}Reference" for kind in _NOTES)}
"""Notes, drawings and text boxes, which follow the paragraph that they belong to."""

_CONTROLS = ("sdt", "sdtContent", "customXml")
"""Elements around paragraphs, rows and cells, such as content controls."""

_MARKS = {"tab": " ", "ptab": " ", "br": "\n", "cr": "\n", "noBreakHyphen": "-"}
_LEVELS = 9
_FIELDS = ("instrText", "fldSimple")
_PAGE_NUMBER = re.compile(r"\bPAGE\b")


def read(data: bytes) -> list[Page]:
    """Return the sections in order; headings and tables are written as in Markdown."""
    parts = Package(data, ".docx")
    main = parts.main()
    root = parts.tree(main)
    body = next(root.iter("body"))
    for kind in _NOTES:
        notes = {note.get("id"): _signed(note) for note in parts.linked(main, f"{kind}s") if note.get("type") is None}
        for reference in list(body.iter(f"{kind}Reference")):
            reference.extend(notes.get(reference.get("id"), ()))
    embed(parts, main, body)
    styles = {style.get("styleId", ""): style for style in parts.linked(main, "styles").iterfind("style")}
    document = _Document(styles, Numbering(parts, main, styles))
    header, footer = (margin(map(document.blocks, _margins(parts, main, body, kind))) for kind in ("header", "footer"))
    return paged(chain(header, document.blocks(body), footer))


def _signed(note: Element) -> Element:
    """Put the author of a comment before its text; a footnote has none."""
    first = note.find("p")
    author = note.get("author")
    if first is not None and author is not None and any(text.text for text in note.iter("t")):
        first.insert(0, Element("t"))
        first[0].text = f"Comment by {author}: " if author else "Comment: "
    return note


def _margins(parts: Package, main: str, body: Element, kind: str) -> Iterator[Element]:
    """Yield the headers or footers of all sections, without paragraphs that hold little more than a page number."""
    related = parts.related(main)
    names = {related.get(reference.get("r:id", ""), ""): None for reference in body.iter(f"{kind}Reference")}
    for tree in [parts.tree(name) for name in names if name in parts]:
        for paragraph in reversed(list(tree.iter("p"))):
            fields = "".join(field.text or field.get("instr") or "" for tag in _FIELDS for field in paragraph.iter(tag))
            text = " ".join(part.text or "" for part in paragraph.iter("t"))
            if _PAGE_NUMBER.search(fields) and numbers_page(text):
                paragraph.clear()
        yield tree


class _Document:
    """The blocks of a document, by its styles and lists."""

    def __init__(self, styles: Mapping[str, Element], numbering: Numbering):
        self._levels = _levels(styles)
        self._numbering = numbering

    def blocks(self, parent: Element) -> Iterator[Block | list[Row]]:
        """Yield paragraphs, and tables as rows, in order."""
        carried = ""  # from a paragraph whose end was deleted
        for child in parent:
            if child.tag == "p":
                asides: list[Element] = []
                text = carried + _text(child, asides)
                goes_on = child.find("pPr/rPr/del") is not None
                carried = text if goes_on else ""
                if not goes_on and (block := self._block(child, clean(text).strip())):
                    yield block
                for aside in asides:
                    yield from self.blocks(aside)
            elif child.tag == "tbl":
                yield list(self._rows(child))
            elif child.tag == "chartSpace":
                yield list(chart(child))
            elif child.tag == "dataModel":
                yield from (item(depth, "", text) for depth, text in diagram(child))
            elif child.tag not in _GONE:
                yield from self.blocks(child)
        if carried and (text := clean(carried).strip()):
            yield Block(0, text)

    def _block(self, paragraph: Element, text: str) -> Block | None:
        """Return a paragraph with its number; without text, it is counted all the same."""
        place = self._numbering.item(paragraph)
        number = place.number if place else ""
        own = value(paragraph, "pPr/outlineLvl")
        if level := _level(own) if own else self._levels.get(value(paragraph, "pPr/pStyle"), 0):
            return Block(level, f"{number} {text}".lstrip()) if text else None
        if place is None or not (text or number):
            return Block(0, text) if text else None
        return item(place.level, number, text)

    def _rows(self, table: Element) -> Iterator[Row]:
        above: dict[int, str] = {}
        rows = [row for row in nested(table, "tr", _CONTROLS) if row.find("trPr/del") is None]
        for number, row in enumerate(rows, 1):
            cells, column = {}, 1
            for cell in nested(row, "tc", _CONTROLS):
                merged = cell.find("tcPr/vMerge")
                goes_on = merged is not None and merged.get("val") != "restart"
                cells[column] = repeated(above.get(column, "")) if goes_on else self._flat(cell)
                column += min(int(value(cell, "tcPr/gridSpan") or 1), 100)
            above = cells
            yield number, cells

    def _flat(self, cell: Element) -> str:
        """Return a cell as one line; of a table within it, the cells in order."""
        return " ".join(
            block.text if isinstance(block, Block) else " ".join(text for _, cells in block for text in cells.values())
            for block in self.blocks(cell)
        )


def _text(parent: Element, asides: list[Element]) -> str:
    """Return the text of a paragraph; append notes, drawings and text boxes to `asides`."""
    texts = []
    for child in parent:
        tag = child.tag
        if tag == "t":
            texts.append(child.text or "")
        elif tag in _MARKS:
            texts.append(_MARKS[tag])
        elif tag in ("ddList", "checkBox"):
            texts.append(_chosen(child))
        elif tag in _ASIDES:
            asides.append(child)
        elif tag not in _GONE:
            texts.append(_text(child, asides))
    return "".join(texts)


def _chosen(field: Element) -> str:
    """Return what is chosen in a form field as of Word before 2007, whose other values are plain text."""
    if field.tag == "ddList":
        entries = [entry.get("val", "") for entry in field.iterfind("listEntry")]
        chosen = int(value(field, "result") or value(field, "default") or 0)
        return entries[chosen] if chosen < len(entries) else ""
    states = [state for name in ("checked", "default") for state in field.iterfind(name)]
    return "\u2612" if states and states[0].get("val") not in ("0", "false") else "\u2610"


def _levels(styles: Mapping[str, Element]) -> dict[str, int]:
    """Return the heading level of each style, its own or that of the style it is based on; 0 for none."""

    def level(identity: str) -> int:
        for _, style in inherited(styles, identity):
            if outline := value(style, "pPr/outlineLvl"):
                return _level(outline)
            if value(style, "name").lower() == "title":
                return 1
        return 0

    return {identity: level(identity) for identity in styles}


def _level(outline: str) -> int:
    """Convert an outline level, from 0 to 9, to a heading level: 1 for the first, 0 for none."""
    return (int(outline) + 1) % (_LEVELS + 1)


_HEADING, _CELL, _ROW, _WITHIN = 0xE000, "\ue010", "\ue011", "\ue012"
"""Private characters that mark headings and tables in the source: striprtf keeps them, but not the structure itself."""

_BINARY = re.compile(rb"\\bin(\d{1,9}) ?")
_PICTURE = re.compile(rb"[0-9a-fA-F\r\n]{256,}")
_HIGH = re.compile(rb"[\x80-\xff]")
_STYLE = re.compile(r"\{\\s(\d+)[^{}]*?(?:\\outlinelevel([0-8])|heading ([1-9]);)", re.IGNORECASE)
_OUTLINE = re.compile(r"\\(outlinelevel|s)(\d+) ?")
_PRIVATE = re.compile("[\ue000-\ue012]")
_BULLET = re.compile(r"^[\uf000-\uf0ff•·◦▪]\s*")
_TABLE = re.compile(r"\\(?:nest)?(cell|row|intbl)(?![a-z]) ?")
_TABLE_MARKS = {"cell": _CELL, "row": _ROW + r"\par ", "intbl": r"\intbl " + _WITHIN}
_DELETED = re.compile(r"\\deleted(?![0-9a-z])")
_ASIDE = re.compile(r"\{(?:\\\*)?\\(?:footnote|shptxt)(?![a-z])")
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
_END = re.compile(r"\\par(?![a-z])")


def read_rtf(data: bytes) -> list[Page]:
    """Return the sections in order; notes and text boxes follow the paragraph they belong to."""
    if not data.lstrip().startswith(b"{\\rtf"):
        raise UnreadableFile("it is no rich text although its name ends in .rtf; save it again")
    from striprtf.striprtf import rtf_to_text

    while match := _BINARY.search(data):
        data = data[: match.start()] + data[match.end() + int(match[1]) :]
    source = _HIGH.sub(lambda byte: b"\\'%02x" % ord(byte[0]), _PICTURE.sub(b"", data)).decode("ascii")
    source = _mark_headings(_move_asides(source))
    source = _DELETED.sub(r"\\*", _TABLE.sub(lambda mark: _TABLE_MARKS[mark[1]], source))
    source = source.replace(r"{\field{", r"{\field {")  # in striprtf's search for links, quadratic time otherwise
    text = rtf_to_text(source, errors="replace").encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return paged(_blocks(text))


def _mark_headings(source: str) -> str:
    """Mark each paragraph that is a heading by itself or by its style."""
    marks = {("outlinelevel", str(level)): chr(_HEADING + level) for level in range(9)}
    for style, outline, heading in _STYLE.findall(source):
        marks["s", style] = chr(_HEADING + (int(outline) if outline else int(heading) - 1))
    return _OUTLINE.sub(lambda word: f"{word[0].strip()} {marks.get((word[1], word[2]), '')}", source)


def _move_asides(source: str) -> str:
    """Move each note and text box behind the end of the paragraph around it."""
    at = 0
    while match := _ASIDE.search(source, at):
        depth, end = 0, len(source)
        for brace in _BRACE.finditer(source, match.start()):
            depth += {"{": 1, "}": -1}.get(brace[0], 0)
            if not depth:
                end = brace.end()
                break
        at, after = match.start(), _END.search(source, end)
        behind = after.end() if after else end
        source = f"{source[:at]}{source[end:behind]}{{\\pard {source[match.end() : end]}\\par {source[behind:]}"
    return source


def _blocks(text: str) -> Iterator[Block | list[Row]]:
    rows: list[Row] = []
    row = ""
    for line in text.split("\n"):
        if row or _CELL in line or _WITHIN in line:
            row += f" {line}"
            if _ROW in line:
                cells = row.partition(_ROW)[0].split(_CELL)[:-1]
                rows.append((len(rows) + 1, {column: _words(cell) for column, cell in enumerate(cells, 1)}))
                row = ""
        elif words := _words(line):
            yield rows
            rows = []
            yield Block(
                next((ord(mark) - _HEADING + 1 for mark in line if _HEADING <= ord(mark) < _HEADING + 9), 0), words
            )
    yield rows
    if words := _words(row):
        yield Block(0, words)


def _words(text: str) -> str:
    return _BULLET.sub("- ", " ".join(_PRIVATE.sub(" ", text).split()))
