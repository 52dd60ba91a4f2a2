"""The index of passages: the terms a question is searched by, and the best passages for them.

It knows no conversation and no prompt.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from functools import cached_property, lru_cache
from heapq import nsmallest
from itertools import chain, compress
from typing import NamedTuple

import numpy as np

from app.documents.passages import Passage
from app.retrieval import expansion
from app.retrieval.analysis import QueryWord, normalize, query_words
from app.retrieval.bm25 import BM25, idf
from app.retrieval.expansion import CACHED, MAX_SIMILAR, VARIANT, Spellings, Variants
from app.retrieval.rerank import DEPTH, proximity, rerank
from app.retrieval.scoring import FUNCTION, NO_POSITION, Array, QueryTerm, Ranked, Scorer
from app.retrieval.segment import Segment

PART = 0.25
"""What an identifier counts for a word that is a part of it, where the word itself counts 1."""

ACRONYM = 3
"""Letters of an acronym that may have an s: of GPU, GPUs."""

ALONE = 0.4
"""Least similarity of the most similar term if similar terms stand in for a word that occurs nowhere.

Of the words of XQuAD that the sample documents lack 7 % find such terms, 14 % with 0.3; from 0.45 on too many compounds
get lost.
"""

FUNCTION_WORD = 0.4
"""Weight of a function word, where a content word counts 1 (docs/retrieval-evaluation.md)."""

REPEATED = 0.5
"""A word that a question names several times weighs their number to this power."""

MAX_EXPANDED = 32
"""Words of a question that are expanded; bounds the time that a long text takes."""


CACHED_TEXTS = 20
"""Texts whose words are cached: one search asks for those of the question and of the history several times."""


class Match(NamedTuple):
    """The score of a passage, its segment, and its number there."""

    score: float
    segment: int
    passage: int


class Index:
    """Searches segments of passages, each passage in its own language."""

    elsewhere = False
    """Whether another process is asked for postings and texts, which may take time, or fail."""

    def __init__(self, segments: Sequence[tuple[Segment, Array | None]]):
        """Take each segment with a truth value for each of its passages, false for deleted ones, or None."""
        self._segments = segments
        self._size = sum(segment.size if alive is None else int(alive.sum()) for segment, alive in segments)
        self._words = lru_cache(CACHED_TEXTS)(self._read)
        self._spelled = lru_cache(CACHED)(self._spell)
        self._corrections = lru_cache(CACHED)(self._correct)
        self._holding = lru_cache(CACHED)(self._count)
        self._known = lru_cache(CACHED)(self._look_up)
        self._guess = lru_cache(CACHED)(self._guess_variants)

    @classmethod
    def of(cls, passages: Sequence[Passage], documents: Sequence[int] | None = None) -> "Index":
        """Return an index in memory; `documents` is the document number of each passage, by default one each."""
        return cls([(Segment.of(passages, documents), None)])

    def __len__(self) -> int:
        return self._size

    @cached_property
    def languages(self) -> list[str]:
        """The languages of the passages, the most frequent one first."""
        counts = sum((segment.languages for segment, _ in self._segments), Counter[str]())
        return sorted(counts, key=lambda code: (-counts[code], code))

    def words(self, *texts: str, content: bool = True) -> list[QueryWord]:
        """Return the content words of some texts, or the function words, each once; a repeated one weighs more."""
        return [word for word in self._words(tuple(filter(None, texts))) if word.content == content]

    def holding(self, word: QueryWord) -> int:
        """Return the number of passages that contain the word or another form of it."""
        return self._holding(*word.terms, *(term for term, _ in word.also))

    def rarity(self, holding: int, elsewhere: int = 0) -> float:
        """Return the rarity of a term that so many passages contain, with further passages `elsewhere` that do not."""
        return idf(self._size + elsewhere, holding)

    def knows(self, word: QueryWord) -> bool:
        """Return whether the word, or another form of it, occurs in a passage."""
        return bool(word.also) or bool(self.holding(word))

    def terms(
        self,
        own: Sequence[QueryWord],
        earlier: Sequence[QueryWord] = (),
        exact: Sequence[QueryWord] = (),
        function: Sequence[QueryWord] = (),
    ) -> list[QueryTerm]:
        """Return the terms that words are searched by, with their variants.

        `own` are the words of the question; the words of `earlier` questions need not occur together; those of `exact`
        are not expanded. The `function` words only rank passages that other words find. A word that occurs nowhere is
        searched by what it may have been meant to be.
        """
        terms: dict[str, QueryTerm] = {}
        expanded = min(len(own) + len(earlier), MAX_EXPANDED)
        first = own[:MAX_EXPANDED]
        # Unknown words are guessed at if one word is known, or at least half of them can be guessed: many a question
        # about another topic has a word that resembles one of the corpus.
        guess = any(map(self.knows, first)) or 2 * sum(self._guess(word)[0] > 0 for word in first) >= len(first)
        positions = [*range(len(own)), *[NO_POSITION] * (len(earlier) + len(exact)), *[FUNCTION] * len(function)]
        for at, word in enumerate([*own, *earlier, *exact, *function]):
            forms = [(form, *self._known(form, at < expanded, word.also)) for form in word.terms]
            if not any(rarity for _, rarity, _ in forms):
                if word.also:
                    forms = [(word.terms[0], self.rarity(self.holding(word)), word.also)]
                elif at < expanded and guess:
                    forms = [(word.terms[0], *self._guess(word))]
            for form, rarity, variants in forms:
                if form in terms:
                    terms[form] = terms[form]._replace(weight=terms[form].weight + word.weight * rarity)
                elif rarity:
                    terms[form] = QueryTerm(form, word.weight * rarity, variants, positions[at])
        return list(terms.values())

    def top_k(self, terms: Sequence[QueryTerm], k: int, *, reranked: bool = True) -> list[Match]:
        """Return the `k` best passages that contain one of the terms, equal ones in their order."""
        matches: list[Match] = []
        for number in range(len(self._segments)):
            passages, scores = self._ranked(number, terms, k, reranked)
            matches += [Match(score, number, at) for score, at in zip(scores.tolist(), passages.tolist(), strict=True)]
        return matches if len(self._segments) == 1 else nsmallest(k, matches, key=lambda match: (-match[0], *match[1:]))

    def passages(self, matches: Sequence[Match]) -> list[Passage]:
        """Return the passages of matches."""
        return [self._segments[match.segment][0].passage(match.passage) for match in matches]

    def parts(
        self, matches: Sequence[Match], terms: Sequence[QueryTerm]
    ) -> list[tuple[dict[str, float], float, set[str]]]:
        """Return what each term adds to the score of each match, the share of other passages in it, and its terms."""
        scorers = defaultdict[Scorer, list[tuple[int, int]]](list)
        for number, match in enumerate(matches):
            scorer, at = self._scorer(match)
            scorers[scorer].append((number, at))
        parts: dict[int, tuple[dict[str, float], float, set[str]]] = {}
        for scorer, places in scorers.items():
            passages = np.array([at for _, at in places])
            added = [scorer.score(term, passages).tolist() for term in terms]
            near, held = proximity(scorer, terms, passages).tolist(), scorer.postings.of_passages(passages.tolist())
            for row, (number, _) in enumerate(places):
                own = {term.text: each[row] for term, each in zip(terms, added, strict=True)}
                share = 1 - (sum(own.values()) + near[row]) / matches[number].score
                parts[number] = own, max(0.0, share), set(held[row])
        return [parts[number] for number in range(len(matches))]

    def plain_top_k(self, words: Sequence[QueryWord], k: int) -> list[Match]:
        """Return the `k` best passages by the class that extends rank_bm25's alone; the first call is slow."""
        places, bm25 = self._plain
        scores = bm25.get_scores([term for word in words for term in word.terms])
        top = np.argsort(-scores, kind="stable")[:k].tolist()
        return [Match(float(scores[at]), *places[at]) for at in top if scores[at]]

    @cached_property
    def _plain(self) -> tuple[list[tuple[int, int]], BM25]:
        """The segment and number of each passage, and the ranking of the passages by their terms."""
        places: list[tuple[int, int]] = []
        texts: list[list[str]] = []
        for number, (segment, alive) in enumerate(self._segments):
            passages = range(segment.size) if alive is None else np.flatnonzero(alive).tolist()
            places += [(number, passage) for passage in passages]
            texts += segment.postings.of_passages(passages)
        return places, BM25(texts)

    def _ranked(self, number: int, terms: Sequence[QueryTerm], k: int, reranked: bool) -> Ranked:
        """Return the `k` best passages of a segment."""
        return best(self._scorers[number], self._segments[number][0].documents, terms, k, reranked)

    def _scorer(self, match: Match) -> tuple[Scorer, int]:
        """Return what scores a match, and the number of its passage there."""
        return self._scorers[match.segment], match.passage

    @cached_property
    def _mean_length(self) -> float:
        words = sum(
            int((segment.postings.lengths if alive is None else segment.postings.lengths[alive]).sum())
            for segment, alive in self._segments
        )
        return words / max(1, self._size)

    @cached_property
    def _scorers(self) -> list[Scorer]:
        return [Scorer(segment.postings, self._mean_length, alive) for segment, alive in self._segments]

    @cached_property
    def _counts(self) -> list[Array]:
        """For each segment, how many passages contain each of its terms."""
        return [segment.postings.counts(alive) for segment, alive in self._segments]

    @cached_property
    def _letters(self) -> str:
        return expansion.alphabet(self._spellings.terms)

    @cached_property
    def _vocabulary(self) -> frozenset[str]:
        return frozenset().union(
            *(
                segment.postings.terms if alive is None else compress(segment.postings.terms, counts.tolist())
                for (segment, alive), counts in zip(self._segments, self._counts, strict=True)
            )
        )

    @cached_property
    def _spellings(self) -> Spellings:
        return Spellings(self._vocabulary, self.languages, lambda term: bool(self._holding(term)))

    def _read(self, texts: Sequence[str]) -> list[QueryWord]:
        """Return all words of some texts, each once, the first of the content words with their other spellings."""
        words = [word for text in texts for word in query_words(text, self.languages)]
        first = {(word.content, word.terms): word for word in reversed(words)}
        counts = Counter((word.content, word.terms) for word in words)
        weighted = [
            first[key]._replace(weight=count**REPEATED * (1.0 if key[0] else FUNCTION_WORD))
            for key, count in counts.items()
        ]
        content = [word for word in weighted if word.content]
        spelled = [other for word in content[:MAX_EXPANDED] for other in self._spelled(word)]
        joined: defaultdict[QueryWord, Variants] = defaultdict(tuple)
        for term, members in (part for text in texts for part in self._spellings.together(text, spelled)):
            for word in members:
                joined[word] += ((term, 1.0),)
        spelled = [word._replace(also=_joined(word.also, joined[word])) if word in joined else word for word in spelled]
        return [*spelled, *content[MAX_EXPANDED:], *(word for word in weighted if not word.content)]

    def _spell(self, word: QueryWord) -> tuple[QueryWord, ...]:
        """Return a word with its other spellings, or the known words that it consists of if nothing else is known."""
        forms = {normalize(word.surface), *word.terms}
        if (acronym := word.surface.removesuffix("s")).isupper() and len(acronym) >= ACRONYM:
            forms |= {acronym.lower(), f"{acronym.lower()}s"}
        same = self._spellings.same(forms)
        inside = self._spellings.inside(forms) - same
        if same or inside:
            share = PART if same else 1.0
            also = {**dict.fromkeys(sorted(inside), share), **dict.fromkeys(sorted(same), 1.0)}
            return (word._replace(also=tuple((term, also[term]) for term in also if term not in word.terms)),)
        if self._corrections(word.surface):
            return (word,)
        parts = [part for text in self._spellings.apart(word.surface) for part in query_words(text, self.languages)]
        parts = [other for part in parts if part.content for other in self._spelled(part)]
        if parts and all(map(self.knows, parts)):
            return tuple(part._replace(surface=word.surface, weight=word.weight) for part in parts)
        return (word._replace(also=tuple((term, 1.0) for term in sorted(self._spellings.related(word.terms)))),)

    def _count(self, *terms: str) -> int:
        """Return the number of passages that contain at least one of the terms."""
        known = [term for term in dict.fromkeys(terms) if term in self._vocabulary]
        if len(known) > 1:
            return sum(scorer.holding(*known) for scorer in self._scorers)
        numbers = [segment.postings.numbers for segment, _ in self._segments]
        pairs = zip(numbers, self._counts, strict=True)
        return sum(int(counts[of[term]]) for of, counts in pairs for term in known if term in of)

    def _look_up(self, term: str, expand: bool, also: Variants) -> tuple[float, Variants]:
        """Return the rarity of a term, 0 if it occurs nowhere, and its variants, with those that are given."""
        holding = self._holding(term)
        if not holding:
            return 0.0, ()
        similar = _as_variants(self._similar(term) if expand else ())
        return self.rarity(holding), _joined(((term, 1.0), *similar), also)

    def _guess_variants(self, word: QueryWord) -> tuple[float, Variants]:
        """Return rarity and variants of a word that occurs nowhere: words one error away or else very similar terms."""
        similar = self._similar(word.terms[0])
        if corrections := self._corrections(word.surface):
            others = _as_variants((term, similarity) for term, similarity in similar if term not in corrections)
            variants = (*((term, 1.0) for term in corrections), *others)
        else:
            corrections = tuple(term for term, _ in similar)
            variants = similar if similar and similar[0][1] >= ALONE else ()
        holding = self._holding(*corrections) if variants else 0
        return self.rarity(holding) if holding else 0.0, variants

    def _correct(self, surface: str) -> tuple[str, ...]:
        """Return the terms of words that are one error away."""
        near = expansion.correct_spelling(normalize(surface), self.languages, self._letters, self._vocabulary)
        return tuple(filter(self._holding, near))

    def _similar(self, term: str) -> Variants:
        """Return the terms that are most similar to one, over all segments, with their similarity."""
        every = (segment.postings for segment, _ in self._segments)
        found = (expansion.similar_terms(term, each.terms, each.arrays, self._vocabulary) for each in every)
        similar = dict(chain.from_iterable(found))
        return tuple(nsmallest(MAX_SIMILAR, similar.items(), key=lambda item: (-item[1], item[0])))


def best(scorer: Scorer, documents: Array, terms: Sequence[QueryTerm], k: int, reranked: bool) -> Ranked:
    """Return the `k` best passages of a scorer; `documents` is the document number of each of its passages."""
    ranked = scorer.top_k([term for term in terms if term.finds], max(DEPTH, k) if reranked else k)
    return rerank(scorer, documents, terms, ranked, k) if reranked else ranked


def _joined(variants: Variants, more: Iterable[tuple[str, float]]) -> Variants:
    """Return variants with more of them, each term once, the first one first."""
    shares = dict(variants)
    for term, share in more:
        shares[term] = max(share, shares.get(term, 0.0))
    return tuple(shares.items())


def _as_variants(similar: Iterable[tuple[str, float]]) -> Variants:
    return tuple((term, VARIANT * similarity) for term, similarity in similar)
