"""Rerank the best passages of a segment by term proximity, function words and the other passages of their documents.

Words of a question that share a sentence, or follow each other, say more than words scattered over a passage: on seven
collections in five languages this raised nDCG@10 by 0.004 and lowered it on none (docs/retrieval-evaluation.md). And a
passage whose document or neighbours match as well is more likely to be the one that is meant.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from app.retrieval.bm25 import saturation
from app.retrieval.scoring import Array, QueryTerm, Ranked, Scorer, largest
from app.retrieval.segment import BREAK

DEPTH = 50
"""Passages of the first ranking that are reranked."""

SENTENCE = 0.25
"""Weight of the rarities of the question's words in the best sentence of a passage."""

SIMILAR = 2.5
"""Factor from what a similar term counts as an occurrence to what it counts here: half its similarity."""

PAIR = 0.2
"""Weight of two consecutive words of the question that also occur in this order, at most one word apart."""

PAIR_K1, PAIR_B = 1.2, 0.3
"""BM25's parameters for such pairs, which long passages contain by chance less often than single words."""

MAX_TERMS = 100
"""Terms of a question above which their proximity says nothing."""

DOCUMENT = 1 / 6
"""Part of the way by which a passage moves up to the score of the best passage of its document."""

NEIGHBOUR = 0.04
"""Weight of the better score of the passages before and after."""


def rerank(scorer: Scorer, documents: Array, terms: Sequence[QueryTerm], ranked: Ranked, k: int) -> Ranked:
    """Return the `k` best of some passages; `documents` is the document number of each passage of the segment."""
    order = np.argsort(ranked[0])
    passages, scores = ranked[0][order], ranked[1][order]
    scores = scores + proximity(scorer, terms, passages)
    return largest(passages, scores + context(passages, scores, documents), k)


def proximity(scorer: Scorer, terms: Sequence[QueryTerm], passages: Array) -> Array:
    """Return what function words and the proximity of the question's own terms add to the score of some passages."""
    own = [term for term in terms if term.position >= 0]
    function = [term for term in terms if not term.finds]
    if not len(passages) or not 0 < len(own) <= MAX_TERMS:
        return np.zeros(len(passages))
    every = _occurrences(scorer, [*own, *function], passages)
    words = every.of(every.term < len(own))
    weights, positions = (np.array([getattr(term, name) for term in own]) for name in ("weight", "position"))
    lengths = scorer.postings.lengths[passages]
    added = _best_sentence(words, weights, len(passages))
    added += _pairs(words, weights, positions, lengths, scorer.mean_length)
    if function:
        others = every.of(every.term >= len(own))
        at = others.passage * len(function) + others.term - len(own)
        frequency = np.bincount(at, minlength=len(passages) * len(function)).reshape(-1, len(function))
        added += saturation(frequency, lengths[:, None], scorer.mean_length) @ [term.weight for term in function]
    return added


def context(passages: Array, scores: Array, documents: Array) -> Array:
    """Return what other passages of the document add to each of some passages, given in ascending order."""
    owners = documents[passages]
    if not len(owners):
        return np.zeros(0)
    first = np.diff(owners, prepend=-1) != 0
    best = np.maximum.reduceat(scores, np.flatnonzero(first))[np.cumsum(first) - 1]
    adjacent = (passages[1:] - passages[:-1] == 1) & ~first[1:]
    beside = np.zeros(len(passages))
    beside[:-1] = scores[1:] * adjacent
    beside[1:] = np.maximum(beside[1:], scores[:-1] * adjacent)
    added: Array = DOCUMENT * (best - scores) + NEIGHBOUR * beside
    return added


class _Occurrences(NamedTuple):
    """Where terms of the question occur, and how similar the words there are to the terms.

    `passage` is an index of the given passages; sentences and places are numbered through all of them.
    """

    passage: Array
    sentence: Array
    place: Array
    term: Array
    similarity: Array

    def of(self, chosen: Array) -> "_Occurrences":
        """Return those for which `chosen` is true."""
        return self if chosen.all() else _Occurrences(*(field[chosen] for field in self))


def _occurrences(scorer: Scorer, terms: Sequence[QueryTerm], passages: Array) -> _Occurrences:
    postings = scorer.postings
    matches = [scorer.matches(term.variants) for term in terms]
    owners = np.repeat(np.arange(len(terms)), [len(each.numbers) for each in matches])
    similarity = np.minimum(1.0, SIMILAR * np.concatenate([each.shares for each in matches]))
    order = np.lexsort((owners, similarity))  # where two match the same word, the most similar is set last
    known = np.zeros(len(postings.starts), np.min_scalar_type(len(order)))  # one more than there are terms, for BREAK
    known[np.concatenate([each.numbers for each in matches])[order]] = order + 1
    parts = postings.tokens_of(passages.tolist())
    tokens = np.concatenate(parts)
    variant = known[tokens]
    place = np.flatnonzero(variant)
    variant = variant[place] - 1
    passage = np.searchsorted(np.cumsum([len(part) for part in parts]), place, "right")
    sentence = np.cumsum(tokens == BREAK)[place] + passage
    return _Occurrences(passage, sentence, place, owners[variant], similarity[variant])


def _best_sentence(words: _Occurrences, weights: Array, size: int) -> Array:
    terms = len(weights)
    match = np.zeros((int(words.sentence.max(initial=-1)) + 1) * terms)  # of sentences and terms
    np.maximum.at(match, words.sentence * terms + words.term, words.similarity)  # a term counts once in a sentence
    rarity = (match.reshape(-1, terms) * weights).sum(axis=1)
    best = np.zeros(size)
    np.maximum.at(best, words.passage, rarity[words.sentence])
    return SENTENCE * best


def _pairs(words: _Occurrences, weights: Array, positions: Array, lengths: Array, mean_length: float) -> Array:
    position, weight = positions[words.term], weights[words.term]
    frequency = np.zeros((len(lengths), int(positions.max()) + 1))
    least = np.zeros(frequency.shape[1])
    for ahead in (1, 2):
        one, two = slice(None, -ahead), slice(ahead, None)
        near = (words.passage[one] == words.passage[two]) & (words.place[two] - words.place[one] <= 2)
        at = np.flatnonzero(near & (position[two] == position[one] + 1))
        np.add.at(frequency, (words.passage[at], position[at]), words.similarity[at] * words.similarity[at + ahead])
        np.maximum.at(least, position[at], np.minimum(weight[at], weight[at + ahead]))
    pairs: Array = PAIR * saturation(frequency, lengths[:, None], mean_length, PAIR_K1, PAIR_B) @ least
    return pairs
