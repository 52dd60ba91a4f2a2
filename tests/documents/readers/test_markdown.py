"""Markdown: sections, their places, and that no text is lost."""

from hypothesis import given
from hypothesis import strategies as st

from app.documents.passages import Page, Place, joined
from app.documents.readers import markdown

LINES = st.lists(
    st.sampled_from(
        [
            "# A",
            "## B b",
            "### C #",
            "text",
            "",
            "```",
            "~~~~",
            "===",
            "---",
            "- item",
            "    # code",
            "#no",
            "#",
            "> q",
            "  ",
        ]
    )
    | st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12),
    min_size=1,
    max_size=30,
)


def pages(text: str) -> list[Page]:
    return markdown.read(text.encode())


def sections(text: str) -> list[tuple[str, str]]:
    return [(page.place.label, page.text) for page in pages(text)]


@given(LINES)
def test_the_joined_pages_are_the_file_but_for_the_separators(lines: list[str]) -> None:
    text = "\n".join(["start", *lines])
    found = pages(text)
    assert joined(found).replace("\f", "\n") == text.removeprefix("\ufeff")
    for page in found[1:]:
        assert page.place.kind == "heading"
        assert page.place.label


@given(LINES)
def test_the_place_of_a_section_is_the_line_of_its_heading(lines: list[str]) -> None:
    text = "\n".join(["start", *lines])
    for page in pages(text)[1:]:
        heading = text.split("\n")[page.place.number - 1]
        assert all(word in heading for word in page.place.label.split())


def test_sections_begin_at_both_kinds_of_heading() -> None:
    text = "before\n\n# One #\ntext\n\nTwo\n===\nmore\n\nThree\n---\nlast"
    assert sections(text) == [
        ("line 1", "before\n"),
        ("One", "# One #\ntext\n"),
        ("Two", "Two\n===\nmore\n"),
        ("Three", "Three\n---\nlast"),
    ]
    assert [page.place for page in pages(text)][1] == Place("heading", "One", 3)


def test_fences_front_matter_tables_and_code_hold_no_headings() -> None:
    for text in (
        "```sh\n# a comment\n```\nafter",
        "~~~\n```\n# still inside\n~~~",
        "````\n```\n# still inside\n````",
        "---\ntitle: x\n---\ntext",
        "text\n\n    # indented",
        "- item\n---\nafter",
        "a wrapped\nparagraph\n---\nafter",
        "#hashtag and #more",
        "```\n# never closed",
    ):
        assert len(pages(text)) == 1, text


def test_a_heading_right_above_a_deeper_one_stays_with_it() -> None:
    assert sections("# Guide\n\n## Install\nRun it.\n## Use\n## Remove\nGone.") == [
        ("Install", "# Guide\n\n## Install\nRun it."),
        ("Use", "## Use"),
        ("Remove", "## Remove\nGone."),
    ]


def test_labels_are_free_of_markup() -> None:
    assert sections("## **How** to use [the `tool`](http://x.y)\ntext")[0][0] == "How to use the tool"


def test_odd_text_takes_time_in_proportion() -> None:
    for text in ("# " + " " * 100_000 + "x", "[" * 100_000, "# " + "# " * 50_000 + "x", "# a\n" * 20_000):
        pages(text)
