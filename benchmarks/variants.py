"""Variants of a collection with harder questions: with a typing error, or after a conversation on another subject."""

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import replace
from random import Random

from app.documents.passages import sentences
from app.errors import InputError
from app.evaluation.datasets import Collection, Query
from app.retrieval.analysis import query_words, word_spans
from app.retrieval.search import Exchange

LONG = 5
"""The least number of letters of a word to mistype; an error in a shorter word often makes another word."""

APART = 10
"""Passages that are closer than this in a collection may be from one document, and so about one subject."""

_QUESTIONS = 3
_TRIES = 100

_KEYBOARDS = (
    "qwertyuiop asdfghjkl zxcvbnm",
    "йцукенгшщзхъ фывапролджэ ячсмитьбю",
    "ςερτυθιοπ ασδφγηξκλ ζχψωβνμ",
)
"""The rows of keys, for scripts with upper and lower case; each row is shifted half a key to the right."""

_Conversation = tuple[tuple[Exchange, ...], frozenset[int]]
"""Exchanges, and the positions in the collection of the passages that are relevant to their questions."""

_Places = Mapping[str, frozenset[int]]
"""The positions in the collection of the relevant passages of each question."""


def mistyped(collection: Collection, seed: int) -> Collection:
    """Put a typing error into every question of a collection that has a long word."""
    languages = list(dict.fromkeys(passage.language for passage in collection.passages))
    queries = (replace(query, text=typo(query.text, languages, seed)) for query in collection.queries)
    return replace(collection, queries=tuple(queries))


def typo(question: str, languages: Sequence[str], seed: int) -> str:
    """Put one typing error into one long word of a question, if possible into a content word.

    A letter is replaced by a neighbour on the keyboard, left out, doubled, typed together with a neighbour, or swapped
    with the next. `languages` are those of the documents, the most frequent first.
    """
    contents = [word.content for word in query_words(question, languages)]
    spans = zip(contents, word_spans(question), strict=True)
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
    """Return whether a word is long and consists of letters of a script with upper and lower case."""
    return len(word) >= LONG and all(letter.lower() != letter.upper() for letter in word)


def _slip(word: str, at: int, random: Random) -> str:
    before, letter, after = word[:at], word[at], word[at + 1 :]
    kind = random.randrange(5)
    key = _neighbour(letter, random) if kind in {0, 3} else ""
    replaced, left_out, doubled = before + key + after, before + after, before + letter + letter.lower() + after
    added, swapped = before + letter + key.removeprefix(letter) + after, before + after[:1] + letter + after[1:]
    return (replaced, left_out, doubled, added, swapped)[kind]


def _neighbour(letter: str, random: Random) -> str:
    """Return a key next to that of the letter, without its accent if need be; the letter itself if it has no key."""
    lower = letter.lower()
    key = lower if lower in "".join(_KEYBOARDS) else unicodedata.normalize("NFD", lower)[0]
    for rows in map(str.split, _KEYBOARDS):
        for above, row, below in zip(["", *rows], rows, [*rows[1:], ""], strict=False):
            if (at := row.find(key)) >= 0:
                left = max(at - 1, 0)
                key = random.choice(row[left:at] + row[at + 1 : at + 2] + above[at : at + 2] + below[left : at + 1])
                return key.upper() if letter.isupper() else key
    return letter


def subject_changes(collection: Collection, seed: int) -> Collection:
    """Put a conversation about another subject of the collection before every question; the judgements stay.

    The conversations are those of the collection or, if it has none, three questions about neighbouring passages. A
    search should find no less than for the question alone. Raises InputError if there is only one subject.
    """
    at = {passage.place.label: number for number, passage in enumerate(collection.passages)}
    places = {query.id: frozenset(map(at.__getitem__, collection.judgements[query.id])) for query in collection.queries}
    known = _conversations(collection.queries, places)
    pool = list(known.values()) or _composed(collection, places)
    changed = []
    for query in collection.queries:
        own = known[query.history[0].question][1] if query.history else places[query.id]
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


def _conversations(queries: Sequence[Query], places: _Places) -> dict[str, _Conversation]:
    """Return the conversations of a collection by their first questions, each with all known exchanges."""
    conversations: dict[str, _Conversation] = {}
    for query in queries:
        if query.history:
            known, about = conversations.get(query.history[0].question, ((), frozenset[int]()))
            longest = max(known, query.history, key=len)
            conversations[query.history[0].question] = longest, about | places[query.id]
    return conversations


def _composed(collection: Collection, places: _Places) -> list[_Conversation]:
    """Compose conversations of three questions whose relevant passages follow each other."""
    ordered = sorted(collection.queries, key=lambda query: min(places[query.id]))
    exchanges = [_exchange(query, collection.passages[min(places[query.id])].text) for query in ordered]
    groups = [slice(at, at + _QUESTIONS) for at in range(0, len(ordered), _QUESTIONS)]
    return [(tuple(exchanges[own]), frozenset().union(*(places[query.id] for query in ordered[own]))) for own in groups]


def _exchange(query: Query, text: str) -> Exchange:
    """Answer a question from its first relevant passage: with the sentence that has the known answer, or the first."""
    candidates = [text[start:end] for start, end in sentences(text)] or [text]
    answering = (sentence for sentence in candidates for answer in query.answers if answer in sentence)
    return Exchange(query.text, next(answering, candidates[0]))
