"""Source code: definitions stay whole, and each passage says the line it begins at."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from app.documents.passages import Passage, joined, split
from app.documents.readers import text
from app.settings import ROOT

LINES = st.lists(st.sampled_from(["", "", "a b c", "  d", "}", "e " * 60, "\tf " * 90, "# g"]), min_size=1, max_size=40)


def passages(source: str) -> list[Passage]:
    return split(text.read_code(source.encode()), "a.py", "a", "en")


def test_passages_of_a_real_module_begin_with_definitions_and_name_their_lines() -> None:
    source = Path(ROOT / "app/documents/scan.py").read_text(encoding="utf-8")
    lines = source.split("\n")
    found = passages(source)
    for passage in found:
        assert passage.text.split("\n")[0] in lines[passage.place.number - 1]
        assert passage.place.label == f"line {passage.place.number}"
    assert any(passage.text.startswith("def scan(") for passage in found)
    assert any("def _split_text" not in passage.text and passage.text.startswith("def ") for passage in found)


def test_short_definitions_share_a_page_and_long_ones_have_their_own() -> None:
    short = "// Adds.\nint add(int a, int b)\n{\n\n    return a + b;\n}\n\n"
    long = "void all()\n{\n" + "    call(a, b);\n\n" * 80 + "}\n\n"
    pages = text.read_code((short * 3 + long + short).encode())
    assert [page.place.number for page in pages] == [1, 22, 186]


@given(LINES)
def test_the_joined_pages_are_the_file_but_for_the_separators(lines: list[str]) -> None:
    source = "\n".join(["start", *lines])
    pages = text.read_code(source.encode())
    assert joined(pages).replace("\f", "\n") == source
    for page in pages:
        assert source.split("\n")[page.place.number - 1] == page.text.split("\n")[0]
