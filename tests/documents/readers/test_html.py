"""HTML: what is shown and where it stands, what is not, and pages that would take a parser for ever."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.documents.passages import Page, Place
from app.documents.readers import html
from app.errors import UnreadableFile

FILES = Path(__file__).with_name("files")
TAGS = "p div b h1 h2 table tr td th ul ol li pre br span a template style dt caption select title body html".split()
PIECES = st.lists(
    st.sampled_from([f"<{slash}{tag}>" for tag in TAGS for slash in ("", "/")] + ["<!--", "-->", "&#12;", "word"])
    | st.text(max_size=5),
    max_size=30,
)


def pages(body: str) -> list[Page]:
    return html.read(body.encode())


def text(body: str) -> str:
    return "\n\n".join(page.text for page in pages(body))


def section(found: list[Page], sentence: str) -> Place:
    (page,) = (page for page in found if sentence in page.text)
    return page.place


def test_a_page_that_libreoffice_wrote_is_read_by_sections() -> None:
    found = html.read((FILES / "libreoffice.html").read_bytes())
    assert section(found, "Four ferries a day call at the northern quay.") == Place("heading", "Traffic", 2)
    assert section(found, "| Year | Ships |\n| 1987 | 412 |").label == "Traffic"
    assert section(found, "- Two pilots\n- One harbour master").label == "Staff"
    assert html.title(found) == "The harbour report"


def test_a_page_that_chromium_saved_is_read_as_it_was_shown() -> None:
    found = html.read((FILES / "chromium.html").read_bytes())
    shown = "\n".join(page.text for page in found)
    assert section(found, "The reading room was added by a script.").label == "Opening hours & fees"
    assert section(found, "1. Go to the desk.\n2. Show your card:\n  - the green one").label == "How to pay"
    assert "```\ndef fee(days):\n    return 0.5 if days < 8 else 2.0\n```" in shown
    assert not any(word in shown for word in ("Hidden", "Not shown", "switch on", "addEventListener", "color:red"))


def test_the_title_stands_once_above_the_first_section() -> None:
    found = pages("<title>Fees - Library</title><h1>Fees</h1><p>Two euros.</p><h2>Cards</h2>Green.")
    assert [page.text for page in found] == ["Fees - Library\n\nFees\n\nTwo euros.", "Cards\n\nGreen."]
    assert [page.place for page in found] == [Place("heading", "Fees", 1), Place("heading", "Cards", 2)]
    assert html.title(found) == "Fees - Library"
    assert html.title(pages("<p>Menu</p><h1>Fees</h1><p>Two.</p>")) == "Fees"
    assert html.title(pages("<p>Two euros.</p>")) is None
    assert text("<title>Fees</title><h1>Fees</h1><p>Two.</p>") == "Fees\n\nTwo."


def test_words_are_parted_by_blocks_and_not_by_marks() -> None:
    assert text("<p>un<b>believ</b>able<!-- x --> soft&shy;ness&nbsp;here</p><div>next<br>line</div>") == (
        "unbelievable softness here\n\nnext\nline"
    )


def test_the_caption_of_a_table_stands_above_it_and_blocks_part_words_within_cells() -> None:
    table = "<table><caption>All <b>fees</b></caption><tr><th>Book<th>Fee<tr><td>a<p>b</p>c<td>1<br>2</table>"
    assert text(f"<p>See:</p>{table}") == "See:\n\nAll fees\n\n| Book | Fee |\n| a b c | 1 2 |"


def test_a_long_table_repeats_its_header() -> None:
    rows = "".join(f"<tr><td>name{n}<td>several words in a cell" for n in range(40))
    lines = text(f"<table><tr><th>Name<th>Words{rows}</table>").split("\n")
    assert lines.count("| Name | Words |") == 3
    assert lines[-1] == "| name39 | several words in a cell |"


def test_a_table_is_cut_into_pages_at_the_place_of_its_section() -> None:
    rows = "".join(f"<tr><td>name{n}<td>several words in a cell" for n in range(40))
    found = pages(f"<h1>Names</h1><p>All:</p><table><tr><th>Name<th>Words{rows}</table><p>After.</p><h1>Next</h1>")
    assert [page.place for page in found] == [Place("heading", "Names", 1)] * 5 + [Place("heading", "Next", 2)]
    assert [page.text.split("\n")[0] for page in found] == ["Names", *["| Name | Words |"] * 3, "After.", "Next"]


def test_what_a_page_says_with_signs_of_its_language_is_text() -> None:
    assert text('<p title="a > b" data-x=\'"<p>\'>1 &lt; 2 &amp;amp; <b class=">">3</b><!-- <p> --> &gt; 2</p>') == (
        "1 < 2 &amp; 3 > 2"
    )


def test_what_is_hidden_within_what_is_hidden_is_left_out_once() -> None:
    hidden = "<button hidden><svg><svg></svg></svg><object><object hidden>x</object></object></button>"
    assert (
        text(f'{hidden}<div style="COLOR: red; Display: None">y<div style="display:none">z</div></div>Shown') == "Shown"
    )


@pytest.mark.parametrize(
    ("drawing", "expected"),
    [
        ("<text x=1>Head: Aas</text><text y=9>Dyer: Loe</text>", "Head: Aas\nDyer: Loe"),
        ("<g><rect/><text>Man<tspan class=b>ager</tspan></text></g>", "Manager"),
        ("<text><tspan x=0 dy=1em>Sigrid</tspan><tspan x=0 dy=2em>Aas</tspan></text>", "Sigrid\nAas"),
        ("<title>tip</title><desc>d</desc><defs><text>no</text></defs><a><text>Yes</text></a>", "Yes"),
        ("<switch><foreignObject><div>Seen</div></foreignObject><text>Not shown</text></switch>", "Seen"),
    ],
)
def test_the_texts_of_a_drawing_are_read_in_order(drawing: str, expected: str) -> None:
    assert text(f"<p>Chart:</p><svg width=300>{drawing}</svg><p>End.</p>") == f"Chart:\n\n{expected}\n\nEnd."


def test_tables_that_arrange_a_page_are_read_as_the_page() -> None:
    found = pages("<table><tr><td><h1>News</h1><p>Rain.<td><table><tr><td>a<td>b</table></table>")
    assert found[0].text == "News\n\nRain.\n\n| a | b |"


@pytest.mark.parametrize(
    ("head", "encoding"),
    [
        ("<meta charset=windows-1251>", "cp1251"),
        ('<meta http-equiv="Content-Type" content="text/html; charset=windows-1251">', "utf-8"),
        ('<?xml version="1.0" encoding="windows-1251"?><script src="a.js"/>', "cp1251"),
        ("<meta charset=no-such-thing>", "utf-16"),
    ],
)
def test_the_encoding_is_what_the_bytes_are_else_what_the_page_says(head: str, encoding: str) -> None:
    russian = "Библиотека открыта каждый день."
    assert html.read(f"{head}<p>{russian}".encode(encoding))[0].text == russian


def test_a_page_without_text_is_named() -> None:
    for body in (
        "<div id=root></div><script>run()</script>", "<title>App</title><div id=root></div>", "<p hidden>x",
        "<body style='visibility: hidden'><p>x", "<html hidden><head><script></script></head><body hidden>x",
    ):  # fmt: skip
        with pytest.raises(UnreadableFile, match="shows no text"):
            pages(body)


@pytest.mark.slow
@pytest.mark.parametrize(
    "body",
    [
        "<table><tr><td>" * 4_000 + "x",
        "<p title='" + "x " * 1_000_000 + "'>x",
        "<ul><li>" * 4_000 + "<li>x" * 50_000,
        "<table><tr><th>" + "head " * 10_000 + "<th>b" + "<tr><td>one<td>two" * 20_000,
    ],
    ids=["tables", "attribute", "lists", "header"],
)
def test_what_is_built_to_be_slow_is_read_and_does_not_grow(body: str) -> None:
    assert len(text(body)) < 4 * len(body)


@given(PIECES)
def test_no_page_raises_anything_but_unreadable_file(pieces: list[str]) -> None:
    try:
        found = html.read("".join(pieces).encode("utf-8", "replace"))
    except UnreadableFile:
        return
    assert all("\f" not in page.text and "\0" not in page.text and page.text.strip() for page in found)


@pytest.mark.parametrize("style", ["font-size:0", "FONT-SIZE: 0px", "color:red;opacity:0", "opacity: 0;color:red"])
def test_words_without_size_or_colour_are_not_read(style: str) -> None:
    read = html.read(
        f"<p>Seen by all.</p><p style='{style}'>Never seen.</p><p style='font-size:0.9em'>Small.</p>".encode()
    )

    assert [page.text.split() for page in read] == [["Seen", "by", "all.", "Small."]]


def test_the_text_of_a_cell_that_reaches_over_rows_is_repeated_in_each() -> None:
    assert text(
        "<table><tr><th>Day<th>Shift<th>Team<tr><td rowspan=2>Monday<td>early<td>A<tr><td>late<td>B"
        "<tr><td colspan='2'>Holiday<td>none<tr><td rowspan=2 colspan=2>Summer<td>C<tr><td>D</table>"
    ) == (
        "| Day | Shift | Team |\n| Monday | early | A |\n| Monday | late | B |\n| Holiday |  | none |\n"
        "| Summer |  | C |\n| Summer |  | D |"
    )
