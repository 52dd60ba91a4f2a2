"""EPUB: chapters in the order of reading under their headings, and books that are locked or meant to do harm."""

import zipfile
from io import BytesIO
from pathlib import Path

import pytest

from app.documents.readers import parse, read
from app.documents.readers.html import read_epub
from app.errors import UnreadableFile

FILES = Path(__file__).with_name("files")
CONTAINER = '<container><rootfiles><rootfile full-path="a/book.opf"/></rootfiles></container>'


def book(*chapters: str, opf: str = "", encryption: str = "") -> bytes:
    items = "".join(f'<item id="c{n}" href="c%20{n}.xhtml"/>' for n in range(len(chapters)))
    spine = "".join(f'<itemref idref="c{n}"/>' for n in reversed(range(len(chapters))))
    lists = f"<manifest>{items}</manifest><spine>{spine}</spine>"
    whole = f"<package><metadata><title>Tides</title></metadata>{lists}</package>"
    contents = {"META-INF/container.xml": CONTAINER, "a/book.opf": opf or whole}
    contents |= {f"a/c {n}.xhtml": f"<html><body>{chapter}</body></html>" for n, chapter in enumerate(chapters)}
    contents |= {"META-INF/encryption.xml": encryption} if encryption else {}
    out = BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in contents.items():
            archive.writestr(name, text)
    return out.getvalue()


def test_a_book_is_read_under_its_headings_and_named_by_its_title() -> None:
    pages = read(FILES / "handbook.epub", 10_000_000).pages
    assert read(FILES / "handbook.epub", 10_000_000).title == "Handbook"
    assert pages[0].text == "Handbook\nAnn Quay"
    (found,) = [page for page in pages if "40 cents" in page.text]
    assert found.place.label == "Fees"
    assert "| Medium | Weeks | Fee per day |\n| Book | 4 | 0.40 € |" in found.text
    assert not any(".xhtml" in page.text for page in pages)


def test_chapters_come_in_the_order_of_the_spine_and_continue_under_the_last_heading() -> None:
    pages = read_epub(book("<p>It goes on.</p>", "<h1>Ebb</h1><p>Water leaves.</p>", "<p>A foreword.</p>"))
    assert [(page.text, page.place.label, page.place.number) for page in pages] == [
        ("Tides", "Tides", 1),
        ("A foreword.", "Tides", 1),
        ("Ebb\n\nWater leaves.", "Ebb", 2),
        ("It goes on.", "Ebb", 2),
    ]


def test_a_cover_without_text_and_a_missing_chapter_are_passed_over() -> None:
    opf = (
        '<package><metadata/><manifest><item id="a" href="c%200.xhtml"/><item id="b" href="gone.xhtml"/>'
        '<item id="c" href="c%201.xhtml"/></manifest><spine><itemref idref="a"/><itemref idref="b"/>'
        '<itemref idref="c"/><itemref idref="c"/></spine></package>'
    )
    pages = read_epub(book("<img src='cover.png'/>", "<p>Text.</p>", opf=opf))
    assert [page.text for page in pages] == ["Text."]


def test_a_book_that_is_protected_says_so() -> None:
    locked = "<encryption><EncryptedData><CipherReference URI='a/c 0.xhtml'/></EncryptedData></encryption>"
    with pytest.raises(UnreadableFile, match="protected against copying"):
        read_epub(book("<p>Secret.</p>", encryption=locked))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PK\3\4",
        book(),
        book("<img/>"),
        book("<p>a</p>", opf="<!DOCTYPE a [<!ENTITY b 'c'>]><package>&b;</package>"),
        book("<p>a</p>", opf="<a>" * 300 + "</a>" * 300),
    ],
)
def test_what_is_no_book_or_does_harm_is_named(data: bytes) -> None:
    with pytest.raises(UnreadableFile, match="; "):
        parse(".epub", data)
