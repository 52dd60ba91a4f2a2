"""Workbooks: numbers as their formats say, formulas without results, comments, and names with backslashes."""

import zipfile
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.documents.readers import SUFFIXES, parse, xlsx
from app.documents.readers.ooxml import shown
from app.documents.readers.xlsx import BUILT_IN
from tests.support.office import SPACES, packed, related

SHEET = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'


@pytest.mark.parametrize(
    ("value", "code", "text"),
    [
        (0.30000000000000004, "General", "0.3"),
        (0.30000000000000004, "", "0.3"),
        (1234567, "#,##0", "1234567"),
        (19.9, "0.00", "19.90"),
        (19.9, "0.##", "19.9"),
        (19.9, "#,##0.00\\ [$€-407]", "19.90 €"),
        (19.9, "[$$-409]#,##0.00", "$19.90"),
        (7, "\\£0", "£7"),
        (-5, '#,##0" €";[RED]-#,##0" €"', "-5 €"),
        (-5.25, "0.00_);(0.00)", "-5.25"),
        (1234.5, '_-* #,##0.00\\ "€"_-;\\-* #,##0.00\\ "€"_-', "1234.50 €"),
        (0.125, "0.0%", "12.5%"),
        (0.25, BUILT_IN[9], "25%"),
        (25, '0"%"', "25%"),
        (12.5, '"No. "0.0" kg"', "No. 12.5 kg"),
        (0.5, "# ?/?", "0.5"),
        (12345.678, "0.00E+00", "12345.678"),
        (1e21, "0", "1e+21"),
        (2024, "@", "2024"),
    ],
)
def test_a_number_is_shown_as_its_format_says(value: float, code: str, text: str) -> None:
    assert shown(value, code) == text


@given(st.floats(allow_nan=False, allow_infinity=False), st.text('0#?.,;%dmyhsE+-[]$€"\\_* /@', max_size=12))
def test_any_number_is_shown_in_any_format(number: float, code: str) -> None:
    assert isinstance(shown(number, code), str)


def workbook(cells: str, settings: str = "", people: str = "", **parts: str) -> bytes:
    """A workbook whose only sheet refers to further parts."""
    files = {
        "xl/workbook.xml": f'<workbook {SHEET} {SPACES}><sheets><sheet name="S" sheetId="1" r:id="worksheet1"/>'
        f"</sheets>{settings}</workbook>",
        "xl/worksheet1.xml": f"<worksheet {SHEET}><sheetData>{cells}</sheetData></worksheet>",
        "xl/_rels/worksheet1.xml.rels": related({name: f"/xl/other/{name}.xml" for name in parts}),
        "xl/person.xml": f"<personList>{people}</personList>",
        **{f"xl/other/{name}.xml": f"<{name}>{text}</{name}>" for name, text in parts.items()},
    }
    return packed("xl/workbook.xml", files)


def row(number: int, *cells: str) -> str:
    return f'<row r="{number}">{"".join(cells)}</row>'


def words(place: str, text: str) -> str:
    return f'<c r="{place}" t="inlineStr"><is><t>{text}</t></is></c>'


def shown_in(data: bytes) -> str:
    return "\n".join(page.text for page in xlsx.read(data))


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ('<c r="B1"><f>C1*2</f></c>', "=C1*2"),
        ('<c r="B1"><f>C1*2</f><v></v></c>', "=C1*2"),
        ('<c s="0" r="B1">\n<f>C1 &lt;&gt; 2</f>\n<v/>\n</c>', "=C1 <> 2"),
        ('<c r="B1"><f t="array" ref="B1:B1">_xlfn._xlws.SORT(C1)</f><v></v></c>', "=SORT(C1)"),
        ('<c r="B1" t="str"><f>C1&amp;"x"</f></c>', '=C1&"x"'),
        ('<c r="B1" t="str"><f>IF(C1,"","x")</f><v></v></c>', ""),
        ('<c r="B1"><f>C1*2</f><v>0</v></c>', "0"),
        ('<c r="B1"><f>C1*2</f><v>8</v></c>', "8"),
    ],
)
def test_a_formula_is_shown_if_no_result_is_stored(cell: str, text: str) -> None:
    result = shown_in(workbook(row(1, words("A1", "Total"), cell)))
    assert result == (f"| Total | {text} |" if text else "| Total |")


def test_a_zero_is_no_result_in_a_workbook_that_is_calculated_when_opened() -> None:
    cell = '<c r="B1"><f>C1*2</f><v>0</v></c>'
    settings = '<calcPr calcId="124519" fullCalcOnLoad="1"/>'
    assert shown_in(workbook(row(1, words("A1", "Total"), cell), settings)) == "| Total | =C1*2 |"


def test_a_formula_that_cells_share_is_shown_for_each() -> None:
    first = '<c r="C2"><f t="shared" ref="C2:D3" si="0">A2*$B$1&amp;"A2"+LOG10(B2)</f></c>'
    other = '<c r="D3"><f t="shared" si="0"/></c>'
    assert shown_in(workbook(row(1, words("A1", "Rate")) + row(2, first) + row(3, other))) == (
        '| Rate |\n|  | =A2*$B$1&"A2"+LOG10(B2) |\n|  |  | =B3*$B$1&"A2"+LOG10(C3) |'
    )


def note(place: str, text: str, author: int = 0) -> str:
    return f'<comment ref="{place}" authorId="{author}"><text><r><rPr/><t>{text}</t></r></text></comment>'


def test_a_comment_follows_the_text_of_its_cell() -> None:
    notes = note("A1", "Ida:\nUse Flange 42") + note("C3", "Ask.", 1)
    authors = "<authors><author>Ida</author><author></author></authors>"
    data = workbook(row(1, words("A1", "Flange 40")), comments=f"{authors}<commentList>{notes}</commentList>")
    assert shown_in(data) == "| Flange 40 [Comment by Ida: Use Flange 42] |\n|  | [Comment: Ask.] |"


def test_a_thread_of_comments_is_read_once() -> None:
    copy = "[Threaded comment] It is old. Learn more: https://go.microsoft.com/fwlink/?linkid=87 Comment: Why 12?"
    authors = "<authors><author>tc={1}</author></authors>"
    comments = f"{authors}<commentList>{note('A1', copy)}</commentList>"
    thread = "".join(
        f'<threadedComment ref="A1" personId="{person}"><text>{text}</text></threadedComment>'
        for person, text in (("7", "Why 12?"), ("8", "A dozen."))
    )
    people = '<person id="7" displayName="Ida"/><person id="8" displayName="Ola"/>'
    cells = row(1, words("A1", "12"))
    assert shown_in(workbook(cells, people=people, comments=comments, threadedComment=thread)) == (
        "| 12 [Comment by Ida: Why 12?] [Comment by Ola: A dozen.] |"
    )
    assert "| 12 [Comment by tc={1}: Why 12?] |" in shown_in(workbook(cells, comments=comments))


def test_titles_of_charts_and_text_boxes_are_shown_where_they_begin() -> None:
    title = "<title><tx><rich><p><r><t>Turnover</t></r></p></rich></tx></title>"
    box = "<txBody><p><r><t>Released</t></r><r><t> by Ida</t></r></p></txBody>"
    anchors = "".join(
        f"<anchor><from><col>{column}</col><row>{number}</row></from>{graphic}</anchor>"
        for column, number, graphic in ((2, 0, f"<chart>{title}</chart>"), (0, 4, box), (5, 5, ""))
    )
    assert shown_in(workbook(row(1, words("A1", "Part")), drawing=anchors)) == (
        "| Part | [Turnover] |\n| [Released by Ida] |"
    )


def test_parts_are_found_under_names_with_backslashes_and_in_other_cases() -> None:
    out = BytesIO()
    with zipfile.ZipFile(BytesIO(workbook(row(1, words("A1", "Desks"))))) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            new.writestr(name.replace("/", "\\").replace("work", "Work"), old.read(name))
    assert shown_in(out.getvalue()) == "| Desks |"


@pytest.mark.parametrize("suffix", [".xlsm", ".xltx", ".xltm"])
def test_workbooks_with_macros_and_templates_are_read(suffix: str) -> None:
    assert parse(suffix, workbook(row(1, words("A1", "Desks")))).pages[0].text == "| Desks |"


@pytest.mark.parametrize(
    ("plain", "others"),
    [
        (".docx", ".docm .dotx .dotm"),
        (".pptx", ".pptm .potx .potm .ppsx .ppsm"),
        (".xlsx", ".xlsm .xltx .xltm .xlsb"),
        (".odt", ".ott"),
        (".ods", ".ots"),
        (".odp", ".otp"),
    ],
)
def test_templates_and_files_with_macros_are_read_as_the_plain_ones(plain: str, others: str) -> None:
    assert {SUFFIXES[suffix] for suffix in others.split()} == {SUFFIXES[plain]}
