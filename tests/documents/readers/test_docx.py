"""Documents of Word: numbers that it counts, content controls, headers and footers, comments."""

import pytest

from app.documents.readers import docx
from tests.support.office import document, paragraph


def text(data: bytes) -> str:
    return "\n\n".join(page.text for page in docx.read(data))


def level(inner: int, pattern: str, form: str = "decimal", more: str = "", start: int = 1) -> str:
    return (
        f'<w:lvl w:ilvl="{inner}"><w:start w:val="{start}"/><w:numFmt w:val="{form}"/>{more}'
        f'<w:lvlText w:val="{pattern}"/></w:lvl>'
    )


def lists(*levels: str, more: str = "", override: str = "") -> str:
    """The lists 1 and 2, which are counted together; the second with an override."""
    return (
        f'<w:abstractNum w:abstractNumId="7">{"".join(levels)}</w:abstractNum>{more}'
        '<w:num w:numId="1"><w:abstractNumId w:val="7"/></w:num>'
        f'<w:num w:numId="2"><w:abstractNumId w:val="7"/>{override}</w:num>'
    )


def item(words: str, inner: int = 0, identity: int = 1, more: str = "") -> str:
    numbered = f'<w:numPr><w:ilvl w:val="{inner}"/><w:numId w:val="{identity}"/></w:numPr>'
    return paragraph(words, more + numbered)


CLAUSES = (level(0, "%1."), level(1, "%1.%2"), level(2, "(%3)", "lowerLetter"))


def test_clauses_are_numbered_as_word_shows_them() -> None:
    body = (
        item("Delivery", more='<w:outlineLvl w:val="0"/>')
        + item("Two days ahead.", 1)
        + item("Prices", more='<w:outlineLvl w:val="0"/>')
        + item("They hold.", 1)
        + item("By truck.", 2)
        + paragraph("Between.")
        + item("By ship.", 2)
        + item("Fuel is at cost.", 1)
        + item("At noon.", 2)
    )
    assert text(document(body, numbering=lists(*CLAUSES))) == (
        "# 1. Delivery\n\n  - 1.1 Two days ahead.\n\n# 2. Prices\n\n  - 2.1 They hold.\n    (a) By truck.\n\n"
        "Between.\n\n    (b) By ship.\n  - 2.2 Fuel is at cost.\n    (a) At noon."
    )


@pytest.mark.parametrize(
    ("form", "pattern", "numbers"),
    [
        ("upperRoman", "%1.", ["- I.", "- II.", "- III.", "- IV."]),
        ("lowerRoman", "%1)", ["- i)", "- ii)", "- iii)", "- iv)"]),
        ("upperLetter", "Annex %1", ["- Annex A", "- Annex B", "- Annex C", "- Annex D"]),
        ("decimalZero", "§ %1", ["- § 01", "- § 02", "- § 03", "- § 04"]),
        ("chineseCounting", "%1.", ["1.", "2.", "3.", "4."]),
        ("bullet", "\uf0b7", ["-", "-", "-", "-"]),
        ("none", "", ["", "", "", ""]),
    ],
)
def test_numbers_are_written_in_their_form(form: str, pattern: str, numbers: list[str]) -> None:
    data = document("".join(item("x") for _ in numbers), numbering=lists(level(0, pattern, form)))
    assert text(data).split() == " ".join(f"{number} x" for number in numbers).split()


@pytest.mark.parametrize(("number", "letters"), [(26, "z"), (27, "aa"), (54, "bbb")])
def test_letters_are_doubled_behind_z(number: int, letters: str) -> None:
    data = document(item("x"), numbering=lists(level(0, "%1)", "lowerLetter", start=number)))
    assert text(data).removeprefix("- ") == f"{letters}) x"


def test_lists_of_one_definition_go_on_unless_they_start_again() -> None:
    body = item("x") + item("x", identity=2) + item("x", identity=2) + item("x")
    again = '<w:lvlOverride w:ilvl="0"><w:startOverride w:val="5"/></w:lvlOverride>'
    assert text(document(body, numbering=lists(*CLAUSES))) == "1. x\n2. x\n3. x\n4. x"
    assert text(document(body, numbering=lists(*CLAUSES, override=again))) == "1. x\n5. x\n6. x\n7. x"


def test_a_level_restarts_only_where_it_should() -> None:
    body = item("a") + item("b", 1) + item("c") + item("d", 1)
    never = level(1, "%2)", more='<w:lvlRestart w:val="0"/>')
    assert text(document(body, numbering=lists(level(0, "%1)"), never))) == "1) a\n  1) b\n2) c\n  2) d"


def test_legal_numbers_are_arabic_below_roman_ones() -> None:
    legal = lists(level(0, "Article %1.", "upperRoman"), level(1, "%1.%2", more="<w:isLgl/>"))
    assert text(document(item("x") + item("y", 1), numbering=legal)) == "- Article I. x\n  - 1.1 y"


def test_a_style_numbers_its_paragraphs_and_those_of_styles_based_on_it() -> None:
    styles = (
        '<w:style w:styleId="H1"><w:pPr><w:outlineLvl w:val="0"/><w:numPr><w:numId w:val="1"/></w:numPr></w:pPr>'
        '</w:style><w:style w:styleId="H2"><w:basedOn w:val="H1"/><w:pPr><w:outlineLvl w:val="1"/>'
        '<w:numPr><w:ilvl w:val="1"/></w:numPr></w:pPr></w:style>'
        '<w:style w:styleId="Own"><w:basedOn w:val="H2"/></w:style>'
    )
    linked = lists(level(0, "%1", more='<w:pStyle w:val="H1"/>'), level(1, "%1.%2", more='<w:pStyle w:val="H2"/>'))
    body = "".join(paragraph("x", f'<w:pStyle w:val="{style}"/>') for style in ("H1", "H2", "Own", "H1"))
    body += paragraph("y", '<w:pStyle w:val="Own"/><w:numPr><w:numId w:val="0"/></w:numPr>')
    assert text(document(body, styles=styles, numbering=linked)) == "# 1 x\n\n## 1.1 x\n\n## 1.2 x\n\n# 2 x\n\n## y"


def test_a_definition_may_be_that_of_a_style() -> None:
    styles = '<w:style w:styleId="Legal"><w:pPr><w:numPr><w:numId w:val="3"/></w:numPr></w:pPr></w:style>'
    numbering = (
        '<w:abstractNum w:abstractNumId="1"><w:numStyleLink w:val="Legal"/></w:abstractNum>'
        f'<w:abstractNum w:abstractNumId="2">{level(0, "Rule %1:")}</w:abstractNum>'
        '<w:num w:numId="1"><w:abstractNumId w:val="1"/></w:num><w:num w:numId="3"><w:abstractNumId w:val="2"/></w:num>'
    )
    assert text(document(item("x"), styles=styles, numbering=numbering)) == "- Rule 1: x"


def test_numbers_stand_alone_in_cells_and_deleted_paragraphs_are_not_counted() -> None:
    gone = item("", more="<w:rPr><w:del/></w:rPr>")
    rows = "".join(
        f"<w:tr><w:tc>{item('')}</w:tc><w:tc>{gone}{paragraph(word)}</w:tc></w:tr>" for word in ("one", "two")
    )
    data = document(f"<w:tbl>{rows}</w:tbl>", numbering=lists(*CLAUSES))
    assert text(data) == "| 1. | one |\n| 2. | two |"


def control(inner: str) -> str:
    return f"<w:sdt><w:sdtPr><w:t>no</w:t></w:sdtPr><w:sdtContent>{inner}</w:sdtContent></w:sdt>"


def test_rows_and_cells_in_content_controls_keep_their_order() -> None:
    def cell(word: str) -> str:
        return f"<w:tc>{paragraph(word)}</w:tc>"

    first = f"<w:tr>{cell('Borrower')}{control(cell('Moe'))}{cell('Room')}{control(control(cell('B12')))}</w:tr>"
    rows = [f"<w:tr>{cell(word)}{cell('7')}</w:tr>" for word in ("Gasket", "Impeller")]
    inner = f"<w:customXml>{control(rows[0])}</w:customXml>{control(rows[1])}"
    last = f"<w:tr>{cell('Total')}{cell('14')}</w:tr>"
    body = (
        control(f"<w:tbl>{first}{control(inner)}{last}</w:tbl>")
        + f"<w:p>{control('<w:r><w:t>Signed</w:t></w:r>')}</w:p>"
    )
    assert text(document(body)) == (
        "| Borrower | Moe | Room | B12 |\n| Gasket | 7 |\n| Impeller | 7 |\n| Total | 14 |\n\nSigned"
    )


def test_headers_and_footers_are_read_once_and_without_page_numbers() -> None:
    page = '<w:r><w:instrText> PAGE </w:instrText></w:r><w:r><w:t>3</w:t></w:r><w:fldSimple w:instr="NUMPAGES"/>'
    references = "".join(f'<w:headerReference r:id="header{number}"/>' for number in (1, 2))
    ends = f'<w:sectPr>{references}<w:footerReference r:id="footer1"/></w:sectPr>'
    data = document(
        paragraph("Chapter", f'<w:outlineLvl w:val="0"/>{ends}') + paragraph("Grease it.") + ends,
        header1=paragraph("WI-0417, revision F", '<w:outlineLvl w:val="0"/>'),
        header2=paragraph("WI-0417, revision F"),
        footer1=f"<w:p><w:r><w:t>Page</w:t></w:r>{page}</w:p>{paragraph('Supersedes WI-0399')}"
        f"<w:p><w:r><w:t>Owner Marit Dahle</w:t><w:ptab/><w:t>page</w:t></w:r>{page}</w:p>",
    )
    assert text(data) == (
        "WI-0417, revision F\n\n# Chapter\n\nGrease it.\n\nSupersedes WI-0399\n\nOwner Marit Dahle page3"
    )


def test_comments_follow_their_paragraph_with_their_author() -> None:
    marked = '<w:p><w:r><w:t>Frost is excluded.</w:t><w:commentReference w:id="4"/></w:r></w:p>'
    comments = f'<w:comment w:id="4" w:author="Ida">{paragraph("Ask Legal")}{paragraph("by May.")}</w:comment>'
    data = document(marked + paragraph("Next."), comments=comments)
    assert text(data) == "Frost is excluded.\n\nComment by Ida: Ask Legal\n\nby May.\n\nNext."


def test_what_is_chosen_in_the_form_fields_of_old_word_is_shown() -> None:
    fields = {
        "Cargo": '<w:ddList><w:result w:val="1"/><w:listEntry w:val="Timber"/><w:listEntry w:val="Salt"/></w:ddList>',
        "Flag": '<w:ddList><w:listEntry w:val="Malta"/></w:ddList>',
        "Insured": '<w:checkBox><w:default w:val="0"/><w:checked/></w:checkBox>',
        "Paid": '<w:checkBox><w:default w:val="0"/></w:checkBox>',
    }
    body = "".join(
        f"<w:p><w:r><w:t>{name}: </w:t><w:fldChar><w:ffData>{field}</w:ffData></w:fldChar></w:r></w:p>"
        for name, field in fields.items()
    )
    assert text(document(body)).split("\n\n") == ["Cargo: Salt", "Flag: Malta", "Insured: \u2612", "Paid: \u2610"]
