"""Sets of questions: the one that ships belongs to the sample documents, and a file with a mistake is named."""

from collections import Counter
from pathlib import Path

import pytest

from app.documents.folder import Folder
from app.errors import InputError
from app.evaluation.datasets import SAMPLE, Question, read_questions, sample_documents
from app.evaluation.recording import facts_found, is_abstention, score
from app.retrieval.corpus import Corpus
from app.settings import load

FERRY = Question("1", "When?", (("9:30", "half past nine"), ("12 GB",)), answerable=True)


@pytest.mark.slow
def test_the_sample_documents_state_every_fact_that_is_expected(tmp_path: Path) -> None:
    snapshot = Corpus(Folder.of(load(corpus=sample_documents())), tmp_path).refresh()
    text = "\n".join(snapshot.text(file) for file in snapshot.documents)
    questions = [it for it in read_questions(SAMPLE) if it.facts]

    assert {it.id: facts_found(it, text) for it in questions} == {it.id: (*range(len(it.facts)),) for it in questions}


def test_the_sample_set_has_unanswerable_questions_german_ones_and_briefings() -> None:
    questions = read_questions(SAMPLE)

    assert 30 <= len(questions) <= 40
    assert Counter(it.answerable for it in questions)[False] >= 5
    assert Counter(it.language for it in questions)["de"] >= 4
    assert Counter(it.kind for it in questions)["briefing"] == 3


def test_a_file_may_give_as_little_as_the_question(tmp_path: Path) -> None:
    file = tmp_path / "set.jsonl"
    file.write_text('{"question": " When? "}\n\n{"question": "Why?", "facts": ["a", ["b", "c"]]}\n', encoding="utf-8")

    assert read_questions(str(file)) == (
        Question("1", "When?"),
        Question("2", "Why?", (("a",), ("b", "c")), answerable=True),
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "has no questions"),
        ("\n", "has no questions"),
        ("{", "Line 1 of .* is no question"),
        ('{"question": " "}', "is no question"),
        ('{"question": "a", "facts": [""]}', "is no question"),
        ('{"question": "a", "facts": "b"}', "is no question"),
        ('{"question": "a", "facts": ["b"], "answerable": false}', "is no question"),
        ('{"question": "a", "kind": "poem"}', "is no question"),
        ('{"question": "' + "a" * 8001 + '"}', "at most 8,000 characters"),
        ('{"question": "a", "id": "x"}\n{"question": "b", "id": "x"}', "Line 2 of .* repeats the id 'x'"),
    ],
)
def test_a_set_with_a_mistake_is_named(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "set.jsonl"
    file.write_text(text, encoding="utf-8")

    with pytest.raises(InputError, match=says):
        read_questions(str(file))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("It leaves at **9:30** [1] and takes 12 GB.", (0, 1)),
        ("At Half  past\nNine.", (0,)),
        ("At 19:30, with 112 GB, or 12 GBit.", ()),
        ("At 9:305, with 3.12 GB.", ()),
        ("", ()),
    ],
)
def test_a_fact_is_found_in_any_spelling_and_not_as_a_part_of_another_word(text: str, found: tuple[int, ...]) -> None:
    assert facts_found(FERRY, text) == found


def test_the_score_is_the_share_of_facts_or_whether_the_answer_rightly_declines() -> None:
    unanswerable, open_question = Question("2", "Where?", answerable=False), Question("3", "Why?")
    declines = "The documents do not say where."

    assert is_abstention(declines)
    assert not is_abstention("")
    assert score(FERRY, "At 9:30.", abstained=False) == 0.5
    assert score(unanswerable, declines, abstained=True) == 1.0
    assert score(unanswerable, "In the yard.", abstained=False) == 0.0
    assert score(open_question, "Because.", abstained=False) is None
