"""Passages: exact offsets, bounded size, overlap, and the place they are found at."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from app.documents.passages import MAX_CHARS, MAX_WORDS, Page, Place, joined, measure, sentences, split

LINE = Place("line", "line 1", 1)

WORDS = st.lists(st.sampled_from(["alpha", "Beta.", "gamma", "Delta!", "日本語の文。", "x" * 40, "\n", "\n\n", "- "]))
TEXT = st.builds(" ".join, WORDS) | st.text(max_size=400)
BIG = st.builds(lambda text, times: text * times, TEXT, st.integers(1, 60))
PAGES = st.lists(BIG.map(lambda text: Page(text.replace("\f", " "), LINE)), min_size=1, max_size=4)


@given(PAGES)
def test_every_passage_is_a_bounded_stretch_of_one_page(pages: list[Page]) -> None:
    text = joined(pages)
    passages = split(pages, "a.txt", "A", "en")
    for passage in passages:
        assert text[passage.start : passage.end] == passage.text
        assert passage.text == passage.text.strip() != ""
        assert "\f" not in passage.text
        assert len(passage.text) <= MAX_CHARS
        assert len(passage.text.split()) <= MAX_WORDS
    covered = set()
    for passage in passages:
        covered.update(range(passage.start, passage.end))
    assert all(text[at].isspace() for at in range(len(text)) if at not in covered)
    assert all(one.start < two.start and one.end < two.end for one, two in pairwise(passages))


def prose(number: int, words: int = 14) -> str:
    return " ".join(f"Sentence {i} has {'some ' * (words - 4)}words." for i in range(number))


def test_passages_of_prose_have_about_150_words_and_share_one_or_two_sentences_with_their_neighbours() -> None:
    text = prose(200)
    starts = [start for start, _ in sentences(text)]
    passages = split([Page(text, LINE)], "a.txt", "A", "en")
    assert all(140 <= measure(passage.text) <= MAX_WORDS for passage in passages)
    for one, two in pairwise(passages):
        assert two.start in starts
        assert len([start for start in starts if two.start <= start < one.end]) in (1, 2)


def test_long_sentences_overlap_too() -> None:
    passages = split([Page(prose(20, 90), LINE)], "a.txt", "A", "en")
    assert all(two.start < one.end for one, two in pairwise(passages))


def test_a_page_that_fits_is_one_passage() -> None:
    assert len(split([Page(prose(14), LINE)], "a.txt", "A", "en")) == 1


def test_text_without_spaces_is_bounded() -> None:
    for text in ("QUJD" * 5000, "日本語の長い文章です" * 500):
        passages = split([Page(text, LINE)], "a.txt", "A", "en")
        assert len(passages) > 1
        assert all(len(passage.text) <= MAX_CHARS for passage in passages)
        assert passages[-1].end == len(text)


def test_a_text_passage_says_at_which_line_it_begins() -> None:
    text = "\n\n" + "\n\n".join(f"Paragraph {i} of {'many ' * 60}words." for i in range(20))
    passages = split([Page(text, LINE)], "a.txt", "A", "en")
    assert passages[0].place == Place("line", "line 3", 3)
    lines = text.split("\n")
    for passage in passages:
        assert passage.text.startswith(lines[passage.place.number - 1])
        assert passage.place.label == f"line {passage.place.number}"


def test_other_places_are_those_of_the_page() -> None:
    pages = [
        Page("One.", Place("page", "page 1", 1)),
        Page("", Place("page", "page 2", 2)),
        Page("Three.", Place("page", "page 3", 3)),
    ]
    assert [(p.place.label, p.start, p.end) for p in split(pages, "a.pdf", "A", "en")] == [
        ("page 1", 0, 4),
        ("page 3", 6, 12),
    ]
