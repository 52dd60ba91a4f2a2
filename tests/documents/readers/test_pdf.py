"""PDF: pages and their numbers, and files that are encrypted, scanned or damaged."""

import logging
import random
from io import BytesIO

import pytest
from pypdf import PdfReader, PdfWriter
from reportlab.pdfgen.canvas import Canvas

from app.documents.pages import Page, Place
from app.documents.readers import pdf
from app.errors import UnreadableFile


def made(*texts: str) -> bytes:
    out = BytesIO()
    canvas = Canvas(out)
    for text in texts:
        canvas.drawString(72, 720, text)
        canvas.showPage()
    canvas.save()
    return out.getvalue()


def encrypted(data: bytes, user: str, algorithm: str) -> bytes:
    writer = PdfWriter(clone_from=PdfReader(BytesIO(data)))
    writer.encrypt(user, "owner", algorithm=algorithm)
    out = BytesIO()
    writer.write(out)
    return out.getvalue()


def test_pages_keep_their_numbers_also_after_a_blank_one() -> None:
    pages = pdf.read(made("First page.", "", "Third page."))
    assert [page.text.strip() for page in pages] == ["First page.", "", "Third page."]
    assert pages[2].place == Place("page", "page 3", 3)


@pytest.mark.parametrize("algorithm", ["RC4-128", "AES-256"])
def test_an_encrypted_file_is_read_only_if_it_opens_without_a_password(algorithm: str) -> None:
    assert pdf.read(encrypted(made("Open."), "", algorithm))[0].text.strip() == "Open."
    with pytest.raises(UnreadableFile, match=r"^it is encrypted; save it without a password$"):
        pdf.read(encrypted(made("Closed."), "secret", algorithm))


def test_pages_without_text_may_be_a_scan() -> None:
    with pytest.raises(UnreadableFile, match=r"none of its 3 pages holds text; it may be a scan"):
        pdf.read(made("", "", ""))


@pytest.mark.parametrize("data", [b"%PDF-1.7", b"no PDF at all", b"%PDF-1.4\n%%EOF", b"\0" * 1000])
def test_what_is_no_pdf_is_named(data: bytes) -> None:
    with pytest.raises(UnreadableFile, match="export it as PDF again"):
        pdf.read(data)


def test_damaged_files_raise_nothing_but_unreadable_file_and_stay_silent(caplog: pytest.LogCaptureFixture) -> None:
    whole = made("A page of text.", "Another page of text.")
    chance = random.Random(7)
    damaged = [whole[:end] for end in range(0, len(whole), 97)]
    for _ in range(150):
        data = bytearray(whole)
        for _ in range(chance.randint(1, 30)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        damaged.append(bytes(data))
    pages: list[Page] = []
    reasons: list[str] = []
    with caplog.at_level(logging.DEBUG, logger="app"):
        for data in damaged:
            try:
                pages += pdf.read(data)
            except UnreadableFile as error:
                reasons.append(str(error))
    assert pages
    assert reasons
    assert all("; " in reason for reason in reasons)
    assert not caplog.records
