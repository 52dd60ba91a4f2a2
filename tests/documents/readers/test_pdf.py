"""PDF: pages and their numbers, titles, labels and outlines; encrypted, scanned and damaged files; printed text."""

import logging
import random
import time
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pypdf import PdfReader, PdfWriter
from pypdf.generic import ArrayObject, DecodedStreamObject, DictionaryObject, NameObject, NumberObject, read_object
from reportlab.pdfbase.pdfmetrics import stringWidth
from reportlab.pdfgen.canvas import Canvas

from app.documents.folder import Folder
from app.documents.passages import Page, Place
from app.documents.readers import ocr, pdf, read
from app.documents.readers.text import unprinted
from app.errors import UnreadableFile
from app.retrieval.corpus import Corpus
from app.settings import ROOT

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


@pytest.mark.slow
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


# What a file says of itself


def titled(title: str) -> bytes:
    writer = PdfWriter(clone_from=PdfReader(BytesIO(made("The text."))))
    writer.add_metadata({"/Title": title})
    return written(writer)


def written(writer: PdfWriter) -> bytes:
    out = BytesIO()
    writer.write(out)
    return out.getvalue()


def title(data: bytes) -> str:
    return pdf.describe(data, pdf.read(data)).title


def test_the_handbook_of_the_sample_corpus_has_the_title_that_it_states() -> None:
    assert read(ROOT / "corpus/workshop-handbook.pdf", 1_000_000).title == "Local AI Workshop: Handbook"


@pytest.mark.parametrize(
    ("stated", "shown"),
    [
        ("Annual  report\n2024", "Annual report 2024"),
        ("Öffnungszeiten – 図書館", "Öffnungszeiten – 図書館"),
        ("Microsoft Word - Annual report", "Annual report"),
        ("Node.js in practice", "Node.js in practice"),
        ("Presentation skills", "Presentation skills"),
        ("Document 12 of the treaty", "Document 12 of the treaty"),
    ],
)
def test_a_stated_title_is_the_title(stated: str, shown: str) -> None:
    assert title(titled(stated)) == shown


@pytest.mark.parametrize(
    "stated",
    [
        *("", "  ", "untitled", "Untitled-1", "Document1", "Unbenannt 2", "PowerPoint Presentation", "Folie 1", "2024"),
        *("Microsoft Word - report_final.docx", "slides.PPTX", "thesis.dvi", "C:\\users\\ada\\a", "report_v2_final"),
        *("Gr\u00c3\u00bc\u00c3\u009fe", "a\x07b", "caf\ufffd", "x" * 300),
    ],
)
def test_a_title_that_says_nothing_is_none(stated: str) -> None:
    assert title(titled(stated)) == ""


def test_pages_are_named_by_their_printed_labels() -> None:
    writer = PdfWriter(clone_from=PdfReader(BytesIO(made("Preface.", "Contents.", "One.", "Two.", "Appendix."))))
    writer.set_page_label(0, 1, style="/r", start=3)
    writer.set_page_label(2, 3, style="/D")
    writer.set_page_label(4, 4, style="/A", prefix="Annex ")
    data = written(writer)
    places = [page.place for page in pdf.describe(data, pdf.read(data)).pages]
    assert [place.label for place in places] == ["page iii", "page iv", "page 1", "page 2", "page Annex A"]
    assert [place.number for place in places] == [1, 2, 3, 4, 5]


def test_a_label_that_cannot_be_shown_leaves_the_number() -> None:
    writer = PdfWriter(clone_from=PdfReader(BytesIO(made("One.", "Two."))))
    writer.set_page_label(0, 1, prefix="x" * 30)
    data = written(writer)
    assert [page.place.label for page in pdf.describe(data, pdf.read(data)).pages] == ["page 1", "page 2"]


def test_pages_have_the_headings_of_the_outline_and_go_on_under_the_last_one() -> None:
    writer = PdfWriter(clone_from=PdfReader(BytesIO(made("Cover.", "One.", "More.", "Two."))))
    harbour = writer.add_outline_item(title="The harbour", page_number=1)
    writer.add_outline_item(title="Tides", page_number=1, parent=harbour)
    writer.add_outline_item(title="Fees", page_number=3)
    data = written(writer)
    headings = [page.place.heading for page in pdf.describe(data, pdf.read(data)).pages]
    assert headings == ["", "The harbour; Tides", "Tides", "Fees"]


@pytest.mark.slow
def test_a_pdf_is_found_by_the_words_of_its_title_and_of_its_outline(tmp_path: Path) -> None:
    writer = PdfWriter(clone_from=PdfReader(BytesIO(made("The gate opens at seven.", "The crane lifts ten tons."))))
    writer.add_metadata({"/Title": "Annual harbour report"})
    writer.set_page_label(0, 1, style="/r", start=4)
    writer.add_outline_item(title="Dredging", page_number=1)
    (tmp_path / "x17.pdf").write_bytes(written(writer))
    corpus = Corpus(Folder(tmp_path, 1_000_000))
    first = corpus.search("annual report").hits[0].passage
    assert (first.file, first.title) == ("x17.pdf", "Annual harbour report")
    assert [hit.passage.place.label for hit in corpus.search("dredging").hits] == ["page v"]


class Slow:
    """A reader of pypdf that never comes to an end."""

    def __init__(self, stream: BytesIO):
        while True:
            stream.seek(0)


def test_the_text_stays_where_its_description_takes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf, "DESCRIBE_SECONDS", 0.1)
    monkeypatch.setattr(pdf, "_reader", Slow)
    data = titled("Annual report")
    pages = pdf.read(data)
    began = time.monotonic()
    contents = pdf.describe(data, pages)
    assert time.monotonic() - began < 5
    assert (contents.pages, contents.title) == (pages, "")


@pytest.mark.parametrize("error", [RecursionError, MemoryError, KeyError, AttributeError])
def test_the_text_stays_where_its_description_is_damaged(
    monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    def fail(*_: object) -> None:
        raise error

    data = titled("Annual report")
    pages = pdf.read(data)
    for name in ("_reader", "_title"):
        with monkeypatch.context() as patch:
            patch.setattr(pdf, name, fail)
            assert pdf.describe(data, pages).pages == pages


def test_outlines_in_a_circle_come_to_an_end() -> None:
    writer = PdfWriter(clone_from=PdfReader(BytesIO(made("One.", "Two."))))
    first, second = writer.add_outline_item(title="A", page_number=0), writer.add_outline_item(title="B", page_number=1)
    second.get_object()[NameObject("/Next")] = first
    data = written(writer)
    pages = pdf.describe(data, pdf.read(data)).pages
    assert [page.place.heading for page in pages] in (["A", "B"], ["", ""])


# What printing did to a text

LINES = st.lists(st.lists(st.sampled_from(["Head", "Page 1", "a-", "b c", "", "1987 412"]) | st.text(max_size=6)))


@pytest.mark.parametrize(
    ("printed", "text"),
    [
        ("the infra-\nstructure of\nit", "the infrastructure\nof\nit"),
        ("the infra\xad\nstructure", "the infrastructure\n"),
        ("the infra\x02structure, too", "the infrastructure,\ntoo"),
        ("well-known, not un-\nknown, as well\ufffeknown", "well-known, not unknown,\nas well-known\n"),
        ("the Anglo-\nSaxon law", "the Anglo-Saxon\nlaw"),
        ("in 1990-\n1995 - and\nso on", "in 1990-\n1995 - and\nso on"),
        ("ﬁve eﬃcient ﬂoors", "five efficient floors"),
        ("soft\xadly", "softly"),
    ],
)
def test_words_are_whole_again(printed: str, text: str) -> None:
    assert unprinted([printed]) == [text]


def test_heads_of_left_and_right_pages_and_page_numbers_go() -> None:
    body = [f"One {word}.\nTwo {word}.\nThree {word}." for word in "abcdefgh"]
    pages = [f"{'Report' if n % 2 else 'Chapter'}\n{text}\n- {n + 11} of 30 -" for n, text in enumerate(body)]
    assert unprinted(pages) == [f"Chapter\n{body[0]}", f"Report\n{body[1]}", *body[2:]]


def test_figures_of_a_table_over_many_pages_stay() -> None:
    pages = ["\n".join(f"{1900 + 7 * row + 31 * page} {row * page * 13 + 5}" for row in range(9)) for page in range(6)]
    assert unprinted(pages) == pages


def test_two_pages_that_begin_alike_stay() -> None:
    assert unprinted(["Letter\na\n1", "Letter\nb\n2"]) == ["Letter\na\n1", "Letter\nb\n2"]


@pytest.mark.slow
@given(LINES)
def test_pages_keep_their_number(pages: list[list[str]]) -> None:
    assert len(unprinted(["\n".join(page) for page in pages])) == len(pages)


# How a page is laid out

HARBOUR = [
    "The harbour office opens at seven",
    "and closes when the last ferry has",
    "left the pier.",
    "visitors keep off",
]
CRANES = [
    "Cranes are inspected every spring",
    "by an engineer of the port, who",
    "writes a report that",
    "anyone may read",
]


def drawn(*texts: tuple[float, float, str], quarters: int = 0, size: int = 11) -> bytes:
    """A page with texts at some places, drawn upright if it is turned clockwise by some right angles."""
    out = BytesIO()
    canvas = Canvas(out, pagesize=(842, 595) if quarters % 2 else (595, 842))
    canvas.translate(*((0, 0), (842, 0), (595, 842), (0, 595))[quarters])
    canvas.rotate(90 * quarters)
    canvas.setFont("Helvetica", size)
    for left, bottom, text in texts:
        canvas.drawString(left, bottom, text)
    canvas.save()
    return out.getvalue()


def words(data: bytes) -> str:
    return " ".join(pdf.read(data)[0].text.split())


def across(*columns: list[str], lower: float = 0) -> list[tuple[float, float, str]]:
    rows = enumerate(zip(*columns, strict=True))
    return [(60 + 260 * n, 700 - 14 * i - lower * n, text) for i, row in rows for n, text in enumerate(row)]


@pytest.mark.parametrize("lower", [0, 3])
def test_columns_that_were_written_across_are_read_one_after_the_other(lower: float) -> None:
    heading = (60.0, 740.0, "Rules and reports of the harbour in the year 2024, which is the second edition")
    text = words(drawn(heading, *across(HARBOUR, CRANES, lower=lower)))
    assert text == " ".join([heading[2], *HARBOUR, *CRANES])


def test_rows_of_a_table_are_no_columns() -> None:
    table = across(
        ["Opening hours of the office", "Crane on the pier", "Fee for a dog"], ["Seven to nine", "Ten tons", "4 kr"]
    )
    assert words(drawn(*table)) == " ".join(text for _, _, text in table)


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        (
            "Ward,Nurses,Beds North,12,40 ,9,33 South,,28",
            "Ward | Nurses | Beds\nNorth | 12 | 40\n | 9 | 33\nSouth |  | 28",
        ),
        ("Part,Basic,Plus Find,,x Print,x,x Log,,x", "Part | Basic | Plus\nFind |  | x\nPrint | x | x\nLog |  | x"),
    ],
)
def test_an_empty_cell_is_shown_so_that_the_others_stay_in_their_columns(written: str, shown: str) -> None:
    rows = [row.split(",") for row in written.split()]
    cells = [(60 + 110.0 * n, 700 - 16.0 * i, text) for i, row in enumerate(rows) for n, text in enumerate(row) if text]
    assert pdf.read(drawn(*cells))[0].text == shown


@pytest.mark.parametrize("shift", [0.5, 1])
def test_letters_that_are_drawn_twice_to_look_bold_are_read_once(shift: float) -> None:
    letters: list[tuple[float, float, str]] = []
    left = 60.0
    for letter in "Assembly point, Hill fee":
        letters += (left, 700, letter), (left + shift, 700, letter)
        left += stringWidth(letter, "Helvetica", 11)
    assert words(drawn(*letters)) == "Assembly point, Hill fee"
    lines = [(60 + step, 700 - 20.0 * n, text) for step in (0, shift) for n, text in enumerate(HARBOUR)]
    assert words(drawn(*lines)) == " ".join(HARBOUR)


def rotated(data: bytes, degrees: int) -> bytes:
    """The page of a PDF, shown turned clockwise."""
    writer = PdfWriter(clone_from=PdfReader(BytesIO(data)))
    writer.pages[0].rotation = degrees
    return written(writer)


@pytest.mark.parametrize("shown", [0, 90, 180, 270])
@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
def test_a_page_is_read_as_its_text_is_upright_however_it_is_shown(quarters: int, shown: int) -> None:
    lines = [(60, 560 - 20.0 * i, text) for i, text in enumerate(HARBOUR)]
    assert words(rotated(drawn(*lines, quarters=quarters), shown)) == " ".join(HARBOUR)
    table = [(60, 560, "Ward"), (200, 560, "Nurses"), (340, 560, "Beds"), (60, 540, "North"), (340, 540, "9")]
    table += [(60, 520, "South"), (200, 520, "12"), (340, 520, "40"), (60, 500, "West"), (200, 500, "7")]
    text = pdf.read(rotated(drawn(*table, quarters=quarters), shown))[0].text
    assert text == "Ward | Nurses | Beds\nNorth |  | 9\nSouth | 12 | 40\nWest | 7"


def test_glyphs_that_pdfium_has_no_font_for_are_read() -> None:
    assert words((FILES / "single-glyphs.pdf").read_bytes()).startswith("水泵的保修期")


def test_text_with_a_wrong_table_of_letters_is_named_and_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ocr, "program", lambda: "")
    writer = PdfWriter(clone_from=PdfReader(FILES / "chromium.pdf"))
    for number in range(1, len(writer._objects) + 1):
        font = writer.get_object(number)
        if isinstance(font, DictionaryObject) and font.get("/Type") == "/Font":
            font.pop("/ToUnicode", None)
    with pytest.raises(UnreadableFile, match="its fonts name the wrong letters; it needs text recognition"):
        pdf.read(written(writer))


# What was filled in


def annotated(*annotations: str) -> bytes:
    """A page with labels, and annotations in the notation of PDF."""
    writer = PdfWriter(
        clone_from=PdfReader(BytesIO(drawn((60, 740, "Name of applicant:"), (60, 700, "Disabled badge"))))
    )
    refs = ArrayObject()
    for annotation in annotations:
        value = read_object(BytesIO(f"<< /Type /Annot {annotation} >>".encode()), writer)
        refs.append(writer._add_object(value))
    writer.pages[0][NameObject("/Annots")] = refs
    form = DictionaryObject({NameObject("/Fields"): ArrayObject(ref for ref in refs if "/FT" in ref.get_object())})
    writer.root_object[NameObject("/AcroForm")] = form
    return written(writer)


def test_values_of_a_form_follow_their_labels() -> None:
    lines = pdf.read(
        annotated(
            "/Subtype /Widget /FT /Tx /T (a) /V (Ingeborg Thorsrud) /Rect [200 735 420 753]",
            "/Subtype /Widget /FT /Btn /T (b) /V /Yes /AS /Yes /Rect [45 698 57 710]",
            "/Subtype /Widget /FT /Ch /Ff 131072 /T (c) /TU (Zone) /V (n) "
            "/Opt [[(n) (Harbour North)] [(o) (Old Town)]] /Rect [200 600 420 618]",
            "/Subtype /Widget /FT /Tx /Ff 8192 /T (d) /V (secret) /Rect [200 500 420 518]",
            "/Subtype /Widget /FT /Tx /F 2 /T (e) /V (hidden) /Rect [200 480 420 498]",
        )
    )[0].text.split("\n")  # fmt: skip
    assert lines == ["Name of applicant: Ingeborg Thorsrud", "Disabled badge: yes", "Zone: Harbour North"]


def test_values_of_a_table_stay_in_their_rows() -> None:
    values = [
        ("Rope", 60, 600),
        ("4", 200, 600),
        ("80", 340, 601),
        ("Buoy", 60, 580),
        ("2", 200, 580),
        ("310", 340, 580),
    ]
    fields = (
        f"/Subtype /Widget /FT /Tx /T (f{number}) /V ({value}) /Rect [{left} {low} {left + 100} {low + 18}]"
        for number, (value, left, low) in enumerate(values)
    )
    assert pdf.read(annotated(*fields))[0].text.split("\n")[-2:] == ["Rope 4 80", "Buoy 2 310"]


def test_what_was_typed_on_a_page_is_read_at_its_place() -> None:
    data = annotated(
        "/Subtype /FreeText /Contents (Load limit 4.2 tonnes) /Rect [60 715 300 730]",
        "/Subtype /Stamp /Contents (Approved by Vidar) /Rect [60 500 300 530]",
        "/Subtype /Text /Contents (Ask for the spare brake) /Rect [60 760 80 780]",
        "/Subtype /Highlight /Contents (Replaced in May) /Rect [60 695 140 712]",
        "/Subtype /Link /Contents (a tip of a link) /Rect [60 400 140 412]",
    )
    typed = [
        "Ask for the spare brake",
        "Name of applicant:",
        "Load limit 4.2 tonnes",
        "Disabled badge",
        "Replaced in May",
        "Approved by Vidar",
    ]
    assert pdf.read(data)[0].text.split("\n") == typed


def test_what_only_the_picture_of_a_stamp_says_is_read() -> None:
    writer = PdfWriter(clone_from=PdfReader(BytesIO(annotated("/Subtype /Stamp /Rect [60 500 300 530]"))))
    picture = DecodedStreamObject()
    picture.set_data(b"BT /F1 12 Tf 4 8 Td (Paid in full) Tj ET")
    box = ArrayObject(map(NumberObject, (0, 0, 240, 30)))
    picture.update({NameObject("/Subtype"): NameObject("/Form"), NameObject("/BBox"): box})
    picture[NameObject("/Resources")] = writer.pages[0]["/Resources"]
    (stamp,) = writer.pages[0]["/Annots"]
    stamp.get_object()[NameObject("/AP")] = DictionaryObject({NameObject("/N"): writer._add_object(picture)})
    assert pdf.read(written(writer))[0].text.endswith("\nPaid in full")
