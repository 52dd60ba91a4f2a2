"""Harder questions: one slip in one long word, another for another seed; a conversation about something else before."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import InputError
from app.evaluation.datasets import Collection
from app.evaluation.datasets import read_collection as read
from app.retrieval.search import Exchange
from benchmarks.variants import APART, LONG, mistyped, subject_changes, typo
from tests.evaluation.conftest import Write

QUESTION = "When does the ferry leave the harbour of Bergen?"


def distance(one: str, other: str) -> int:
    """Insertions, deletions, substitutions and swaps of neighbours, each counting once."""
    rows = [list(range(len(other) + 1))]
    for at, letter in enumerate(one, 1):
        row = [at]
        for to, second in enumerate(other, 1):
            best = min(rows[-1][to] + 1, row[-1] + 1, rows[-1][to - 1] + (letter != second))
            if at > 1 and to > 1 and (letter, second) == (other[to - 2], one[at - 2]):
                best = min(best, rows[-2][to - 2] + 1)
            row.append(best)
        rows.append(row)
    return rows[-1][-1]


@pytest.mark.slow
@given(st.integers())
def test_one_long_word_that_tells_something_is_one_slip_away(seed: int) -> None:
    wrong = typo(QUESTION, ["en"], seed)

    changed = [(was, now) for was, now in zip(QUESTION.split(), wrong.split(), strict=True) if was != now]
    assert len(changed) == 1
    [(was, now)] = changed
    assert re.sub(r"\W", "", was) in {"ferry", "leave", "harbour", "Bergen"}
    assert distance(was.lower(), now.lower()) == 1


def test_the_same_seed_makes_the_same_slip_and_others_make_all_kinds() -> None:
    found = {typo("harbour", ["en"], seed) for seed in range(300)}

    assert typo("harbour", ["en"], 1) == typo("harbour", ["en"], 1)
    assert {"harbuor", "harbur", "harrbour", "hsrbour", "hasrbour"} <= found
    assert "harbour" not in found
    assert "hmrbour" not in found  # no neighbours on a keyboard


@given(st.text(alphabet=st.characters(categories=["Lu", "Ll", "Lo", "Mn", "Zs", "Nd", "Po"])), st.integers(0, 5))
def test_any_text_keeps_all_but_one_word(text: str, seed: int) -> None:
    wrong = typo(text, ["en"], seed)

    assert distance(text.lower(), wrong.lower()) <= 1 or any(len(letter.lower()) > 1 for letter in text)


@pytest.mark.parametrize(
    ("question", "languages"),
    [
        ("Когда отправляется паром?", ["ru"]),
        ("Πότε φεύγει το πλοίο;", ["el"]),
        ("Wann verläßt die Fähre Köln?", ["de"]),
    ],
)
def test_every_script_with_upper_and_lower_case_has_its_slips(question: str, languages: list[str]) -> None:
    for seed in range(50):
        wrong = typo(question, languages, seed)
        assert wrong.casefold() != question.casefold()
        assert distance(question, wrong) == 1


@pytest.mark.parametrize("question", ["フェリーはいつ出ますか", "מתי המעבורת יוצאת", "1234567 C3PO99", "is it on", ""])
def test_what_has_no_long_word_of_such_a_script_stays(question: str) -> None:
    assert typo(question, ["en"], 0) == question


def test_function_words_are_taken_only_where_there_is_nothing_else() -> None:
    assert typo("whether", ["en"], 0) != "whether"
    assert all("whether" in typo("whether ferry", ["en"], seed) for seed in range(50))
    assert len("whether") >= LONG


def test_a_collection_keeps_all_but_the_texts_of_its_questions(write: Write) -> None:
    collection = read(write())

    wrong = mistyped(collection, 0)

    assert [query.id for query in wrong.queries] == [query.id for query in collection.queries]
    assert all(one.text != other.text for one, other in zip(wrong.queries, collection.queries, strict=True))
    assert wrong.queries[1].history == collection.queries[1].history
    assert (wrong.passages, wrong.judgements) == (collection.passages, collection.judgements)


TOPICS = "ferries whales bakeries lighthouses herrings".split()


@pytest.fixture
def topics(write: Write) -> Collection:
    """Ten passages about each of five topics, and a question about every other of them."""
    corpus = [
        {"id": f"{topic}{at}", "text": f"There are many {topic} here. Number {at} of the {topic} is red. It rains."}
        for topic in TOPICS
        for at in range(10)
    ]
    queries = [
        {"id": f"{topic}{at}", "text": f"Which {topic} have number {at}?", "answers": [f"Number {at}"]}
        for topic in TOPICS
        for at in range(0, 10, 2)
    ]
    return read(write(corpus, queries, "".join(f"{query['id']}\t{query['id']}\t1\n" for query in queries)))


def topics_of(texts: list[str]) -> set[str]:
    return {topic for topic in TOPICS for text in texts if topic in text}


def test_a_changed_subject_comes_after_questions_about_others(topics: Collection) -> None:
    changed = subject_changes(topics, 0)

    assert len(changed.queries) == len(topics.queries)
    for query in changed.queries:
        told = topics_of([exchange.question for exchange in query.history])
        assert told
        assert not told & topics_of([query.text])
    assert changed.judgements == topics.judgements
    assert changed.queries == subject_changes(topics, 0).queries
    assert changed.queries != subject_changes(topics, 1).queries


def test_an_answer_is_the_sentence_that_holds_what_is_known(topics: Collection) -> None:
    exchange = subject_changes(topics, 0).queries[0].history[0]

    number = exchange.question.rstrip("?").split()[-1]
    assert exchange.answer == f"Number {number} of the {exchange.question.split()[1]} is red."


def conversation(topic: str, count: int) -> list[dict[str, Any]]:
    return [{"role": role, "content": f"{topic} {at} {role}"} for at in range(count) for role in ("user", "assistant")]


def test_conversations_that_were_held_are_taken_whole_and_never_ones_own(write: Write) -> None:
    corpus = [{"id": str(number), "text": f"Passage {number}."} for number in range(3 * APART + 3)]
    queries = [
        {"id": f"{topic}{at}", "text": f"And {at}?", "history": conversation(topic, at)}
        for topic in ("ferry", "whale")
        for at in (1, 3)
    ]
    near, far = 0, 2 * APART
    qrels = f"ferry1\t{near}\t1\nferry3\t{near + 1}\t1\nwhale1\t{far}\t1\nwhale3\t{far + 1}\t1\n"

    changed = {query.id: query.history for query in subject_changes(read(write(corpus, queries, qrels)), 0).queries}

    whole = tuple(Exchange(f"whale {at} user", f"whale {at} assistant") for at in range(3))
    assert changed["ferry1"] == changed["ferry3"] == whole
    assert changed["whale1"][0].question == "ferry 0 user"


def test_subjects_that_lie_close_together_are_not_taken_for_different_ones(write: Write) -> None:
    corpus = [{"id": str(number), "text": f"Passage {number}."} for number in range(APART)]
    queries = [{"id": str(number), "text": f"Passage {number}?"} for number in range(APART)]
    qrels = "".join(f"{number}\t{number}\t1\n" for number in range(APART))

    with pytest.raises(InputError, match="is about one subject"):
        subject_changes(read(write(corpus, queries, qrels)), 0)
