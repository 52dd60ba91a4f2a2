"""Search an index for a question and the conversation before it."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, Literal, NamedTuple

from app.documents.passages import Passage
from app.humanize import listed, quoted
from app.retrieval import analysis
from app.retrieval.analysis import QueryWord, foreign_language, names_subject
from app.retrieval.expansion import VARIANT
from app.retrieval.explain import FUNCTION_WORDS, MAX_SIMILAR_SHOWN, Explanation
from app.retrieval.segment import above
from app.translation import plural

if TYPE_CHECKING:
    from app.retrieval.index import Index, Match

DECAY = 0.3
"""Weight of an earlier question's words, to the power of how many questions ago it was asked."""

EXCHANGES = 8
"""Earlier questions that count."""

ANSWERED = 0.05
ANSWERED_MOST = 0.1
"""Weight of the words of the last answer, and the most that they add together, as a share of the question's score."""

UNRELATED, RELATED = 0.35, 0.55
"""Agreement between the searches for a question and for the earlier questions: up to the first value the history is
ignored, from the second on it counts fully."""

UNCLEAR, CLEAR = 0.5, 0.8
"""Margin by which the best passage for the question alone leads: up to the first value the question is unclear and the
history counts fully, from the second on the question is clear by itself and the history is ignored.

With these values nDCG@10 is 0.88 on mtrag-un, 252 follow-up questions of people, against 0.80 for the last question
alone; a question that follows another conversation loses at most 0.004 (docs/retrieval-evaluation.md).
"""

COMPARED = 100
"""Number of best passages of each search that are compared."""

GUESSED = 0.7
"""Coverage of an unknown word by a similar word, where a known word counts 1: some guesses are wrong."""


COVERED = 0.24
"""The least share of a question that the top passage must cover for models to be asked.

Corpora of 1 to 240 passages refuse at most 0.8 % of their own questions, the sample documents 75 to 96 % of these
(docs/retrieval-evaluation.md).
"""

ELSEWHERE = 50
"""Passages without the words of a question by which a corpus is thought larger: a word that each passage of a small
corpus holds is still rare in its language."""

FEW = 12
"""Number of passages of a corpus in which a word that occurs nowhere weighs half: a few passages lack most words."""

LONG = 8
"""Number of words of a question from which on more words demand no more: a long one has a preface or a story in it."""


MAX_NAMED = 3
"""Maximum number of unknown words named before an answer: a long question has some that do not matter."""


class Exchange(NamedTuple):
    """An earlier question of the conversation and its answer; `grounds` are those of `app/documents/privacy.py`."""

    question: str
    answer: str
    grounds: tuple[str, ...] = ()


@dataclass(frozen=True)
class Hit:
    """A retrieved passage; the explanation of its score is computed when it is asked for."""

    rank: int
    score: float
    passage: Passage
    explain: Callable[[], Explanation] = field(repr=False, compare=False)

    @cached_property
    def explanation(self) -> Explanation:
        """What accounts for the score."""
        return self.explain()


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The hits for a question; `unknown_words` occur in no document, `earlier_words` come from earlier questions.

    `weights` are those of the question's terms. `foreign` is the language of the question if no document is in it,
    `translation` the words that were searched besides its own. `plain_ranks` returns for each hit the rank, from 1, of
    its passage by plain BM25, or None if that does not find it; its first call on an index is slow.
    """

    query: str
    hits: tuple[Hit, ...]
    unknown_words: tuple[str, ...]
    earlier_words: tuple[str, ...]
    took_ms: float
    weights: Mapping[str, float] = field(default_factory=dict)
    foreign: str | None = None
    translation: str = ""
    engine: Literal["escalator", "rank_bm25"] = "escalator"
    plain_ranks: Callable[[], tuple[int | None, ...]] = field(default=tuple, repr=False, compare=False)

    @property
    def missing(self) -> str:
        """A sentence that names the words which occur in no document and for which nothing similar was found."""
        words = [quoted(word) for word in self.unknown_words if word not in self.taken_for][:MAX_NAMED]
        if not words:
            return ""
        return plural(
            "{words} occurs in none of your documents",
            "{words} occur in none of your documents",
            len(words),
            words=listed(words),
        )

    @property
    def taken_for(self) -> dict[str, tuple[str, ...]]:
        """The words of the passages that match instead of words which occur in no document."""
        matching = {
            word: dict.fromkeys(other for hit in self.hits for other in hit.explanation.alike.get(word, ()))
            for word in self.unknown_words
        }
        return {word: tuple(others)[:MAX_SIMILAR_SHOWN] for word, others in matching.items() if others}


def search(
    index: "Index",
    question: str,
    history: Sequence[Exchange] = (),
    k: int = 10,
    started: float | None = None,
    translation: str = "",
) -> SearchResult:
    """Return the `k` best passages for a question; `history` holds the exchanges before it, oldest first.

    `started` is when the search began, by `time.perf_counter`. The words of a `translation` are searched as well. A
    question of function words alone is searched by these, unless it continues the history.
    """
    started = time.perf_counter() if started is None else started
    own = index.words(question, translation)
    earlier, answered = _from_history(index, question, own, history)
    function = index.words(question, content=False)
    if not own:
        own, function = ([] if earlier else function), []  # "And there?" after another question, "What can you do?"
    words = [*own, *earlier, *answered, *(word._replace(surface=FUNCTION_WORDS) for word in function)]
    terms = index.terms(own, earlier, answered, function)
    matches = index.top_k(terms, k)
    known = {word.surface.casefold() for word in own if index.knows(word)}
    result = SearchResult(
        query=question,
        hits=_hits(index, matches, partial(index.explain, words=words, terms=terms)),
        unknown_words=_surfaces(word for word in index.words(question) if not index.knows(word)),
        earlier_words=_surfaces(word for word in earlier if word.surface.casefold() not in known),
        took_ms=1000 * (time.perf_counter() - started),
        weights={form: term.weight * share for term in reversed(terms) if term.finds for form, share in term.variants},
        foreign=foreign_language(question, index.languages),
        translation=translation,
        plain_ranks=partial(_plain_ranks, index, question, matches),
    )
    for hit in result.hits if index.elsewhere else ():
        _ = hit.explanation  # it is asked for where nothing may wait
    return result


def plain(index: "Index", question: str, k: int = 10) -> SearchResult:
    """Return the `k` best passages for a question by the class that extends rank_bm25's, and by nothing else."""
    started = time.perf_counter()
    words = index.words(question)
    matches = index.plain_top_k(words, k)
    return SearchResult(
        query=question,
        hits=_hits(index, matches, partial(index.explain, words=words, terms=index.terms((), exact=words))),
        unknown_words=_surfaces(word for word in words if not index.knows(word)),
        earlier_words=(),
        took_ms=1000 * (time.perf_counter() - started),
        engine="rank_bm25",
    )


def is_answerable(index: "Index", result: SearchResult) -> bool:
    """Return whether models are asked: the top passage covers the question, or more than its words were searched."""
    if not result.hits:
        return False
    more = bool(result.earlier_words or result.translation)
    return more or answerability(index, result.query, result.hits[0]) >= COVERED


def answerability(index: "Index", question: str, hit: Hit) -> float:
    """Return the share, from 0 to 1, of a question's words that a passage covers, weighted by their rarity.

    The weights depend little on the size of a small corpus (ELSEWHERE, FEW), and a long question needs no
    more words than a shorter one (LONG). A word that a similar term matches is covered as much as these are similar. A
    question without content words is covered. The best passage alone predicts more than several together, over which
    the words of many topics are scattered.
    """
    words = index.words(question)
    searched = {term.text: term for term in index.terms(words)}
    held = set(analysis.terms(f"{above(hit.passage)} {hit.passage.text}", hit.passage.language))
    covered = total = 0.0
    size = len(index)
    for word in words:
        own = [searched[text] for text in word.terms if text in searched]
        share = max((share for term in own for text, share in term.variants if text in held), default=0.0)
        rarity = index.rarity(index.holding(word), ELSEWHERE)
        if index.knows(word):
            share = min(1.0, share / VARIANT)
        else:
            rarity *= size / (size + FEW)
            share *= GUESSED
        total += rarity
        covered += rarity * share
    enough = LONG * index.rarity(1, ELSEWHERE) * max(0.5, size / (size + FEW))
    return min(1.0, covered / min(total, enough)) if total else 1.0


def _hits(index: "Index", matches: Sequence["Match"], explain: Callable[["Match"], Explanation]) -> tuple[Hit, ...]:
    return tuple(
        Hit(rank, round(match.score, 4), passage, partial(explain, match))
        for rank, (match, passage) in enumerate(zip(matches, index.passages(matches), strict=True), 1)
    )


def _plain_ranks(index: "Index", question: str, matches: Sequence["Match"]) -> tuple[int | None, ...]:
    ranking = index.plain_top_k(index.words(question), len(index))
    ranks = {match[1:]: rank for rank, match in enumerate(ranking, 1)}
    return tuple(ranks.get(match[1:]) for match in matches)


def _from_history(
    index: "Index", question: str, own: Sequence[QueryWord], history: Sequence[Exchange]
) -> tuple[list[QueryWord], list[QueryWord]]:
    """Return the words of earlier questions and of the last answer that are searched as well, with their weights."""
    earlier = [
        word._replace(weight=DECAY**ago)
        for ago, (asked, *_) in enumerate(history[: -1 - EXCHANGES : -1], 1)
        for word in index.words(asked)
        if index.knows(word)
    ]
    if not earlier:
        return [], []
    answered = [word for word in index.words(history[-1][1]) if index.knows(word)]
    alone = index.top_k(index.terms(own), COMPARED)
    if not alone:
        # Words of which none occurs are another subject; without a subject, the question is about the last one.
        follows = not names_subject(own)
        return (earlier, [word._replace(weight=ANSWERED) for word in answered]) if follows else ([], [])
    before = index.top_k(index.terms(earlier), COMPARED)
    clear = _ramp(_margin(alone, len(index)), UNCLEAR, CLEAR)
    share = _ramp(_agreement(alone, before), UNRELATED, RELATED) * (1 - clear)
    if not share:
        return [], []
    by_answer = index.top_k(index.terms((), exact=answered), 1)
    top = by_answer[0].score if by_answer else 1.0
    weight = share * min(ANSWERED, ANSWERED_MOST * alone[0].score / top)
    earlier = [word._replace(weight=share * word.weight) for word in earlier]
    return earlier, [word._replace(weight=weight) for word in answered]


def _agreement(one: Sequence["Match"], two: Sequence["Match"]) -> float:
    """Return how well one passage matches two searches at once: 1 if it is the best of both, 0 if they share none."""
    scores = {match[1:]: match.score for match in two}
    shared = (match.score * scores.get(match[1:], 0.0) for match in one)
    return max(shared) / (one[0].score * two[0].score) if two else 0.0


def _margin(matches: Sequence["Match"], passages: int) -> float:
    """Return by what share of its score the best passage exceeds the eleventh, or the median of a smaller corpus."""
    other = min(10, passages // 2)
    return 1 - (matches[other].score / matches[0].score if other < len(matches) else 0.0)


def _ramp(value: float, low: float, high: float) -> float:
    return min(1.0, max(0.0, (value - low) / (high - low)))


def _surfaces(words: Iterable[QueryWord]) -> tuple[str, ...]:
    return tuple({word.surface.casefold(): word.surface for word in words}.values())
