"""The questions of a collection made harder: with a typing error, or after a conversation about something else."""

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import replace
from random import Random

from app.answering.turn import Exchange
from app.documents.sentences import sentences
from app.errors import InputError
from app.evaluation.datasets import Collection, Query
from app.retrieval.analysis import query_words, word_spans

LONG = 5
"""Letters that a word has at least; a slip in a shorter one often makes another word."""

APART = 10
"""Passages fewer places apart in a collection may be of one document, and so about one subject."""

_QUESTIONS = 3
_TRIES = 100

_KEYBOARDS = (
    "qwertyuiop asdfghjkl zxcvbnm",
    "йцукенгшщзхъ фывапролджэ ячсмитьбю",
    "ςερτυθιοπ ασδφγηξκλ ζχψωβνμ",
)
"""Rows of keys, of scripts with upper and lower case; each row stands half a key further right than the one above."""

_Conversation = tuple[tuple[Exchange, ...], frozenset[int]]
"""What was said, and the places in the collection of what is relevant to its questions."""

_Places = Mapping[str, frozenset[int]]
"""Where in the collection the relevant passages of each question are."""


def mistyped(collection: Collection, seed: int) -> Collection:
    """The collection with a typing error in every question; one without a long word stays as it is."""
    queries = (replace(query, text=typo(query.text, collection.languages, seed)) for query in collection.queries)
    return replace(collection, queries=tuple(queries))


def typo(question: str, languages: Sequence[str], seed: int) -> str:
    """The question with one error in one long word, of those that tell what it is about if it has such.

    A letter is replaced by a neighbour on the keyboard, left out, doubled, typed together with a neighbour, or changes
    places with the next. `languages` are those of the documents, the most frequent first.
    """
    telling = [word.content for word in query_words(question, languages)]
    spans = zip(telling, word_spans(question), strict=True)
    long = [(content, span) for content, span in spans if _is_long(question[slice(*span)])]
    if not long:
        return question
    random = Random(f"{seed} {question}")  # noqa: S311  # no secret
    start, end = random.choice([span for content, span in long if content] or [span for _, span in long])
    word = wrong = question[start:end]
    while wrong.casefold() == word.casefold():
        wrong = _slip(word, random.randrange(len(word)), random)
    return question[:start] + wrong + question[end:]


def _is_long(word: str) -> bool:
    """Whether it is long and of letters alone, of a script that has upper and lower case."""
    return len(word) >= LONG and all(letter.lower() != letter.upper() for letter in word)


def _slip(word: str, at: int, random: Random) -> str:
    before, letter, after = word[:at], word[at], word[at + 1 :]
    kind = random.randrange(5)
    key = _neighbour(letter, random) if kind in {0, 3} else ""
    replaced, left_out, doubled = before + key + after, before + after, before + letter + letter.lower() + after
    added, swapped = before + letter + key.removeprefix(letter) + after, before + after[:1] + letter + after[1:]
    return (replaced, left_out, doubled, added, swapped)[kind]


def _neighbour(letter: str, random: Random) -> str:
    """A key beside that of the letter, or of the letter without its accent; the letter itself if it has no key."""
    lower = letter.lower()
    key = lower if lower in "".join(_KEYBOARDS) else unicodedata.normalize("NFD", lower)[0]
    for rows in map(str.split, _KEYBOARDS):
        for above, row, below in zip(["", *rows], rows, [*rows[1:], ""], strict=False):
            if (at := row.find(key)) >= 0:
                left = max(at - 1, 0)
                found = random.choice(row[left:at] + row[at + 1 : at + 2] + above[at : at + 2] + below[left : at + 1])
                return found.upper() if letter.isupper() else found
    return letter


def subject_changes(collection: Collection, seed: int) -> Collection:
    """Every question after a conversation about something else, of the same collection; its judgements stay.

    The conversations are those of the collection or, where it has none, three questions about neighbouring passages. A
    search should find no less than for the question alone. Raises InputError if all is about one subject.
    """
    at = {passage.place.label: number for number, passage in enumerate(collection.passages)}
    places = {query.id: frozenset(map(at.__getitem__, collection.judgements[query.id])) for query in collection.queries}
    told = _told(collection.queries, places)
    pool = list(told.values()) or _composed(collection, places)
    changed = []
    for query in collection.queries:
        own = told[query.history[0].question][1] if query.history else places[query.id]
        random = Random(f"{seed} {query.id}")  # noqa: S311  # no secret
        for exchanges, others in (random.choice(pool) for _ in range(_TRIES)):
            if all(abs(one - other) > APART for one in own for other in others):
                changed.append(replace(query, history=exchanges))
                break
    if not changed:
        raise InputError(f"All of {collection.name} is about one subject. Take another collection.")
    lost, count = len(collection.queries) - len(changed), len(collection.queries)
    remarks = [f"{lost} of {count} questions have no conversation about something else; left out."] if lost else []
    return replace(collection, queries=tuple(changed), remarks=(*collection.remarks, *remarks))


def _told(queries: Sequence[Query], places: _Places) -> dict[str, _Conversation]:
    """The conversations of a collection by their first questions, each as far as it is known."""
    told: dict[str, _Conversation] = {}
    for query in queries:
        if query.history:
            known, about = told.get(query.history[0].question, ((), frozenset[int]()))
            longest = max(known, query.history, key=len)
            told[query.history[0].question] = longest, about | places[query.id]
    return told


def _composed(collection: Collection, places: _Places) -> list[_Conversation]:
    """Conversations of three questions whose relevant passages follow on each other."""
    ordered = sorted(collection.queries, key=lambda query: min(places[query.id]))
    told = [_exchange(query, collection.passages[min(places[query.id])].text) for query in ordered]
    groups = [slice(at, at + _QUESTIONS) for at in range(0, len(ordered), _QUESTIONS)]
    return [(tuple(told[own]), frozenset().union(*(places[query.id] for query in ordered[own]))) for own in groups]


def _exchange(query: Query, text: str) -> Exchange:
    """A question with an answer from its first relevant passage: the sentence with the known answer, or the first."""
    found = [text[start:end] for start, end in sentences(text)] or [text]
    holding = (sentence for sentence in found for answer in query.answers if answer in sentence)
    return Exchange(query.text, next(holding, found[0]))
