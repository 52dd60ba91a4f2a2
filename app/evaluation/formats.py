"""Files of all formats, and the bare libraries that one would read them with instead.

The files are the real ones of the tests, made larger: what stands between the beginning and the end of their text is
repeated. Each library gets the bytes of a file and finds its text, without headings, tables and places told apart.
"""

import csv
import email
import email.policy
import io
import json
import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from xml.etree import ElementTree

from app.settings import ROOT

FILES = ROOT / "tests" / "documents" / "readers" / "files"


@dataclass(frozen=True, slots=True)
class Bare:
    """A library, its package if it may be missing, and what of a file it reads."""

    library: str
    compared: str
    read: Callable[[bytes], object]
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
    enlarge: Callable[[bytes, int], bytes]
    times: int
    bare: tuple[Bare, ...]

    def data(self, times: int) -> bytes:
        """The file, so many times as long; raises OSError where there are no files of tests."""
        return self.enlarge((FILES / self.file).read_bytes(), times)


def _repeated(begin: bytes, end: bytes, part: str = "") -> Callable[[bytes, int], bytes]:
    """Repeats what stands between two expressions, in the parts of a package if there are some."""

    def text(data: bytes, times: int) -> bytes:
        first = re.search(begin, data)
        last = re.compile(end, re.DOTALL).search(data, first.end() if first else 0)
        if first is None or last is None:
            return data
        return data[: first.end()] + data[first.end() : last.start()] * times + data[last.start() :]

    return (lambda data, times: _parts(data, part, lambda found: text(found, times))) if part else text


def _parts(data: bytes, part: str, change: Callable[[bytes], bytes]) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, change(old.read(name)) if re.fullmatch(part, name) else old.read(name))
    return target.getvalue()


def _rows(data: bytes, times: int) -> bytes:
    """A workbook whose rows come again and again, with numbers of their own."""

    def sheet(found: bytes) -> bytes:
        found = re.sub(rb"<dimension[^>]*>", b"", found)  # openpyxl believes it
        head, begin, rest = found.partition(b"<sheetData>")
        body, end, tail = rest.partition(b"</sheetData>")
        size = max(map(int, re.findall(rb'<row r="(\d+)"', body)), default=0)
        number = re.compile(rb'(<row r="|<c r="[A-Z]+)(\d+)')
        bodies = (
            number.sub(lambda m, below=at * size: m[1] + b"%d" % (int(m[2]) + below), body)  # type: ignore[misc]
            for at in range(times)
        )
        return head + begin + b"".join(bodies) + end + tail

    return _parts(data, r"xl/worksheets/sheet1\.xml", sheet)


def _pages(data: bytes, times: int) -> bytes:
    from pypdfium2 import PdfDocument

    source, target, stream = PdfDocument(data), PdfDocument.new(), io.BytesIO()
    for _ in range(times):
        target.import_pages(source)
    target.save(stream)
    return stream.getvalue()


def _records(data: bytes, times: int) -> bytes:
    """The rows of a table as JSON without lines."""
    rows = list(csv.reader(io.StringIO(data.decode()), delimiter=";"))
    return json.dumps([{f"field {at}": cell for at, cell in enumerate(row)} for row in rows] * times).encode()


def _cells(data: bytes, times: int) -> bytes:
    notebook = json.loads(data)
    return json.dumps(notebook | {"cells": notebook["cells"] * times}, indent=1).encode()


def _lines(data: bytes, times: int) -> bytes:
    return b"\n".join([data] * times)


def _markdown(data: bytes, times: int) -> bytes:
    return b"".join(b"# Part %d\n\n%s\n\n## Below\n\n%s\n\n" % (at, data, data) for at in range(times))


def _pdfium(data: bytes) -> list[str]:
    from pypdfium2 import PdfDocument

    document = PdfDocument(data)
    return [page.get_textpage().get_text_range() for page in document]


def _python_docx(data: bytes) -> list[str]:
    from docx import Document

    document = Document(io.BytesIO(data))
    cells = [cell.text for table in document.tables for row in table.rows for cell in row.cells]
    return [paragraph.text for paragraph in document.paragraphs] + cells


def _calamine(data: bytes) -> list[object]:
    from python_calamine import CalamineWorkbook

    workbook = CalamineWorkbook.from_filelike(io.BytesIO(data))
    return [workbook.get_sheet_by_name(name).to_python() for name in workbook.sheet_names]


def _openpyxl(data: bytes) -> list[object]:
    from openpyxl import load_workbook

    workbook = load_workbook(io.BytesIO(data), read_only=True, data_only=True)
    return [row for sheet in workbook.worksheets for row in sheet.iter_rows(values_only=True)]


def _selectolax(data: bytes) -> str:
    from selectolax.lexbor import LexborHTMLParser

    body = LexborHTMLParser(data).body
    return body.text() if body else ""


def _chapters(data: bytes) -> list[str]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return [_selectolax(archive.read(name)) for name in archive.namelist() if name.endswith("html")]


def _xml(pattern: str) -> Callable[[bytes], list[str]]:
    """The text of the parts of a package."""

    def read(data: bytes) -> list[str]:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = [name for name in archive.namelist() if re.fullmatch(pattern, name)]
            return ["".join(ElementTree.fromstring(archive.read(name)).itertext()) for name in names]  # noqa: S314

    return read


def _striprtf(data: bytes) -> str:
    from striprtf.striprtf import rtf_to_text

    return str(rtf_to_text(data.decode("ascii", "replace"), errors="replace"))


def _messages(data: bytes) -> list[object]:
    parts = re.split(rb"^From .*\n", data, flags=re.MULTILINE)[1:]
    messages = [email.message_from_bytes(part, policy=email.policy.compat32) for part in parts]
    return [part.get_payload(decode=True) for message in messages for part in message.walk()]


def _csv(data: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(data.decode()), delimiter=";"))


_DOCX = _repeated(rb"<w:body>", rb"<w:sectPr>(?!.*<w:sectPr>)", r"word/document\.xml")
_ODT = _repeated(rb"<office:text[^>]*>", rb"</office:text>", r"content\.xml")
_PPTX = _repeated(rb"</p:grpSpPr>", rb"</p:spTree>", r"ppt/slides/slide\d+\.xml")
_EPUB = _repeated(rb"<body[^>]*>", rb"</body>", r".*/ch\d+\.xhtml")
_HTML = _repeated(rb"<body[^>]*>", rb"</body>")
_RTF = _repeated(rb"\\pgndec", rb"\}\s*\Z")

_PDFIUM = Bare("pypdfium2", "the text of each page", _pdfium)
_PYTHON_DOCX = Bare("python-docx", "the text of paragraphs, then of tables", _python_docx, "docx")
_CALAMINE = Bare("python-calamine", "values", _calamine)
_OPENPYXL = Bare("openpyxl", "values, read-only", _openpyxl, "openpyxl")
_NODES = Bare("zipfile, ElementTree", "the text of all nodes", _xml(r"content\.xml|ppt/slides/slide\d+\.xml"))
_LEXBOR = Bare("selectolax", "the text of the body", _selectolax)
_BODIES = Bare("zipfile, selectolax", "the text of all bodies", _chapters)
_STRIPRTF = Bare("striprtf", "the text", _striprtf, "striprtf")
_EMAIL = Bare("email", "all parts, decoded", _messages)
_CSV = Bare("csv", "rows of cells", _csv)
_JSON = Bare("json", "values", json.loads)
_DECODED = Bare("bytes.decode", "the characters, nothing found in them", bytes.decode)

SAMPLES = (
    Sample(".pdf", "libreoffice.pdf", _pages, 40, (_PDFIUM,)),
    Sample(".docx", "handbook.docx", _DOCX, 10, (_PYTHON_DOCX,)),
    Sample(".xlsx", "market.xlsx", _rows, 50, (_CALAMINE, _OPENPYXL)),
    Sample(".odt", "handbook.odt", _ODT, 20, (_NODES,)),
    Sample(".pptx", "harbour.pptx", _PPTX, 50, (_NODES,)),
    Sample(".html", "handbook.html", _HTML, 200, (_LEXBOR,)),
    Sample(".epub", "handbook.epub", _EPUB, 100, (_BODIES,)),
    Sample(".rtf", "fees.rtf", _RTF, 20, (_STRIPRTF,)),
    Sample(".mbox", "sent.mbox", _lines, 100, (_EMAIL,)),
    Sample(".csv", "market.csv", _lines, 200, (_CSV,)),
    Sample(".json", "market.csv", _records, 200, (_JSON,)),
    Sample(".ipynb", "nbconvert.ipynb", _cells, 200, (_JSON,)),
    Sample(".md", "README.md", _markdown, 300, (_DECODED,)),
    Sample(".txt", "README.md", _lines, 600, (_DECODED,)),
)


def installed() -> bool:
    """Whether the files of the tests are there."""
    return FILES.is_dir()
