"""Word documents (.docx) as they read once all changes are accepted, one page for each section under a heading."""

from collections.abc import Iterator
from xml.etree.ElementTree import Element

from app.documents.passages import Page
from app.documents.readers.ooxml import Package, value
from app.documents.readers.sections import Block, paged
from app.documents.readers.tables import Row, repeated
from app.documents.readers.text import clean

_GONE = {"del", "moveFrom", "pPr", "rPr", "sdtPr", "sectPr", "tcPr", "rt", "instrText", "delText"}
"""Elements without text of the document: deleted text, settings, ruby annotations."""

_NOTES = ("footnote", "endnote")
_ASIDES = {"txbxContent", *(f"{kind}Reference" for kind in _NOTES)}
"""Notes and text boxes, which follow the paragraph that they belong to."""

_MARKS = {"tab": " ", "br": "\n", "cr": "\n", "noBreakHyphen": "-"}
_LEVELS = 9


def read(data: bytes) -> list[Page]:
    """Return the sections in order; headings and tables are written as in Markdown."""
    parts = Package(data, ".docx")
    main = parts.main()
    body = next(parts.tree(main).iter("body"))
    for kind in _NOTES:
        notes = {note.get("id"): note for note in parts.linked(main, f"{kind}s") if note.get("type") is None}
        for reference in list(body.iter(f"{kind}Reference")):
            reference.extend(notes.get(reference.get("id"), ()))
    return paged(_Document(parts.linked(main, "styles")).blocks(body))


class _Document:
    """The blocks of a document, by its styles."""

    def __init__(self, styles: Element):
        self._levels = _levels(styles)

    def blocks(self, parent: Element) -> Iterator[Block | list[Row]]:
        """Yield paragraphs, and tables as rows, in order."""
        carried = ""  # from a paragraph whose end was deleted
        for child in parent:
            if child.tag == "p":
                asides: list[Element] = []
                text = carried + _text(child, asides)
                carried = text if child.find("pPr/rPr/del") is not None else ""
                if not carried and (text := clean(text).strip()):
                    yield self._block(child, text)
                for aside in asides:
                    yield from self.blocks(aside)
            elif child.tag == "tbl":
                yield list(self._rows(child))
            elif child.tag not in _GONE:
                yield from self.blocks(child)
        if carried and (text := clean(carried).strip()):
            yield Block(0, text)

    def _block(self, paragraph: Element, text: str) -> Block:
        own = value(paragraph, "pPr/outlineLvl")
        level = _level(own) if own else self._levels.get(value(paragraph, "pPr/pStyle"), 0)
        if level or paragraph.find("pPr/numPr") is None:
            return Block(level, text)
        inner = int(value(paragraph, "pPr/numPr/ilvl") or 0)
        return Block(0, f"{'  ' * min(inner, _LEVELS)}- {text}", listed=True)

    def _rows(self, table: Element) -> Iterator[Row]:
        above: dict[int, str] = {}
        rows = [*table.findall("tr"), *table.findall("sdt/sdtContent/tr")]
        for number, row in enumerate([row for row in rows if row.find("trPr/del") is None], 1):
            cells, column = {}, 1
            for cell in row.findall("tc") + row.findall("sdt/sdtContent/tc"):
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
    """Return the text of a paragraph; append notes and text boxes to `asides`."""
    texts = []
    for child in parent:
        tag = child.tag
        if tag == "t":
            texts.append(child.text or "")
        elif tag in _MARKS:
            texts.append(_MARKS[tag])
        elif tag in _ASIDES:
            asides.append(child)
        elif tag not in _GONE:
            texts.append(_text(child, asides))
    return "".join(texts)


def _levels(styles: Element) -> dict[str, int]:
    """Return the heading level of each style, its own or that of the style it is based on; 0 for none."""
    found = {style.get("styleId", ""): style for style in styles.findall("style")}

    def level(identity: str, steps: int = len(found)) -> int:
        style = found.get(identity)
        if style is None or steps < 0:
            return 0
        if outline := value(style, "pPr/outlineLvl"):
            return _level(outline)
        return 1 if value(style, "name").lower() == "title" else level(value(style, "basedOn"), steps - 1)

    return {identity: level(identity) for identity in found}


def _level(outline: str) -> int:
    """Convert an outline level, from 0 to 9, to a heading level: 1 for the first, 0 for none."""
    return (int(outline) + 1) % (_LEVELS + 1)
