"""PDF: pages and their numbers, and files that are encrypted, scanned or damaged."""

import logging
import random
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import pytest
from pypdf import PdfReader, PdfWriter
from reportlab.pdfgen.canvas import Canvas

from app.documents.passages import Page, Place
from app.documents.readers import pdf
from app.errors import UnreadableFile

FILES = Path(__file__).with_name("files")


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


@pytest.mark.parametrize("name", ["libreoffice.pdf", "chromium.pdf"])
def test_two_columns_of_other_programs_are_read_one_after_the_other(name: str) -> None:
    pages = pdf.read((FILES / name).read_bytes())
    text = "\n".join(page.text for page in pages)
    places = [text.index(f"Paragraph {number} begins here.") for number in range(24)]
    assert places == sorted(places)
    assert [page.place.number for page in pages if "Paragraph 23 begins here." in page.text] == [len(pages)]
    assert "officially inspected" in " ".join(text.split())


def test_running_heads_stand_once_and_page_numbers_not_at_all() -> None:
    first, *others = pdf.read((FILES / "libreoffice.pdf").read_bytes())
    assert "Harbour Authority Annual Report" in first.text
    for page in others:
        assert "Harbour Authority" not in page.text
        assert "\nPage " not in page.text


def test_the_date_and_address_that_a_browser_prints_are_no_text_of_the_later_pages() -> None:
    _, *others = pdf.read((FILES / "chromium.pdf").read_bytes())
    assert others
    assert not any("quay.html" in page.text or " PM" in page.text for page in others)


def test_what_stands_outside_the_page_is_not_read() -> None:
    out = BytesIO()
    canvas = Canvas(out, pagesize=(400, 400))
    canvas.drawString(50, 200, "Within.")
    canvas.drawString(500, 200, "Outside.")
    canvas.save()
    assert pdf.read(out.getvalue())[0].text.strip() == "Within."


def test_files_are_read_by_threads_at_once() -> None:
    data = (FILES / "libreoffice.pdf").read_bytes()
    with ThreadPoolExecutor(4) as threads:
        texts = [[page.text for page in pages] for pages in threads.map(pdf.read, [data] * 12)]
    assert all(text == texts[0] for text in texts)
