"""Damaged files of every format, and files made to do harm: each is read or named, and soon."""

import random
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.documents.document import Document, Limits, Problem
from app.documents.folder import Folder
from app.documents.readers import SUFFIXES, ocr, parse
from app.errors import UnreadableFile

FILES = Path(__file__).with_name("files")
WHOLE = sorted(
    path
    for path in FILES.iterdir()
    if path.suffix in SUFFIXES and path.name not in ("README.md", "secret.docx", "scan.png", "mixed.pdf")
)


def damaged(data: bytes) -> Iterator[bytes]:
    chance = random.Random(5)
    for _ in range(10):
        yield data[: chance.randrange(1, len(data))]
    for _ in range(15):
        flipped = bytearray(data)
        for _ in range(chance.randint(1, 40)):
            flipped[chance.randrange(len(data))] = chance.randrange(256)
        yield bytes(flipped)


@pytest.mark.parametrize("path", WHOLE, ids=lambda path: path.name)
@pytest.mark.slow
def test_a_damaged_file_raises_nothing_but_unreadable_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ocr, "program", lambda: "")  # it takes seconds for each page whose letters are damaged
    assert parse(path.suffix, path.read_bytes()).pages
    began = time.monotonic()
    for data in damaged(path.read_bytes()):
        try:
            pages = parse(path.suffix, data).pages
        except UnreadableFile:
            continue
        assert all("\0" not in page.text and "\f" not in page.text and page.place.label for page in pages)
    assert time.monotonic() - began < 60


def packed(source: Path, target: Path, name: str, before: bytes, added: bytes, times: int) -> None:
    """A zip whose part of some name has many times the same before one of its tags."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as new:
        for part in old.namelist():
            first, mark, last = old.read(part).partition(before if part == name else b"no such mark")
            with new.open(part, "w") as file:
                file.write(first)
                for _ in range(times if mark else 0):
                    file.write(added)
                file.write(mark + last)


@pytest.mark.slow
def test_what_is_made_to_do_harm_is_given_up_and_the_others_are_read(tmp_path: Path) -> None:
    document, sheet = "word/document.xml", "xl/worksheets/sheet1.xml"
    (tmp_path / "nested.html").write_bytes(b"<div>" * 1_000_000 + b"x")
    (tmp_path / "attributes.html").write_bytes(b"<p " + b" ".join(b"a%d=1" % n for n in range(200_000)) + b">x")
    packed(FILES / "changes.docx", tmp_path / "spaces.docx", document, b"</w:document>", b" " * 1_000_000, 700)
    packed(FILES / "changes.docx", tmp_path / "elements.docx", document, b"</w:body>", b"<w:p/>" * 1_000_000, 10)
    far = b'<row r="1048576"><c r="XFD1048576" t="n"><v>7</v></c></row>'
    packed(FILES / "market.xlsx", tmp_path / "far.xlsx", sheet, b"</sheetData>", far, 1)
    (tmp_path / "good.html").write_bytes(b"<p>The library opens at nine.")
    folder = Folder(tmp_path, 40_000_000, Limits(6, 500))
    found = {result.file: result for result in folder.read(folder.compare({}).changed) if result}
    assert isinstance(found.pop("good.html"), Document)
    assert len(found) == 5
    for result in found.values():
        assert isinstance(result, Problem)
        assert "; " in result.reason
