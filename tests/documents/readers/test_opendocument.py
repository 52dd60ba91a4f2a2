"""OpenDocument files that LibreOffice made: what is found where, and files that are locked or meant to do harm."""

import zipfile
from io import BytesIO
from pathlib import Path

import pytest

from app.documents.passages import Page, Place
from app.documents.readers import opendocument, parse, read
from app.errors import UnreadableFile

FILES = Path(__file__).with_name("files")
OFFICE = 'xmlns:office="o" xmlns:table="t" xmlns:text="x" xmlns:draw="d"'


def pages(name: str) -> list[Page]:
    return read(FILES / name, 10_000_000).pages


def made(body: str, manifest: str = "<manifest/>", prologue: str = "") -> bytes:
    out = BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("META-INF/manifest.xml", manifest)
        content = f"{prologue}<office:document-content {OFFICE}>{body}</office:document-content>"
        archive.writestr("content.xml", content)
    return out.getvalue()


def with_part(data: bytes, name: str, content: str) -> bytes:
    out = BytesIO(data)
    with zipfile.ZipFile(out, "a") as archive:
        archive.writestr(name, content)
    return out.getvalue()


def text(inner: str) -> bytes:
    return made(f"<office:body><office:text>{inner}</office:text></office:body>")


def sheet(rows: str) -> bytes:
    table = f'<table:table table:name="S">{rows}</table:table>'
    return made(f"<office:body><office:spreadsheet>{table}</office:spreadsheet></office:body>")


@pytest.mark.parametrize(
    ("name", "sentence", "place"),
    [
        ("handbook.odt", "on Thursdays until eight.", Place("heading", "Opening hours", 3)),
        ("handbook.odt", "Der Schlüssel liegt im grünen Schrank", Place("heading", "Übergabe", 5)),
        ("harbour.odp", "Notes: The Cormorant is being repaired until May.", Place("slide", "slide 2", 2)),
        ("harbour.odp", "- Replace der große Kran", Place("slide", "slide 4", 4)),
        ("market.ods", "| Lemons 3 | 23.03.2025 | 18.60 € | 62.5% | 37.20 € |", Place("sheet", "Prices!A49:F57", 1)),
        ("market.ods", "| North & South | 0.3 | TRUE", Place("sheet", "'Other things'!A2:E3", 2)),
        ("market.ods", "The spare key is with the harbour master.", Place("sheet", "Hidden!A2:B2", 3)),
    ],
)
def test_a_known_sentence_is_found_where_it_stands(name: str, sentence: str, place: Place) -> None:
    (found,) = [page for page in pages(name) if sentence in page.text]
    assert found.place == place


def test_titles_are_the_first_heading_and_the_first_slide() -> None:
    assert read(FILES / "handbook.odt", 10_000_000).title == "Handbook of the harbour library"
    assert read(FILES / "harbour.odp", 10_000_000).title == "The harbour in 2026"


def test_notes_follow_their_paragraph_and_merged_cells_stand_in_each_row() -> None:
    (fees,) = [page.text for page in pages("handbook.odt") if "40 cents" in page.text]
    assert "A late book costs 40 cents per day, and never more than it was bought for.\n\nChildren pay nothing." in fees
    assert "| Medium | Weeks | Fee per day |\n| Book | 4 | 0.40 € |\n| Book | 8 (staff) | 0.20 € |" in fees


def test_changes_are_read_as_accepted_and_text_boxes_after_their_paragraph() -> None:
    (page,) = pages("changes.odt")
    assert page.text == "The crane lifts twelve tons.\n\nBeside it a ladder leads up.\n\nNobody stands under the load."


def test_shapes_are_read_line_by_line_and_blank_slides_keep_the_numbers() -> None:
    first, second, third, _ = pages("harbour.odp")
    assert first.text == (
        "# The harbour in 2026\n\nFirst, on the left.\n\nSecond, on the right.\n\nThird: what follows is a plan.\n\n"
        "Notes: Welcome the mayor before the first slide."
    )
    assert "| Boat | Knots | Berth |\n| Seagull | 11 | A3 |\n| Cormorant | 9 | B12 |" in second.text
    assert third == Page("", Place("slide", "slide 3", 3))


def test_spaces_line_breaks_lists_and_markup_stay_apart() -> None:
    inner = (
        "<text:p>a<text:s/>&lt;b&gt;<text:line-break/>c</text:p><text:list><text:list-item><text:p>one</text:p>"
        "<text:list><text:list-item><text:p>two</text:p></text:list-item></text:list></text:list-item></text:list>"
    )
    (page,) = opendocument.read_text(text(inner))
    assert page.text == "a <b>\nc\n\n- one\n  - two"


def test_cells_that_are_stored_once_stand_in_each_place() -> None:
    cell = '<table:table-cell table:number-columns-repeated="2"><text:p>x</text:p></table:table-cell>'
    (page,) = opendocument.read_sheets(
        sheet(
            '<table:table-row table:number-rows-repeated="3"><table:table-cell/></table:table-row>'
            f'<table:table-row table:number-rows-repeated="2"><table:table-cell/>{cell}</table:table-row>'
        )
    )
    assert page == Page("| x | x |\n| x | x |", Place("sheet", "S!B5:C5", 1))


def test_a_file_with_a_password_is_named() -> None:
    with pytest.raises(UnreadableFile, match=r"^it is protected with a password; save it without one$"):
        opendocument.read_text(made("garbage", "<manifest><file-entry><encryption-data/></file-entry></manifest>"))


def test_a_file_under_the_name_of_another_kind_is_named() -> None:
    with pytest.raises(UnreadableFile, match="a document of another kind"):
        opendocument.read_slides((FILES / "market.ods").read_bytes())


@pytest.mark.parametrize("body", ["", "<text:p/>", "<text:p> </text:p>", "<table:table/>"])
def test_a_file_without_text_is_named(body: str) -> None:
    with pytest.raises(UnreadableFile, match="it holds no text"):
        opendocument.read_text(text(body))


def test_a_few_cells_that_stand_for_millions_are_given_up() -> None:
    cell = '<table:table-cell table:number-columns-repeated="16384"><text:p>x</text:p></table:table-cell>'
    with pytest.raises(UnreadableFile, match="repeat too much"):
        opendocument.read_sheets(
            sheet(f'<table:table-row table:number-rows-repeated="1048576">{cell}</table:table-row>')
        )


def test_entities_that_grow_are_given_up() -> None:
    entities = "".join(f"<!ENTITY e{n} '{f'&e{n - 1};' * 10 if n else 'harm'}'>" for n in range(10))
    with pytest.raises(UnreadableFile, match="damaged"):
        parse(".odt", made("<text:p>&e9;</text:p>", prologue=f"<!DOCTYPE a [{entities}]>"))


def note(words: str) -> str:
    author = '<dc:creator xmlns:dc="c">Ida</dc:creator>'
    return f"<office:annotation>{author}<text:p>{words}</text:p></office:annotation>"


def test_comments_are_read_with_their_authors() -> None:
    (page,) = opendocument.read_text(text(f"<text:p>Frost is {note('Ask Legal.')}excluded.</text:p>"))
    assert page.text == "Frost is excluded.\n\nComment by Ida: Ask Legal."
    cell = f"<table:table-cell>{note('Use 42.')}<text:p>Flange 40</text:p></table:table-cell>"
    (page,) = opendocument.read_sheets(sheet(f"<table:table-row>{cell}</table:table-row>"))
    assert page.text == "| Flange 40 [Comment by Ida: Use 42.] |"


def test_a_formula_is_shown_if_no_result_is_stored() -> None:
    cells = (
        '<table:table-cell table:formula="of:=SUM([.B2:.C3])*1.5"/>'
        '<table:table-cell table:formula="of:=IF([.B2];&quot;&quot;)" office:value-type="string"/>'
    )
    (page,) = opendocument.read_sheets(sheet(f"<table:table-row>{cells}</table:table-row>"))
    assert page.text == "| =SUM(B2:C3)*1.5 |"


def test_headers_and_footers_are_read_once_and_without_page_numbers() -> None:
    header = '<style:header><text:h text:outline-level="1">WI-0417</text:h></style:header>'
    number = "<text:p>Page <text:page-number>1</text:page-number></text:p>"
    footer = f"<style:footer>{number}<text:p>Owner</text:p></style:footer>"
    pages = f'<style:master-page xmlns:style="s">{header}{footer}</style:master-page>' * 2
    out = BytesIO(text("<text:p>Grease it.</text:p>"))
    with zipfile.ZipFile(out, "a") as archive:
        archive.writestr("styles.xml", f"<x {OFFICE}>{pages}</x>")
    (page,) = opendocument.read_text(out.getvalue())
    assert page.text == "WI-0417\n\nGrease it.\n\nOwner"


LISTS = (
    '<text:list-style s:name="L"><text:list-level-style-number text:level="1" s:num-format="1" s:num-suffix="."/>'
    '<text:list-level-style-number text:level="2" s:num-format="a" text:display-levels="2" s:num-prefix="("'
    ' s:num-suffix=")"/></text:list-style><text:list-style s:name="B"><text:list-level-style-bullet text:level="1"/>'
    '<text:list-level-style-number text:level="2" s:num-format="I" text:start-value="4"/></text:list-style>'
)


def listed(*items: str, attributes: str = "") -> str:
    inner = "".join(f"<text:list-item>{item}</text:list-item>" for item in items)
    return f"<text:list {attributes}>{inner}</text:list>"


def numbered(inner: str) -> list[str]:
    body = f"<o:styles xmlns:s='s'>{LISTS}</o:styles><office:body><office:text>{inner}</office:text></office:body>"
    (page,) = opendocument.read_text(made(body.replace("o:styles", "office:automatic-styles")))
    return page.text.replace("\n\n", "\n").split("\n")


def test_items_are_numbered_as_their_list_says() -> None:
    one, two, three = (f"<text:p>{word}</text:p>" for word in ("one", "two", "three"))
    inner = listed(one, two + listed(one, two), three, attributes='text:style-name="L" xml:id="l"')
    assert numbered(inner) == ["1. one", "2. two", "  - (2.a) one", "  - (2.b) two", "3. three"]
    again = listed(one, attributes='text:style-name="L"')
    assert numbered(inner + one + again)[-2:] == ["one", "1. one"]
    assert numbered(inner + one + again.replace("style-name", 'continue-list="l" text:style-name'))[-1] == "4. one"
    assert numbered(inner + again.replace("style-name", 'continue-numbering="true" text:style-name'))[-1] == "4. one"
    mixed = listed(one + listed(one, two), two + listed(three), attributes='text:style-name="B"')
    assert numbered(mixed) == ["- one", "  - IV one", "  - V two", "- two", "  - IV three"]


def test_headings_are_numbered_by_the_outline() -> None:
    levels = "".join(
        f'<text:outline-level-style text:level="{level}" style:num-format="1" text:display-levels="{level}"/>'
        for level in (1, 2)
    )
    styles = f'<x {OFFICE} xmlns:style="s"><text:outline-style style:name="Outline">{levels}</text:outline-style></x>'
    headings = [(1, "Aims"), (1, "Board"), (2, "Cash"), (2, "Rules")]
    inner = "".join(f'<text:h text:outline-level="{level}">{words}</text:h>' for level, words in headings)
    found = opendocument.read_text(with_part(text(inner), "styles.xml", styles))
    assert [page.text for page in found] == ["# 1 Aims", "# 2 Board\n\n## 2.1 Cash", "## 2.2 Rules"]


def test_charts_are_tables_and_in_sheets_their_titles() -> None:
    rows = "<table:table-row><table:table-cell><text:p>May</text:p></table:table-cell></table:table-row>"
    chart = f"<c:title><text:p>Rain</text:p></c:title><table:table>{rows}</table:table>"
    body = f"<office:body><office:chart><c:chart>{chart}</c:chart></office:chart></office:body>"
    content = f"<x {OFFICE} xmlns:c='c'>{body}</x>"
    frame = '<draw:frame><draw:object draw:href="./Object 1"/></draw:frame>'
    name = "Object 1/content.xml"
    (page,) = opendocument.read_text(with_part(text(f"<text:p>Before{frame}</text:p>"), name, content))
    assert page.text == "Before\n\nRain\n\n| May |"
    cells = f"<table:table-row><table:table-cell>{frame}</table:table-cell></table:table-row>"
    assert opendocument.read_sheets(with_part(sheet(cells), name, content))[0].text == "| Rain |"
