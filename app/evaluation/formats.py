"""Files of all formats, and the libraries that one would read them with instead.

The files are the real ones of the tests, made larger. Each library gets the bytes of a file. A "decoder" is what our
reader stands on, or the least that reading takes: it finds characters, and not what they belong to. For the "same
purpose" one would take the others.
"""

import csv
import json
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from email import message_from_bytes
from functools import partial
from importlib import import_module as module
from importlib.util import find_spec
from io import BytesIO, StringIO
from mailbox import mbox
from pathlib import Path
from xml.etree import ElementTree
from zipfile import ZipFile

from app.evaluation.enlarged import Enlarge, cells, chapters, lines, pages, records, repeated, sheet, within
from app.settings import ROOT

FILES = ROOT / "tests" / "documents" / "readers" / "files"

Read = Callable[[bytes], object]


@dataclass(frozen=True, slots=True)
class Bare:
    """A library, its package if it may be missing, and what of a file it reads."""

    kind: str
    library: str
    compared: str
    read: Read
    package: str = ""

    @property
    def missing(self) -> bool:
        """Whether it is not installed."""
        return bool(self.package) and find_spec(self.package) is None


@dataclass(frozen=True, slots=True)
class Sample:
    """A file, how it is made so many times as long, and its libraries."""

    suffix: str
    file: str
    enlarge: Enlarge
    times: int
    decoder: Bare
    same: Bare | None = None

    def data(self, times: int) -> bytes:
        """The file, so many times as long; raises OSError where there are no files of tests."""
        return self.enlarge((FILES / self.file).read_bytes(), times)

    @property
    def bare(self) -> list[Bare]:
        """Its libraries."""
        return [self.decoder, *([self.same] if self.same else ())]


def _pdfium(data: bytes) -> list[str]:
    return [page.get_textpage().get_text_range() for page in module("pypdfium2").PdfDocument(data)]


def _pypdf(data: bytes) -> list[str]:
    return [page.extract_text() for page in module("pypdf").PdfReader(BytesIO(data)).pages]


def _python_docx(data: bytes) -> list[str]:
    document = module("docx").Document(BytesIO(data))
    cells = [cell.text for table in document.tables for row in table.rows for cell in row.cells]
    return [paragraph.style.name + paragraph.text for paragraph in document.paragraphs] + cells


def _calamine(data: bytes) -> list[object]:
    workbook = module("python_calamine").CalamineWorkbook.from_filelike(BytesIO(data))
    return [workbook.get_sheet_by_name(name).to_python() for name in workbook.sheet_names]


def _openpyxl(data: bytes) -> list[object]:
    workbook = module("openpyxl").load_workbook(BytesIO(data), read_only=True, data_only=True)
    return [row for sheet in workbook.worksheets for row in sheet.iter_rows(values_only=True)]


def _odfpy(data: bytes) -> list[str]:
    document, text = module("odf.opendocument").load(BytesIO(data)), module("odf.text")
    blocks = document.getElementsByType(text.H) + document.getElementsByType(text.P)
    return [module("odf.teletype").extractText(block) for block in blocks]


def _python_pptx(data: bytes) -> list[str]:
    shapes = [shape for slide in module("pptx").Presentation(BytesIO(data)).slides for shape in slide.shapes]
    cells = [cell.text for shape in shapes if shape.has_table for row in shape.table.rows for cell in row.cells]
    return [shape.text_frame.text for shape in shapes if shape.has_text_frame] + cells


def _selectolax(data: bytes) -> str:
    body = module("selectolax.lexbor").LexborHTMLParser(data).body
    return str(body.text()) if body else ""


def _ebooklib(data: bytes) -> list[str]:
    book = module("ebooklib.epub").read_epub(BytesIO(data), {"ignore_ncx": True})
    chapters = book.get_items_of_type(module("ebooklib").ITEM_DOCUMENT)
    return [module("bs4").BeautifulSoup(chapter.get_content(), "lxml-xml").get_text() for chapter in chapters]


def _xml(data: bytes) -> str:
    return "".join(ElementTree.fromstring(data).itertext())  # noqa: S314 - our own files


def _parts(pattern: str, text: Callable[[bytes], str] = _xml) -> Read:
    """The text of the parts of a package."""

    def read(data: bytes) -> list[str]:
        with ZipFile(BytesIO(data)) as archive:
            return [text(archive.read(name)) for name in archive.namelist() if re.fullmatch(pattern, name)]

    return read


def _messages(data: bytes) -> list[object]:
    messages = map(message_from_bytes, re.split(rb"^From .*\n", data, flags=re.MULTILINE)[1:])
    return [part.get_payload(decode=True) for message in messages for part in message.walk()]


def _mailbox(data: bytes) -> list[object]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "box"
        path.write_bytes(data)
        with closing(mbox(path)) as box:
            return [(message["Subject"], part.get_payload(decode=True)) for message in box for part in message.walk()]


def _text_by(name: str, function: str, **options: str) -> Read:
    return lambda data: getattr(module(name), function)(data.decode(), **options)


def _markdown_it(data: bytes) -> object:
    return module("markdown_it").MarkdownIt().parse(data.decode())


def _csv(data: bytes) -> list[list[str]]:
    return list(csv.reader(StringIO(data.decode()), delimiter=";"))


def _named(data: bytes) -> list[str]:
    rows = csv.DictReader(StringIO(data.decode()), delimiter=";")
    return ["\n".join(f"{name}: {cell}" for name, cell in row.items()) for row in rows]


def _paths(data: bytes) -> list[str]:
    def walk(value: object, path: str) -> Iterator[str]:
        if isinstance(value, dict | list):
            for key, item in value.items() if isinstance(value, dict) else enumerate(value):
                yield from walk(item, f"{path}.{key}")
        else:
            yield f"{path}: {value}"

    return list(walk(json.loads(data), ""))


_MAIN, _CONTENT, _SLIDES = r"word/document\.xml", r"content\.xml", r"ppt/slides/slide\d+\.xml"
_BODY = repeated(rb"<body[^>]*>", rb"</body>")

_DECODER, _SAME = partial(Bare, "decoder"), partial(Bare, "same purpose")
_XML = partial(_DECODER, "zipfile, ElementTree", "the text of all nodes")
_JSON = _DECODER("json", "values", json.loads)
_BYTES = _DECODER("bytes.decode", "the characters", bytes.decode)

SAMPLES = (
    Sample(".pdf", "libreoffice.pdf", pages, 40,
        _DECODER("pypdfium2", "the text of each page", _pdfium),
        _SAME("pypdf", "the text of each page", _pypdf)),
    Sample(".docx", "handbook.docx", within(_MAIN, repeated(rb"<w:body>", rb"<w:sectPr>(?!.*<w:sectPr>)")), 10,
        _XML(_parts(_MAIN)),
        _SAME("python-docx", "paragraphs with their styles, then cells", _python_docx, "docx")),
    Sample(".xlsx", "market.xlsx", within(r"xl/worksheets/sheet1\.xml", sheet), 50,
        _DECODER("python-calamine", "values", _calamine),
        _SAME("openpyxl", "values, read-only", _openpyxl, "openpyxl")),
    Sample(".odt", "handbook.odt", within(_CONTENT, repeated(rb"<office:text[^>]*>", rb"</office:text>")), 20,
        _XML(_parts(_CONTENT)),
        _SAME("odfpy", "headings, then paragraphs", _odfpy, "odf")),
    Sample(".pptx", "harbour.pptx", within(_SLIDES, repeated(rb"</p:grpSpPr>", rb"</p:spTree>")), 50,
        _XML(_parts(_SLIDES)),
        _SAME("python-pptx", "the text of shapes, then cells", _python_pptx, "pptx")),
    Sample(".html", "handbook.html", _BODY, 200,
        _DECODER("selectolax", "the text of the body", _selectolax),
        _SAME("html2text", "Markdown", _text_by("html2text", "html2text"), "html2text")),
    Sample(".epub", "handbook.epub", within(r".*/ch\d+\.xhtml", _BODY), 100,
        _DECODER("zipfile, selectolax", "the text of all bodies", _parts(".*html", _selectolax)),
        _SAME("ebooklib, BeautifulSoup", "the text of all chapters", _ebooklib, "ebooklib")),
    Sample(".rtf", "fees.rtf", repeated(rb"\\pgndec", rb"\}\s*\Z"), 20,
        _DECODER("striprtf", "the text", _text_by("striprtf.striprtf", "rtf_to_text", errors="replace"), "striprtf")),
    Sample(".mbox", "sent.mbox", lines, 100,
        _DECODER("email", "all parts, decoded", _messages),
        _SAME("mailbox", "subjects and all parts, decoded", _mailbox)),
    Sample(".csv", "market.csv", lines, 200,
        _DECODER("csv", "rows of cells", _csv),
        _SAME("csv.DictReader", "rows, each cell with its header", _named)),
    Sample(".json", "market.csv", records, 200,
        _JSON, _SAME("json, a walk", "values, each with its path", _paths)),
    Sample(".ipynb", "nbconvert.ipynb", cells, 200,
        _JSON, _SAME("nbformat", "cells", _text_by("nbformat.v4", "reads"), "nbformat")),
    Sample(".md", "README.md", chapters, 300,
        _BYTES, _SAME("markdown-it-py", "blocks", _markdown_it, "markdown_it")),
    Sample(".txt", "README.md", lines, 600, _BYTES),
)  # fmt: skip
