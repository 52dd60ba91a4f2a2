"""Word documents (.docx) as they read once all changes are accepted, one page for each section under a heading."""

from collections.abc import Iterator
from typing import NamedTuple
from xml.etree.ElementTree import Element

from app.documents.pages import Page
from app.documents.readers import package
from app.documents.readers.sections import Sections
from app.documents.readers.tables import Row, repeated
from app.documents.readers.text import clean
from app.errors import UnreadableFile

_GONE = {"del", "moveFrom", "pPr", "rPr", "sdtPr", "sectPr", "tcPr", "rt", "instrText", "delText", "footnotePr"}
"""What tells no text that stands in the document: removed text, settings, small print above other letters."""

_MARKS = {"tab": " ", "br": "\n", "cr": "\n", "noBreakHyphen": "-"}
_LEVELS = 9


class Block(NamedTuple):
    """A paragraph, and the level of the heading that it is, or 0."""

    level: int
    text: str
    listed: bool


def read(data: bytes) -> list[Page]:
    """The sections in their order; headings and tables are written as in Markdown."""
    sections = Sections(marked=True)
    with package.opened(data, ".docx") as parts:
        document = _Document(parts)
        listed = False
        for block in document.blocks(document.body):
            within, listed = listed, isinstance(block, Block) and block.listed
            if not (within and listed):
                sections.gap()
            if not isinstance(block, Block):
                sections.table(block)
            elif block.level:
                sections.heading(block.level, " ".join(block.text.split()))
            else:
                sections.line(block.text)
    if not (pages := sections.pages()):
        raise UnreadableFile("it holds no text; if it shows pictures of pages, they need text recognition first")
    return pages


class _Document:
    """The body of a document, and what its styles and notes say."""

    def __init__(self, parts: package.Package):
        main = parts.main()
        body = parts.tree(main).find("body")
        if body is None:
            raise UnreadableFile("it holds no document; save it as .docx again")
        self.body = body
        self._notes: dict[tuple[str, str], Element] = {}
        styles = parts.one(main, "styles")
        self._levels = _levels(parts.tree(styles)) if styles else {}
        for kind in ("footnote", "endnote"):
            if notes := parts.one(main, f"{kind}s"):
                found = parts.tree(notes).findall(kind)
                self._notes |= {(kind, note.get("id", "")): note for note in found if note.get("type") is None}

    def blocks(self, parent: Element) -> Iterator[Block | list[Row]]:
        """Paragraphs, and tables as rows, in their order."""
        carried = ""  # of a paragraph whose end was removed
        for child in parent:
            if child.tag == "p":
                asides: list[Element] = []
                text = carried + self._text(child, asides)
                settings = child.find("pPr")
                settings = Element("pPr") if settings is None else settings
                carried = text if settings.find("rPr/del") is not None else ""
                if not carried and (text := clean(text).strip()):
                    yield self._block(settings, text)
                for aside in asides:
                    yield from self.blocks(aside)
            elif child.tag == "tbl":
                yield list(self._rows(child))
            elif child.tag not in _GONE:
                yield from self.blocks(child)
        if carried and (text := clean(carried).strip()):
            yield Block(0, text, listed=False)

    def _block(self, settings: Element, text: str) -> Block:
        style, own = settings.find("pStyle"), settings.find("outlineLvl")
        level = self._levels.get(style.get("val", ""), 0) if style is not None else 0
        level = _level(own) if own is not None else level
        numbering = settings.find("numPr")
        if numbering is None or level:
            return Block(level, text, listed=False)
        inner = numbering.find("ilvl")
        indent = "  " * min(int(inner.get("val", "0")), _LEVELS) if inner is not None else ""
        return Block(0, f"{indent}- {text}", listed=True)

    def _text(self, parent: Element, asides: list[Element]) -> str:
        """What stands in a paragraph; notes and text boxes are put to the `asides`, to follow it."""
        texts = []
        for child in parent:
            tag = child.tag
            if tag == "t":
                texts.append(child.text or "")
            elif tag in _MARKS:
                texts.append(_MARKS[tag])
            elif tag == "txbxContent":
                asides.append(child)
            elif tag in ("footnoteReference", "endnoteReference"):
                note = self._notes.pop((tag.removesuffix("Reference"), child.get("id", "")), None)
                asides += [] if note is None else [note]
            elif tag == "AlternateContent":  # the same twice, for newer and older programs
                texts += [self._text(choice, asides) for choice in child[:1]]
            elif tag not in _GONE:
                texts.append(self._text(child, asides))
        return "".join(texts)

    def _rows(self, table: Element) -> Iterator[Row]:
        above: dict[int, str] = {}
        rows = [*table.findall("tr"), *table.findall("sdt/sdtContent/tr")]
        for number, row in enumerate([row for row in rows if row.find("trPr/del") is None], 1):
            cells, column = {}, 1
            for cell in row.findall("tc") + row.findall("sdt/sdtContent/tc"):
                merged, span = cell.find("tcPr/vMerge"), cell.find("tcPr/gridSpan")
                goes_on = merged is not None and merged.get("val") != "restart"
                cells[column] = repeated(above.get(column, "")) if goes_on else self._flat(cell)
                column += min(int(span.get("val", "1")), 100) if span is not None else 1
            above = cells
            yield number, cells

    def _flat(self, cell: Element) -> str:
        """A cell on one line; of a table within it the cells in their order."""
        return " ".join(
            block.text if isinstance(block, Block) else " ".join(text for _, cells in block for text in cells.values())
            for block in self.blocks(cell)
        )


def _levels(styles: Element) -> dict[str, int]:
    """The level of each style that makes headings, of its own or of the one it is based on."""
    found = {style.get("styleId", ""): style for style in styles.findall("style")}

    def level(identity: str, steps: int = len(found)) -> int:
        style = found.get(identity)
        if style is None or steps < 0:
            return 0
        name, outline, base = style.find("name"), style.find("pPr/outlineLvl"), style.find("basedOn")
        if outline is not None:
            return _level(outline)
        if name is not None and name.get("val", "").lower() == "title":
            return 1
        return level(base.get("val", ""), steps - 1) if base is not None else 0

    return {identity: level(identity) for identity in found}


def _level(outline: Element) -> int:
    """1 for a heading of the first level, 0 for no heading."""
    return (int(outline.get("val", "9")) + 1) % (_LEVELS + 1)
