"""Files made so many times as long: what stands between the beginning and the end of their text is repeated."""

import csv
import json
import re
from collections.abc import Callable
from io import BytesIO, StringIO
from zipfile import ZIP_DEFLATED, ZipFile

Enlarge = Callable[[bytes, int], bytes]
"""A file, and how many times as long it is to be."""


def repeated(begin: bytes, end: bytes) -> Enlarge:
    """Repeats what stands between two expressions."""
    whole = re.compile(rb"(.*?%s)(.*?)(%s.*)" % (begin, end), re.DOTALL)

    def text(data: bytes, times: int) -> bytes:
        found = whole.fullmatch(data)
        return found[1] + found[2] * times + found[3] if found else data

    return text


def within(part: str, text: Enlarge) -> Enlarge:
    """Makes the parts of a package longer whose names match."""

    def enlarge(data: bytes, times: int) -> bytes:
        target = BytesIO()
        with ZipFile(BytesIO(data)) as old, ZipFile(target, "w", ZIP_DEFLATED) as new:
            for name in old.namelist():
                found = old.read(name)
                new.writestr(name, text(found, times) if re.fullmatch(part, name) else found)
        return target.getvalue()

    return enlarge


def sheet(found: bytes, times: int) -> bytes:
    """The rows again and again, with numbers of their own."""
    found = re.sub(rb"<dimension[^>]*>", b"", found)  # openpyxl believes it
    head, body, tail = re.split(rb"(?<=<sheetData>)|(?=</sheetData>)", found)
    size = max(map(int, re.findall(rb'<row r="(\d+)"', body)))
    number = re.compile(rb'(?<=<row r=")\d+|(?<=<c r="[A-Z])\d+')

    def below(copies: int) -> bytes:
        return number.sub(lambda at: b"%d" % (int(at[0]) + copies * size), body)

    return head + b"".join(map(below, range(times))) + tail


def pages(data: bytes, times: int) -> bytes:
    """The pages again and again."""
    from pypdfium2 import PdfDocument

    source, target, stream = PdfDocument(data), PdfDocument.new(), BytesIO()
    for _ in range(times):
        target.import_pages(source)
    target.save(stream)
    return stream.getvalue()


def records(data: bytes, times: int) -> bytes:
    """The rows of a table as JSON without lines."""
    table = csv.reader(StringIO(data.decode()), delimiter=";")
    return json.dumps([{f"field {at}": cell for at, cell in enumerate(row)} for row in table] * times).encode()


def cells(data: bytes, times: int) -> bytes:
    """The cells of a notebook again and again."""
    notebook = json.loads(data)
    return json.dumps(notebook | {"cells": notebook["cells"] * times}, indent=1).encode()


def lines(data: bytes, times: int) -> bytes:
    """The whole again and again."""
    return b"\n".join([data] * times)


def chapters(data: bytes, times: int) -> bytes:
    """A text in Markdown again and again, twice in each of many parts."""
    return b"".join(b"# Part %d\n\n%s\n\n## Below\n\n%s\n\n" % (at, data, data) for at in range(times))
