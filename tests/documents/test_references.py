"""The ids of documents and of stretches: any file name comes back, and nothing but documents of the index is named."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import AnyUrl

from app.documents.document import ROOT, reference, resolve
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
