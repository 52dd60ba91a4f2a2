"""Pictures of pages: read by Tesseract where it is installed, page by page in the time there is, else named."""

from contextlib import suppress
from io import BytesIO
from pathlib import Path

import pytest
from pypdf import PdfReader, PdfWriter
from pypdfium2 import PdfDocument
from reportlab.lib.pagesizes import A4
from reportlab.pdfgen.canvas import Canvas

from app.documents.document import Document, Limits, Problem
from app.documents.folder import Folder
from app.documents.readers import ocr, pdf
from app.errors import UnreadableFile

FILES = Path(__file__).with_name("files")
SHIPS = [
    f"The {ship} from {port} is loaded with {goods}."
    for ship in ("schooner", "ferry", "steamer", "barge")
    for port in ("Bergen", "Dover", "Lisbon", "Hamburg", "Genoa")
    for goods in ("timber", "oranges", "letters", "salt")
]
MISSING = "it needs text recognition: install Tesseract, then run escalator index --rebuild"

recognizing = pytest.mark.skipif(not ocr.program(), reason="needs Tesseract")


def scanned(texts: list[str]) -> bytes:
    """A PDF of pictures of pages."""
    written, drawn = BytesIO(), BytesIO()
    canvas = Canvas(written)
    for text in texts:
        canvas.setFont("Helvetica", 24)
        canvas.drawString(72, 720, text)
        canvas.showPage()
    canvas.save()
    canvas = Canvas(drawn)
    with PdfDocument(written.getvalue()) as document:
        for number in range(len(texts)):
            picture = document[number].render(scale=2, grayscale=True).to_pil()
            canvas.drawInlineImage(picture, 0, 0, *A4)
            canvas.showPage()
    canvas.save()
    return drawn.getvalue()


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without Tesseract."""
    for name in ("PATH", "ProgramFiles", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(tmp_path))


def read(folder: Path, seconds: int = 30) -> Document | Problem:
    corpus = Folder(folder, 10_000_000, Limits(seconds))
    (found,) = filter(None, corpus.read(corpus.compare({}).changed))
    return found


@recognizing
def test_a_picture_of_a_page_is_read_in_the_languages_that_are_installed() -> None:
    (page,) = ocr.read((FILES / "scan.png").read_bytes())
    assert page.text.startswith("Hafenordnung\n\nDer Lotse meldet jedes")
    assert "The night watch locks the northern gate at eleven." in page.text
    assert page.place.label == "page 1"


@recognizing
@pytest.mark.slow
def test_a_page_without_text_among_others_is_recognized() -> None:
    first, second, third = pdf.read((FILES / "mixed.pdf").read_bytes())
    assert "The harbour master signs the first page." in first.text
    assert "The night watch locks the northern gate at eleven." in second.text
    assert "The harbour cashier signs the last page" in third.text


@recognizing
@pytest.mark.slow
def test_of_a_long_scan_as_many_pages_are_read_as_there_is_time_for_and_the_others_are_known(tmp_path: Path) -> None:
    (tmp_path / "long.pdf").write_bytes(scanned(SHIPS))
    found = read(tmp_path, seconds=8)
    assert isinstance(found, Document)
    assert found.pages == len(SHIPS)
    assert found.silent == tuple(range(found.silent[0], len(SHIPS) + 1))
    texts = found.text.split("\f")[: found.silent[0] - 1]
    assert texts
    assert [text.split()[1:4] for text in texts] == [text.split()[1:4] for text in SHIPS[: len(texts)]]


@recognizing
def test_a_picture_that_tesseract_gives_up_is_named() -> None:
    with pytest.raises(UnreadableFile, match="text recognition failed"):
        ocr.read(b"\x89PNG\r\n\x1a\n")


def test_the_name_of_a_picture_is_no_picture_and_opens_none() -> None:
    with pytest.raises(UnreadableFile, match="it is no picture"):
        ocr.read(f"{FILES / 'scan.png'}\n".encode())


@recognizing
def test_a_damaged_picture_is_read_or_named() -> None:
    whole = (FILES / "scan.png").read_bytes()
    for data in (whole[:5000], whole[:3000] + b"\xff" * 40 + whole[3040:]):
        with suppress(UnreadableFile):
            assert ocr.read(data)[0].text


@pytest.mark.slow
@pytest.mark.usefixtures("bare")
def test_without_tesseract_pages_without_text_are_known_and_pictures_say_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match=f"^it is a picture; {MISSING}$"):
        ocr.read((FILES / "scan.png").read_bytes())
    (tmp_path / "mixed.pdf").write_bytes((FILES / "mixed.pdf").read_bytes())
    found = read(tmp_path)
    assert isinstance(found, Document)
    assert (found.pages, found.silent) == (3, (2,))
    out = BytesIO()
    writer = PdfWriter()
    writer.append(PdfReader(FILES / "mixed.pdf"), pages=(1, 2))
    writer.write(out)
    with pytest.raises(UnreadableFile, match=f"^its only page holds no text; it may be a scan; {MISSING}$"):
        pdf.read(out.getvalue())


def stamped() -> bytes:
    """A scan on which an archive printed a line."""
    out = BytesIO()
    canvas = Canvas(out, pagesize=A4)
    canvas.drawImage(str(FILES / "scan.png"), 0, 0, *A4)
    canvas.drawString(40, 825, "Received 2024-09-17")
    canvas.save()
    return out.getvalue()


@recognizing
@pytest.mark.slow
def test_a_scan_with_a_stamp_is_recognized_and_the_stamp_stays() -> None:
    (page,) = pdf.read(stamped())
    assert "The night watch locks the northern gate at eleven." in page.text
    assert "Received 2024-09-17" in page.text
    assert not page.unread


@pytest.mark.slow
@pytest.mark.usefixtures("bare")
def test_without_tesseract_a_scan_with_a_stamp_is_known_to_hold_more(tmp_path: Path) -> None:
    (tmp_path / "stamped.pdf").write_bytes(stamped())
    found = read(tmp_path)
    assert isinstance(found, Document)
    assert (found.text.strip(), found.silent) == ("Received 2024-09-17", (1,))


def test_tesseract_runs_with_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = []

    def run(*_: object, env: dict[str, str], **__: object) -> object:
        limits.append(env["OMP_THREAD_LIMIT"])
        raise OSError

    monkeypatch.setattr(ocr.subprocess, "run", run)
    with pytest.raises(ocr.Failed):
        ocr.Tesseract().text(b"")
    assert limits == ["1"]
