"""The ids of documents and of stretches name nothing else; which documents are private, and by which rule."""

from dataclasses import dataclass

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import AnyUrl

from app.documents.document import ANY, ROOT, RULE, declared_private, kept_here, private_rule, reference, resolve
from app.errors import InputError

PART = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1).filter(
    lambda part: part not in (".", "..")
)
FILES = st.lists(PART, min_size=1, max_size=3).map("/".join)
OFFSETS = st.integers(0, 10**9)


@given(FILES, OFFSETS, OFFSETS.map(lambda offset: offset + 1))
@example("Ferien & Zeiten/Übersicht #2 (neu?).md", 0, 900)
@example("100% sure#1-2", 3, 4)
@example("a%20b\\c..%2F.md", 0, 1)
@example("escalator:/corpus", 0, 1)
def test_an_id_names_its_document_and_stretch_whatever_the_file_is_called(file: str, start: int, end: int) -> None:
    others = {"a", "a b", file + "x", file[:-1]} - {""}

    assert resolve(reference(file), {*others, file}) == (file, 0, 0)
    assert resolve(reference(file, start, end), {*others, file}) == (file, start, end)
    assert resolve(str(AnyUrl(ROOT + reference(file, start, end))), {*others, file}) == (file, start, end)


@given(st.text() | st.sampled_from(["../secret", "/etc/passwd", "%2e%2e/secret", "C:\\secret", "ferry.md/../secret"]))
def test_nothing_but_a_document_of_the_index_is_named(asked: str) -> None:
    try:
        file, _, _ = resolve(asked, {"ferry.md"})
    except InputError:
        return
    assert file == "ferry.md"


@pytest.mark.parametrize("written", ["hr/Ferien & #1?.md", "escalator://corpus/hr/Ferien & #1?.md"])
def test_a_path_that_a_model_wrote_without_encoding_is_understood(written: str) -> None:
    assert resolve(written, {"hr/Ferien & #1?.md"}) == ("hr/Ferien & #1?.md", 0, 0)
    assert resolve(written + "#3-9", {"hr/Ferien & #1?.md"}) == ("hr/Ferien & #1?.md", 3, 9)


@dataclass
class Known:
    """What is known of a document."""

    private: bool = False


@pytest.mark.parametrize(
    "file", ["private/a.md", "Private/sub/a.docx", "PRIVATE/a.md", "hr/private/a.md", "private/ä/a.md"]
)
def test_what_is_in_a_folder_named_private_is_private(file: str) -> None:
    assert private_rule(file, False, "") == f"{file} is in the folder private."


@pytest.mark.parametrize("file", ["private.md", "privates/a.md", "not private/a.md", "a.md", "hr/a private plan.md"])
def test_other_names_are_not(file: str) -> None:
    assert private_rule(file, False, "") is None


@pytest.mark.parametrize(
    ("patterns", "file"),
    [
        ("hr/*", "hr/plan.docx"),
        ("hr/*", "hr/2026/plan.docx"),
        ("hr/", "hr/2026/plan.docx"),
        ("hr", "offices/hr/plan.docx"),
        ("*.xlsx", "sums/budget.XLSX"),
        ("a.md, salaries.*", "deep/down/Salaries.pdf"),
        ("**/secret/**", "secret/a.md"),
        ("./hr/plan.md", "hr/plan.md"),
        ("/hr/plan.md", "hr/plan.md"),
        ("hr\\plan.md", "hr/plan.md"),
        ("Löhne*", "Lo\u0308hne 2026.md"),
        ("*", "a.md"),
        ("*.xlsx", "Budget.xlsx (dropped)"),
        ("salaries.csv", "Salaries.csv (dropped 2)"),
    ],
)
def test_patterns_match_a_path_a_name_or_a_folder_whatever_the_case(patterns: str, file: str) -> None:
    assert "of ESCALATOR_PRIVATE." in str(private_rule(file, False, patterns))


@pytest.mark.parametrize(
    ("patterns", "file"),
    [("hr/*", "three/hr.md"), ("*.xls", "a.xlsx"), (" , ", "a.md"), ("hr", "hr.md"), ("*.xls", "a.xls (lost)")],
)
def test_patterns_match_nothing_else(patterns: str, file: str) -> None:
    assert private_rule(file, False, patterns) is None


@pytest.mark.parametrize(
    "text",
    [
        "---\nprivate: true\n---\n# Pay",
        "\n---\ntitle: Pay\nPrivate: Yes  # for now\n...\nText",
        "---\r\nprivate: 'true'\r\n---\r\nText".replace("\r\n", "\n"),
        "+++\nprivate = true\n+++\nText",
        "---\nprivate: true\nand no end",
    ],
)
def test_a_document_says_at_its_top_that_it_is_private(text: str) -> None:
    assert declared_private(text)


@pytest.mark.parametrize(
    "text",
    [
        "# Settings\n\nprivate: true",
        "---\nprivate: false\n---\nText",
        "---\ntitle: a\n---\nprivate: true",
        "---\nnested:\n  private: true\n---\nText",
        "---\nprivate: truest\n---",
        "",
    ],
)
def test_words_elsewhere_say_nothing(text: str) -> None:
    assert not declared_private(text)


def test_what_rests_on_a_private_document_stays_here_and_on_public_ones_does_not() -> None:
    documents = {"a.md": Known(), "b.md": Known(private=True)}
    assert kept_here(["a.md"], documents, "") == ""
    assert kept_here(["a.md", "b.md"], documents, "") == "b.md begins with private: true."
    assert kept_here(["a.md"], documents, "a.*") == "a.md matches a.* of ESCALATOR_PRIVATE."
    assert kept_here(["gone/private/c.md"], documents, "") == "gone/private/c.md is in the folder private."


def test_a_document_that_was_moved_into_the_folder_keeps_earlier_answers_here() -> None:
    moved = "private/2026/pay.md is in the folder private."
    assert kept_here(["pay.md"], {"private/2026/pay.md": Known()}, "") == moved
    assert kept_here(["hr/pay.md"], {"private/2026/pay.md": Known()}, "") == moved
    assert kept_here(["pay.md"], {"pay.md": Known(), "private/2026/pay.md": Known()}, "") == "", "it is another one"


def test_a_rule_that_has_applied_goes_on_where_the_document_is_gone() -> None:
    assert (
        kept_here(["gone.md", f"{RULE}gone.md begins with private: true."], {}, "")
        == "gone.md begins with private: true."
    )


def test_the_text_of_another_program_may_rest_on_any_document() -> None:
    assert kept_here([ANY], {"a.md": Known()}, "") == ""
    assert kept_here([ANY], {"a.md": Known(), "private/b.md": Known()}, "")
