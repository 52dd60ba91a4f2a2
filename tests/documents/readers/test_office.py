"""Office files that LibreOffice made: what is found where, and files that are damaged, locked or meant to do harm."""

import itertools
import random
import re
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest

from app.documents.passages import Page, Place
from app.documents.readers import docx, parse, pptx, read, xlsx
from app.errors import UnreadableFile
from tests.support.office import SPACES, packed, related

FILES = Path(__file__).parent / "files"
MADE = ["handbook.docx", "changes.docx", "harbour.pptx", "market.xlsx"]
LARGE = 10_000_000

Change = Callable[[str, bytes], bytes]


def pages(name: str) -> list[Page]:
    return read(FILES / name, LARGE).pages


def page_with(name: str, sentence: str) -> Page:
    (found,) = [page for page in pages(name) if sentence in page.text]
    return found


def rebuilt(name: str, change: Change) -> bytes:
    """A file with its parts changed."""
    out = BytesIO()
    with zipfile.ZipFile(FILES / name) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for part in old.namelist():
            new.writestr(part, change(part, old.read(part)))
    return out.getvalue()


@pytest.mark.parametrize(
    ("name", "sentence", "place"),
    [
        ("handbook.docx", "Valid from 3 March 2025.", Place("heading", "beginning", 1)),
        ("handbook.docx", "on Thursdays until eight.", Place("heading", "Opening hours", 3)),
        ("handbook.docx", "never more than it was bought for.", Place("heading", "Fees", 4)),
        ("handbook.docx", "Der Schlüssel liegt im grünen Schrank", Place("heading", "Übergabe", 5)),
        ("harbour.pptx", "Notes: The Cormorant is being repaired until May.", Place("slide", "slide 2", 2)),
        ("harbour.pptx", "- Replace der große Kran", Place("slide", "slide 4", 4)),
        ("market.xlsx", "| Lemons 3 | 2025-03-23 | 18.60 € | 62.5% | 37.20 € |", Place("sheet", "Prices!A49:F57", 1)),
        ("market.csv", "| Lemons 3 | 23.03.2025 | 18.60 € | 62.5% | 37.20 € |", Place("sheet", "lines 49-57", 49)),
        ("market.xlsx", "North & South", Place("sheet", "'Other things'!A2:E3", 2)),
        ("market.xlsx", "The spare key is with the harbour master.", Place("sheet", "Hidden!A2:B2", 3)),
    ],
)
def test_a_known_sentence_is_found_where_it_stands(name: str, sentence: str, place: Place) -> None:
    assert page_with(name, sentence).place == place


def test_titles_are_the_first_heading_and_the_first_slide() -> None:
    assert read(FILES / "handbook.docx", LARGE).title == "Handbook of the harbour library"
    assert read(FILES / "harbour.pptx", LARGE).title == "The harbour in 2026"
    assert read(FILES / "market.xlsx", LARGE).title == ""


def test_a_heading_right_above_a_deeper_one_stays_with_it() -> None:
    assert page_with("handbook.docx", "40 cents").text.startswith("## Lending\n\n### Fees\n\nA late book costs")


def test_a_document_keeps_the_order_of_lists_notes_and_tables() -> None:
    assert page_with("handbook.docx", "Thursdays").text.endswith("- Closed on public holidays\n- Open on Easter Monday")
    assert page_with("handbook.docx", "40 cents").text.endswith(
        "never more than it was bought for.\n\nChildren pay nothing.\n\n"
        "| Medium | Weeks | Fee per day |\n| Book | 4 | 0.40 € |\n| Book | 8 (staff) | 0.20 € |\n| Film | 1 | 1.00 € |"
    )


def test_a_long_table_of_a_document_repeats_its_header() -> None:
    parts = [page for page in pages("handbook.docx") if "| S-0" in page.text]
    assert len(parts) > 2
    assert all(page.text.startswith("| Mark | Subject | Room | Volumes |\n") for page in parts)
    assert all(page.place == Place("heading", "Shelves", 6) for page in parts)
    assert [line.split()[1] for page in parts for line in page.text.split("\n")[1:]] == [
        f"S-{number:03}" for number in range(1, 41)
    ]


def test_changes_are_read_as_accepted_and_text_boxes_after_their_paragraph() -> None:
    (page,) = pages("changes.docx")
    assert page.text == "The crane lifts twelve tons.\n\nBeside it a ladder leads up.\n\nNobody stands under the load."


def test_headings_are_told_by_the_level_of_a_paragraph_or_of_what_its_style_is_based_on() -> None:
    kin = b'<w:style w:type="paragraph" w:styleId="Kin"><w:name w:val="My own"/><w:basedOn w:val="Heading2"/></w:style>'

    def change(part: str, old: bytes) -> bytes:
        if part == "word/styles.xml":
            return old.replace(b"</w:styles>", kin + b"</w:styles>")
        old = re.sub(rb"<w:p><w:pPr>", b'<w:p><w:pPr><w:outlineLvl w:val="1"/>', old, count=1)
        return old.replace(b'<w:pStyle w:val="Heading3"/>', b'<w:pStyle w:val="Kin"/>')

    assert [page.text.split("\n")[0] for page in docx.read(rebuilt("handbook.docx", change))][:4] == [
        "## Valid from 3 March 2025.",
        "# Handbook of the harbour library",
        "## Opening hours",
        "## Lending",
    ]


def test_shapes_are_read_line_by_line_and_blank_slides_keep_the_numbers() -> None:
    first, second, third, _ = pages("harbour.pptx")
    assert first.text == (
        "# The harbour in 2026\n\nFirst, on the left.\n\nSecond, on the right.\n\nThird: what follows is a plan.\n\n"
        "Notes: Welcome the mayor before the first slide."
    )
    assert "| Boat | Knots | Berth |\n| Seagull | 11 | A3 |\n| Cormorant | 9 | B12 |" in second.text
    assert third == Page("", Place("slide", "slide 3", 3))


def test_a_sheet_shows_dates_sums_and_truth_as_its_formats_do() -> None:
    assert page_with("market.xlsx", "North").text.split("\n") == [
        "| Place | Sum | Open | At | Moment |",
        "| North & South | 0.3 | TRUE | 09:30 | 2024-02-29 18:45 |",
        "| North & South | 1234567 | FALSE | 23:59:59 | 1999-12-31 |",
    ]


def test_each_group_of_rows_stands_below_title_and_header() -> None:
    prices = [page for page in pages("market.xlsx") if page.place.number == 1]
    for page in prices:
        assert page.text.startswith("| Prices of the market hall |\n| Fruit | Since | Price | Share | Twice |\n")
    assert [page.place.label for page in prices][::6] == ["Prices!A4:F12", "Prices!A58:F63"]


def test_the_years_of_old_macs_begin_in_1904() -> None:
    data = rebuilt("market.xlsx", lambda _, old: old.replace(b'date1904="false"', b'date1904="true"'))
    assert "2028-02-29 18:45" not in "".join(page.text for page in xlsx.read(data))
    assert "2028-03-01 18:45" in "".join(page.text for page in xlsx.read(data))


@pytest.mark.parametrize("name", MADE)
def test_damaged_files_raise_nothing_but_unreadable_file(name: str) -> None:
    whole = (FILES / name).read_bytes()
    chance = random.Random(11)
    damaged = [whole[: chance.randrange(1, len(whole))] for _ in range(10)]
    for _ in range(30):
        data = bytearray(whole)
        for _ in range(chance.choice([1, 3, 30])):
            data[chance.randrange(len(data))] = chance.randrange(256)
        damaged.append(bytes(data))
    assert_named_or_read(name, damaged)


@pytest.mark.parametrize("name", MADE)
def test_damaged_parts_raise_nothing_but_unreadable_file(name: str) -> None:
    chance = random.Random(12)

    def change(part: str, old: bytes) -> bytes:
        data = bytearray(old)
        for _ in range(chance.randint(0, 2)):
            data[chance.randrange(len(data))] = chance.choice(b'0123456789<>"/ aZ')
        return bytes(data)

    assert_named_or_read(name, [rebuilt(name, change) for _ in range(25)])


def assert_named_or_read(name: str, damaged: list[bytes]) -> None:
    reasons = []
    for data in damaged:
        try:
            for page in parse(Path(name).suffix, data).pages:
                assert not {"\0", "\f"} & set(page.text)
        except UnreadableFile as error:
            reasons.append(str(error))
    assert reasons
    assert all("; " in reason and "save it" in reason for reason in reasons)


def test_a_password_an_old_format_and_a_false_name_are_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match=r"^it is protected with a password; save it without one$"):
        pages("secret.docx")
    with pytest.raises(UnreadableFile, match=r"^it is in an old format of Office; save it as \.docx$"):
        pages("old.doc")
    (tmp_path / "new.docx").write_bytes((FILES / "old.doc").read_bytes())
    with pytest.raises(UnreadableFile, match=r"old format of Office under a new name; .* save it as \.docx$"):
        read(tmp_path / "new.docx", LARGE)
    (tmp_path / "market.docx").write_bytes((FILES / "market.xlsx").read_bytes())
    with pytest.raises(UnreadableFile, match=r"save it as \.docx"):
        read(tmp_path / "market.docx", LARGE)


def test_a_file_that_lies_about_what_it_unpacks_to_is_cut_there() -> None:
    data = rebuilt("changes.docx", lambda part, old: old + b" " * 5_000_000 if part == "word/document.xml" else old)
    size = zipfile.ZipFile(BytesIO(data)).getinfo("word/document.xml").file_size
    with pytest.raises(UnreadableFile, match=r"it is damaged, or it is not a \.\w+ file"):
        parse(".docx", data.replace(size.to_bytes(4, "little"), (4000).to_bytes(4, "little")))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_entities_that_grow_are_not_expanded(encoding: str) -> None:
    names = "abcdefghij"
    laughs = "".join(f'<!ENTITY {name} "{f"&{before};" * 10}">' for before, name in itertools.pairwise(names))
    bomb = f'<?xml version="1.0"?><!DOCTYPE d [<!ENTITY a "{"ha" * 10}">{laughs}]><w:document>&j;</w:document>'
    data = rebuilt("changes.docx", lambda part, old: bomb.encode(encoding) if part == "word/document.xml" else old)
    with pytest.raises(UnreadableFile, match=r"it is damaged, or it is not a \.docx file"):
        parse(".docx", data)


@pytest.mark.parametrize("tag", ["w:p", "w:tbl><w:tr><w:tc", "w:sdt"])
def test_deep_nesting_is_named(tag: str) -> None:
    names = [part.split()[0] for part in tag.split("><")]
    deep = f"<{tag}>" * 30_000, "".join(f"</{name}>" for name in reversed(names)) * 30_000
    opened, closed = (tags.encode() for tags in deep)
    data = rebuilt(
        "changes.docx",
        lambda _, old: old.replace(b"<w:body>", b"<w:body>" + opened).replace(b"</w:body>", closed + b"</w:body>"),
    )
    with pytest.raises(UnreadableFile, match=r"it is damaged, or it is not a \.docx file"):
        parse(".docx", data)


def test_lists_within_lists_are_indented() -> None:
    def change(part: str, old: bytes) -> bytes:
        return old.replace(b'<w:ilvl w:val="0"/>', b'<w:ilvl w:val="1"/>', 1) if part == "word/document.xml" else old

    (page,) = [page for page in docx.read(rebuilt("handbook.docx", change)) if "Thursdays" in page.text]
    assert page.text.endswith("\n\n  - Closed on public holidays\n- Open on Easter Monday")


def test_a_workbook_keeps_formats_of_cells_whose_attributes_stand_in_another_order() -> None:
    def change(part: str, old: bytes) -> bytes:
        return re.sub(rb'<c (r="\w+") (s="\d+")', rb"<c \2 \1", old) if part.startswith("xl/worksheets") else old

    whole = (FILES / "market.xlsx").read_bytes()
    assert xlsx.read(rebuilt("market.xlsx", change)) == xlsx.read(whole)


def test_comments_on_a_slide_follow_its_shapes_with_their_authors() -> None:
    old = '<p:cm authorId="0"><p:text>Use the June figures</p:text></p:cm>'
    body = "<p:txBody><a:p><a:r><a:t>{}</a:t></a:r></a:p></p:txBody>"
    reply = f'<p:replyLst><p:reply authorId="x">{body.format("Agreed")}</p:reply></p:replyLst>'
    new = f'<p:cm authorId="x">{reply}{body.format("Drop this column")}</p:cm>'
    files = {
        "ppt/presentation.xml": f'<p:x {SPACES}><p:sldIdLst><p:sldId r:id="slide1"/></p:sldIdLst></p:x>',
        "ppt/slide1.xml": f"<p:sld {SPACES}/>",
        "ppt/_rels/slide1.xml.rels": related({"comments": "/ppt/other/comments.xml"}),
        "ppt/other/comments.xml": f"<p:cmLst {SPACES}>{old}{new}</p:cmLst>",
        "ppt/commentAuthors.xml": f'<p:x {SPACES}><p:cmAuthor id="0" name="Gerda Holm"/></p:x>',
        "ppt/authors.xml": f'<p:x {SPACES}><p:author id="x" name="Olga"/></p:x>',
    }
    (page,) = pptx.read(packed("ppt/presentation.xml", files))
    assert page.text.split("\n") == [
        "- Comment by Gerda Holm: Use the June figures",
        "- Comment by Olga: Drop this column",
        "- Comment by Olga: Agreed",
    ]
