"""The paragraphs and tables of a Word document as it reads once all changes are accepted; it knows no pages."""

from collections.abc import Iterator
from xml.etree.ElementTree import Element

from app.documents.readers import package
from app.documents.readers.tables import Row, repeated
from app.documents.readers.text import clean
from app.errors import UnreadableFile

_GONE = {"del", "moveFrom", "pPr", "rPr", "sdtPr", "rt", "instrText", "delText", "footnotePr"}
"""What tells no text that stands in the document: removed text, settings, small print above other letters."""

_MARKS = {"tab": " ", "br": "\n", "cr": "\n", "noBreakHyphen": "-"}
_LEVELS = 9

Block = tuple[int, str]
"""A text and the level of the heading that it is, or 0."""


class Document:
    """The body of a document, and what its styles and notes say."""

    def __init__(self, parts: package.Package):
        main = parts.main()
        root = parts.tree(main)
        body = root.find("body")
        if body is None:
            raise UnreadableFile("it holds no document; save it as .docx again")
        self.body = body
        self._levels: dict[str, int] = {}
        self._notes: dict[tuple[str, str], Element] = {}
        if styles := parts.one(main, "styles"):
            self._levels = _levels(parts.tree(styles))
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
                carried = text if child.find("pPr/rPr/del") is not None else ""
                if not carried and (text := clean(text).strip()):
                    yield self._block(child, text)
                for aside in asides:
                    yield from self.blocks(aside)
            elif child.tag == "tbl":
                yield list(self._rows(child))
            elif child.tag not in _GONE:
                yield from self.blocks(child)
        if text := clean(carried).strip():
            yield 0, text

    def _block(self, paragraph: Element, text: str) -> Block:
        style, own = paragraph.find("pPr/pStyle"), paragraph.find("pPr/outlineLvl")
        level = self._levels.get(style.get("val", ""), 0) if style is not None else 0
        level = _level(own) if own is not None else level
        listed = paragraph.find("pPr/numPr") is not None and not level
        return level, f"- {text}" if listed else text

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
        blocks = self.blocks(cell)
        rows = (" ".join(cells.values()) for block in blocks if isinstance(block, list) for _, cells in block)
        return " ".join(block[1] if isinstance(block, tuple) else " ".join(rows) for block in blocks)


def _levels(styles: Element) -> dict[str, int]:
    """The level of each style that makes headings, of its own or of the one it is based on."""
    levels: dict[str, int] = {}
    based: dict[str, str] = {}
    for style in styles.findall("style"):
        name, outline, base = style.find("name"), style.find("pPr/outlineLvl"), style.find("basedOn")
        identity = style.get("styleId", "")
        if outline is not None:
            levels[identity] = _level(outline)
        elif name is not None and name.get("val", "").lower() == "title":
            levels[identity] = 1
        elif base is not None:
            based[identity] = base.get("val", "")
    for style_id in based:
        seen, base_id = {style_id}, based[style_id]
        while base_id in based and base_id not in seen:
            seen.add(base_id)
            base_id = based[base_id]
        levels[style_id] = levels.get(base_id, 0)
    return levels


def _level(outline: Element) -> int:
    """1 for a heading of the first level, 0 for no heading."""
    return (int(outline.get("val", "9")) + 1) % (_LEVELS + 1)
