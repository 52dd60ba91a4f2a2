"""The beginnings of a document's parts, within a budget."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from app.answering.extractive import PARTS, first_sentences, outline
from app.documents.passages import Page, Place, joined, split


def words(text: str) -> int:
    return len(text.split())


def document(sections: list[str]) -> tuple[list[Page], str]:
    pages = [Page(text, Place("heading", f"S{at}", at)) for at, text in enumerate(sections)]
    return pages, joined(pages)


def test_a_short_document_comes_whole() -> None:
    pages, text = document(["# One\n\nA ferry leaves. It is late.", "# Two\n\nTickets are sold."])

    found = outline(split(pages, "a.md", "A", "en"), text, 100, words)

    assert [item.text for item in found] == [page.text for page in pages]


def test_of_many_sections_some_from_the_beginning_to_the_end_are_taken() -> None:
    pages, text = document([f"# Part {at}\n\n" + f"Sentence {at} says something. " * 20 for at in range(30)])

    found = outline(split(pages, "a.md", "A", "en"), text, 120, words)

    assert [item.place.label for item in (found[0], found[-1])] == ["S0", "S29"]
    assert len(found) == PARTS
    assert sum(words(item.text) for item in found) <= 120


def test_a_long_text_without_sections_is_taken_from_all_over() -> None:
    page = Page(" ".join(f"Sentence number {at} says something new." for at in range(600)), Place("line", "line 1", 1))

    found = outline(split([page], "a.txt", "A", "en"), page.text, 200, words)

    assert found[0].start == 0
    assert found[-1].start > 0.8 * len(page.text)


def test_the_openings_pass_over_headings() -> None:
    pages, text = document(["# One\n\nThe ferry leaves at nine. It is late.", "# Two\n\nTickets are sold on board."])

    found = first_sentences(outline(split(pages, "a.md", "A", "en"), text, 100, words))

    assert [quote.text for quote in found] == ["The ferry leaves at nine.", "Tickets are sold on board."]


@given(st.lists(st.text("ab .#\n", min_size=1, max_size=200), min_size=1, max_size=20), st.integers(1, 60))
def test_evidence_is_what_stands_in_the_document_numbered_in_its_order(sections: list[str], budget: int) -> None:
    pages, text = document(sections)

    found = outline(split(pages, "a.md", "A", "en"), text, budget, words)

    assert [item.number for item in found] == list(range(1, len(found) + 1))
    assert all(text[item.start : item.end] == item.text for item in found)
    assert all(one.end <= two.start for one, two in pairwise(found))
    assert sum(words(item.text) for item in found[1:]) <= budget
