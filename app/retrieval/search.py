"""Search an index for a question and the conversation before it, and explain each hit by the words of the question."""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Literal, NamedTuple

from app.documents.passages import Passage
from app.retrieval.analysis import BREAKS, QueryWord, foreign_language, names_subject, normalize, stems, tokens
from app.translation import _, listed, mark, percent, plural, quoted

if TYPE_CHECKING:
    from app.retrieval.index import Index, Match
    from app.retrieval.scoring import QueryTerm

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

FUNCTION_WORDS = mark("function words")
"""What stands in an explanation for all function words of a question together."""

MAX_SIMILAR_SHOWN = 3
"""Words that are named as matching instead of one."""

MAX_WORDS_SHOWN = 8
"""Words of the question that are named as the reason for a hit."""

MAX_NAMED = 3
"""Maximum number of unknown words named before an answer: a long question has some that do not matter."""


class Exchange(NamedTuple):
    """An earlier question of the conversation and its answer; `grounds` are those of `app/documents/document.py`."""

    question: str
    answer: str
    grounds: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Explanation:
    """`terms` maps words of the question, and its function words together, to their shares of the passage's own score.

    `alike` maps words that the passage lacks to words of it that match instead. `context` is the share of the score
    that comes from other passages of its document.
    """

    terms: Mapping[str, float]
    alike: Mapping[str, tuple[str, ...]]
    context: float

    def __str__(self) -> str:
        """List words of the question, the words of the passage that match instead, and the share of each."""
        shares, terms = dict[str, float](), [*self.terms.items()]
        for word, share in terms[:MAX_WORDS_SHOWN]:
            others = "".join(f" ≈ {other}" for other in self.alike.get(word, ())[:1])
            shown = _(FUNCTION_WORDS) if word == FUNCTION_WORDS else word
            shares[shown + others] = share * (1 - self.context)
        shares[_("other words")] = sum(share for _word, share in terms[MAX_WORDS_SHOWN:]) * (1 - self.context)
        shares[_("the rest of the document")] = self.context
        whole = _rounded([*shares.values()], 100)
        return ", ".join(f"{name} {percent(share / 100)}" for name, share in zip(shares, whole, strict=True) if share)


@dataclass(frozen=True, slots=True)
class Hit:
    """A retrieved passage; `explain` returns the explanation of a rank, which is computed when it is asked for."""

    rank: int
    score: float
    passage: Passage
    explain: Callable[[int], Explanation] = field(repr=False, compare=False)

    @property
    def explanation(self) -> Explanation:
        """What accounts for the score."""
        return self.explain(self.rank)


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
    index: "Index", question: str, history: Sequence[Exchange] = (), k: int = 10, translation: str = ""
) -> SearchResult:
    """Return the `k` best passages for a question; `history` holds the exchanges before it, oldest first.

    The words of a `translation` are searched as well. A question of function words alone is searched by these, unless
    it continues the history.
    """
    started = time.perf_counter()
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
        hits=_hits(index, matches, words, terms),
        unknown_words=_surfaces(word for word in index.words(question) if not index.knows(word)),
        earlier_words=_surfaces(word for word in earlier if word.surface.casefold() not in known),
        took_ms=1000 * (time.perf_counter() - started),
        weights={form: term.weight * share for term in reversed(terms) if term.finds for form, share in term.variants},
        foreign=foreign_language(question, index.languages),
        translation=translation,
        plain_ranks=partial(_plain_ranks, index, question, [match[1:] for match in matches]),
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
        hits=_hits(index, matches, words, index.terms((), exact=words)),
        unknown_words=_surfaces(word for word in words if not index.knows(word)),
        earlier_words=(),
        took_ms=1000 * (time.perf_counter() - started),
        engine="rank_bm25",
    )


def _hits(
    index: "Index", matches: Sequence["Match"], words: Sequence[QueryWord], terms: Sequence["QueryTerm"]
) -> tuple[Hit, ...]:
    passages = index.passages(matches)
    explain = _Explanations(partial(_explain, index, words, terms, matches, passages))
    return tuple(
        Hit(rank, round(match.score, 4), passage, explain)
        for rank, (match, passage) in enumerate(zip(matches, passages, strict=True), 1)
    )


class _Explanations:
    """Explains all hits of a search at once, when one is asked for, and then forgets the words and terms of the query.

    A conversation keeps its hits for as long as it is open, and most of their memory would be these.
    """

    def __init__(self, explain: Callable[[], Iterable[Explanation]]) -> None:
        self._explain: Callable[[], Iterable[Explanation]] | None = explain
        self._made: list[Explanation] = []

    def __call__(self, rank: int) -> Explanation:
        if (explain := self._explain) is not None:  # threads that meet here compute it twice
            self._made, self._explain = [*explain()], None
        return self._made[rank - 1]


def _plain_ranks(index: "Index", question: str, passages: Sequence[tuple[int, int]]) -> tuple[int | None, ...]:
    ranking = index.plain_top_k(index.words(question), len(index))
    ranks = {match[1:]: rank for rank, match in enumerate(ranking, 1)}
    return tuple(map(ranks.get, passages))


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


def _explain(
    index: "Index",
    words: Sequence[QueryWord],
    terms: Sequence["QueryTerm"],
    matches: Sequence["Match"],
    passages: Sequence[Passage],
) -> Iterator[Explanation]:
    """Explain matches by the words of the question, which the terms belong to."""
    names, weights = dict[str, str](), Counter[str]()
    for word in words:
        names.setdefault(word.surface.casefold(), word.surface)
        weights.update(dict.fromkeys(word.terms, word.weight))
    shared = [
        (names[word.surface.casefold()], [(term, word.weight / weights[term]) for term in word.terms]) for word in words
    ]
    for passage, (parts, context, held) in zip(passages, index.parts(matches, terms), strict=True):
        shares = _word_shares(shared, parts)
        variants = {term.text: [text for text, _ in term.variants if text in held] for term in terms}
        alike: dict[str, tuple[str, ...]] = {}
        for word in words:
            matching = [text for term in word.terms if term not in held for text in variants.get(term, ())]
            own = normalize(word.surface)  # which a passage in another language may have under another stem
            similar = tuple(other for other in _similar_words(passage, matching) if other != own) if matching else ()
            if word.surface in shares and similar:
                alike[word.surface] = similar
        yield Explanation(shares, alike, round(context, 3))


def _rounded(shares: Sequence[float], whole: int) -> list[int]:
    """Return shares of 1 as integers that add up to `whole`, or to their part of it.

    What rounding down leaves goes to the shares that it cut most.
    """
    exact = [whole * share for share in shares]
    found = [int(share + 1e-9) for share in exact]
    left = round(sum(exact)) - sum(found)
    for at in sorted(range(len(exact)), key=lambda at: found[at] - exact[at])[:left]:
        found[at] += 1
    return found


def _word_shares(words: Sequence[tuple[str, list[tuple[str, float]]]], parts: Mapping[str, float]) -> dict[str, float]:
    """Return the share of each word in a score, in thousandths that add up to 1, the largest first.

    `words` have the terms of each word and its share of them, `parts` what each term adds to the score.
    """
    by_word = defaultdict[str, float](float)
    for name, terms in words:
        by_word[name] += sum(parts.get(term, 0.0) * share for term, share in terms)
    total = sum(by_word.values())
    exact = {name: part / total for name, part in sorted(by_word.items(), key=lambda item: -item[1]) if part > 0}
    return {name: share / 1000 for name, share in zip(exact, _rounded([*exact.values()], 1000), strict=True)}


def _similar_words(passage: Passage, terms: Sequence[str]) -> tuple[str, ...]:
    """Return the words of a passage that have these terms, in the order of the terms, up to `MAX_SIMILAR_SHOWN`."""
    words = [word for word in tokens(passage.text) if word[0] not in BREAKS]
    of_term = dict(zip(reversed(stems(words, passage.language)), reversed(words), strict=True))
    return tuple(dict.fromkeys(of_term[term] for term in terms if term in of_term))[:MAX_SIMILAR_SHOWN]
