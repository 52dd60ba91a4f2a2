"""Cited words on the pages of PDFs, drawn by the process that draws them for the chat."""

import struct
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pypdf import PdfReader, PdfWriter
from reportlab.pdfbase.pdfmetrics import stringWidth
from reportlab.pdfgen.canvas import Canvas

from app.documents.document import Limits
from app.documents.page_image import Box, draw, match, receive, render
from app.documents.passages import sentences
from app.documents.readers import pdf
from app.errors import UnreadableFile

FILES = Path(__file__).parent / "readers/files"
WIDTH, HEIGHT = 600, 800
SENTENCE = "The drawbridge opens at seven."


def printed(*lines: tuple[float, float, str]) -> bytes:
    """A page with lines at these places, in points from the lower left."""
    out = BytesIO()
    canvas = Canvas(out, pagesize=(WIDTH, HEIGHT))
    canvas.setFont("Helvetica", 12)
    for x, y, line in lines:
        canvas.drawString(x, y, line)
    canvas.showPage()
    canvas.save()
    return out.getvalue()


def around(x: float, y: float, line: str) -> Box:
    """The box of a line of that page, from its base line to the height of its capitals."""
    right = x + stringWidth(line, "Helvetica", 12)
    return x / WIDTH, 1 - (y + 9) / HEIGHT, right / WIDTH, 1 - y / HEIGHT


def close(box: Box, expected: Box) -> bool:
    return all(abs(one - other) < 0.012 for one, other in zip(box, expected, strict=True))


def test_the_words_of_a_span_are_marked_where_they_stand() -> None:
    data = printed((72, 700, "The harbour."), (72, 500, SENTENCE), (72, 480, "It closes at ten."))
    text = f"The harbour.\n{SENTENCE}\nIt closes at ten."
    start = text.index(SENTENCE)

    found = render(data, 1, text, [(start, start + len(SENTENCE))])

    [box] = found.boxes
    assert close(box, around(72, 500, SENTENCE.rstrip(".")))
    assert found.written
    assert struct.unpack("!2I", found.picture[16:24]) == (1000, 1334)


def test_a_sentence_that_goes_on_in_the_next_column_has_a_box_in_each() -> None:
    data = printed((50, 100, "The tide turns late in"), (320, 700, "winter."), (320, 680, "Ice is rare."))
    text = "The tide turns late in\nwinter.\nIce is rare."

    left, right = render(data, 1, text, [(0, 30)]).boxes

    assert close(left, around(50, 100, "The tide turns late in"))
    assert close(right, around(320, 700, "winter"))


def test_of_sentences_that_say_the_same_the_cited_one_is_marked() -> None:
    lines = [(72.0, 700.0 - 20 * number, SENTENCE) for number in range(5)]
    text = "\n".join([SENTENCE] * 5)
    start = 3 * (len(SENTENCE) + 1)

    [box] = render(printed(*lines), 1, text, [(start, start + len(SENTENCE))]).boxes

    assert close(box, around(72, 640, SENTENCE.rstrip(".")))


def test_a_page_that_is_turned_is_marked_as_it_is_seen() -> None:
    writer = PdfWriter()
    writer.add_page(PdfReader(BytesIO(printed((72, 500, SENTENCE)))).pages[0].rotate(90))
    out = BytesIO()
    writer.write(out)

    [box] = render(out.getvalue(), 1, SENTENCE, [(0, len(SENTENCE))]).boxes

    left, top, right, bottom = around(72, 500, SENTENCE.rstrip("."))
    assert close(box, (1 - bottom, left, 1 - top, right))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["chromium.pdf", "libreoffice.pdf"])
def test_every_letter_of_every_sentence_is_found_in_files_of_other_programs(name: str) -> None:
    from pypdfium2 import PdfDocument

    data = (FILES / name).read_bytes()
    pages = pdf.read(data)
    with PdfDocument(data) as document:
        for page in pages[:2]:
            layer = document[page.place.number - 1].get_textpage().get_text_range()
            for span in sentences(page.text):
                there = "".join(layer[at:to] for at, to in match(page.text, [span], layer))
                assert letters(there) == letters(page.text[slice(*span)])


def letters(text: str) -> str:
    return "".join(filter(str.isalnum, text.replace("ﬁ", "fi").replace("ﬂ", "fl")))


def test_a_page_that_is_a_picture_is_shown_without_marks() -> None:
    found = draw(FILES / "mixed.pdf", 2, "The night watch locks the northern gate.", [(0, 40)])

    assert found.picture.startswith(b"\x89PNG")
    assert (found.boxes, found.written) == ((), False)


def test_the_process_says_what_it_would_say_here(tmp_path: Path) -> None:
    path = tmp_path / "brücke.pdf"
    path.write_bytes(printed((72, 500, SENTENCE)))

    assert draw(path, 1, SENTENCE, [(4, 20)]) == render(path.read_bytes(), 1, SENTENCE, [(4, 20)])


@pytest.mark.parametrize("data", [b"", b"%PDF-1.7 nothing", printed((72, 500, SENTENCE))[:300]])
def test_a_damaged_file_is_named_so(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "damaged.pdf"
    path.write_bytes(data)

    with pytest.raises(UnreadableFile, match="cannot be drawn"):
        draw(path, 1, SENTENCE, [(0, 5)])


def test_neither_a_page_that_is_not_there_nor_a_slow_one_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "one.pdf"
    path.write_bytes(printed((72, 500, SENTENCE)))

    with pytest.raises(UnreadableFile):
        draw(path, 2, SENTENCE, [(0, 5)])
    with pytest.raises(UnreadableFile):
        draw(path, 1, SENTENCE, [(0, 5)], Limits(seconds=0))


@pytest.mark.parametrize(
    "head",
    [b"[[[0, 0, 2, 1]], true]", b"[[[0, 1, 1, 0]], true]", b'[[["0", 0, 1, 1]], true]', b"[[[NaN, 0, 1, 1]], 1]"],
)
def test_a_process_that_was_taken_over_can_say_nothing_but_boxes_on_the_page(head: bytes) -> None:
    with pytest.raises((ValueError, TypeError)):
        receive(BytesIO(head + b"\n\x89PNG"))


WORD = st.text("abcdefghijklmnopqrstuvwxyzäß", min_size=4, max_size=9)


@given(st.lists(WORD, min_size=4, max_size=40, unique=True), st.data())
def test_what_printing_did_to_a_text_hides_no_word(words: list[str], data: st.DataObject) -> None:
    first = data.draw(st.integers(0, len(words) - 1))
    last = data.draw(st.integers(first, len(words) - 1))
    broken = data.draw(st.sets(st.integers(0, len(words) - 1)))
    text = " ".join(words)
    start = len(" ".join(["", *words[:first]])) if first else 0
    end = start + len(" ".join(words[first : last + 1]))
    lines = "\n".join(f"{word[:2]}-\n{word[2:]}" if at in broken else word for at, word in enumerate(words))
    layer = f"0123 456\n{lines}\n789"

    [(at, to)] = match(text, [(start, end)], layer)

    assert text[start:end] == " ".join(words[first : last + 1])
    assert letters(layer[at:to]) == "".join(words[first : last + 1])


def test_columns_in_another_order_leave_a_span_to_be_found() -> None:
    left = "The tide turns late in winter and the ferry waits for it before it leaves the harbour."
    right = "Apples and pears are sold in the market hall on Mondays, plums and cherries on Fridays."
    span = "The tide turns late in winter"

    found = match(f"{left}\n{right}", [(0, len(span))], f"{right}\n{left}")

    assert list(found) == [(len(right) + 1, len(right) + 1 + len(span))]


HEAD = "Rules of the Harbour, page 7 of 12"


def test_a_line_that_only_print_has_is_not_marked_where_it_parts_a_sentence() -> None:
    text = "Boats wait.\nThe drawbridge opens at seven, and it closes at ten in the evening."
    layer = text.replace(", and it", f",\n{HEAD}\nand it")

    assert [layer[at:to] for at, to in match(text, [(12, len(text))], layer)] == [
        "The drawbridge opens at seven",
        "and it closes at ten in the evening",
    ]


def test_a_head_that_reads_like_the_cited_line_is_not_marked() -> None:
    [(at, _)] = match("Intro.\nOpening hours\nAt seven.", [(7, 20)], "Opening hours\nIntro.\nOpening hours\nAt seven.")

    assert at == len("Opening hours\nIntro.\n")


def test_words_that_are_not_on_the_page_are_not_looked_for_in_others() -> None:
    assert list(match("Quite other words, for sure.", [(0, 28)], "The harbour is open in winter, for example.")) == []
