"""The index of passages: which of them answer to the words of a question, and how well."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from posixpath import splitext

from app.documents.passages import Passage
from app.retrieval.analysis import QueryWord, query_words, terms


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage that was found; `terms` maps words of the question to their shares of the score, the largest first."""

    rank: int
    score: float
    passage: Passage
    terms: Mapping[str, float]


class Index:
    """Searches a list of passages, each in its own language; it knows no folder and no conversation."""

    def __init__(self, passages: Sequence[Passage], before: "Index | None" = None):
        """`before` is an index that shares passages with this one and saves analysing them again."""
        from app.retrieval.bm25 import BM25

        known = before.terms if before else {}
        self.passages = passages
        self.terms: dict[Passage, list[str]] = {passage: known.get(passage) or _terms(passage) for passage in passages}
        self.languages = [code for code, _ in Counter(passage.language for passage in passages).most_common()]
        self._bm25 = BM25(self.terms[passage] for passage in passages)

    def words(self, question: str) -> list[QueryWord]:
        """The words of a question that say what it is about."""
        return [word for word in query_words(question, self.languages) if word.content]

    def knows(self, word: QueryWord) -> bool:
        """Whether the word, or another form of it, occurs in a passage."""
        return any(term in self._bm25.idf for term in word.terms)

    def search(self, weighted: Iterable[tuple[QueryWord, float]], k: int) -> list[Hit]:
        """The `k` best passages that hold at least one of the words; equal ones stay in the order of the passages."""
        import numpy as np

        weighted = list(weighted)
        scores = np.zeros(len(self.passages))
        matched = np.zeros(len(self.passages), dtype=bool)
        for term, weight in _weights(weighted).items():
            documents, added = self._bm25.term_scores(term)
            scores[documents] += weight * added
            matched[documents] = True
        found = np.flatnonzero(matched)
        best = found[np.argsort(-scores[found], kind="stable")][:k]
        shares = self._shares(weighted, best.tolist())
        return [
            Hit(rank, round(float(scores[number]), 4), self.passages[number], share)
            for rank, (number, share) in enumerate(zip(best.tolist(), shares, strict=True), 1)
        ]

    def _shares(self, weighted: list[tuple[QueryWord, float]], numbers: list[int]) -> list[dict[str, float]]:
        """For each passage, what part of its score each word of the question accounts for."""
        parts: list[dict[str, float]] = [{} for _ in numbers]
        surfaces: dict[str, str] = {}
        for word, weight in weighted:
            surface = surfaces.setdefault(word.surface.casefold(), word.surface)
            for part, score in zip(parts, self._bm25.get_batch_scores(word.terms, numbers), strict=True):
                if score > 0:
                    part[surface] = part.get(surface, 0.0) + weight * score
        return [_rounded(part) for part in parts]


def _terms(passage: Passage) -> list[str]:
    """The terms of the passage and of what stands above it: the path of its file, the title and the heading."""
    path, _ = splitext(passage.file)
    heading = passage.place.label if passage.place.kind == "heading" else ""
    above = dict.fromkeys(terms(f"{path} {passage.title} {heading}", passage.language))
    return [*terms(passage.text, passage.language), *above]


def _weights(weighted: Iterable[tuple[QueryWord, float]]) -> dict[str, float]:
    weights: dict[str, float] = {}
    for word, weight in weighted:
        for term in word.terms:
            weights[term] = weights.get(term, 0.0) + weight
    return weights


def _rounded(parts: dict[str, float]) -> dict[str, float]:
    """Shares in thousandths that add up to 1, the largest first; what rounding down leaves goes where it cut most."""
    total = sum(parts.values())
    exact = {word: 1000 * part / total for word, part in sorted(parts.items(), key=lambda item: -item[1])}
    shares = {word: int(share) for word, share in exact.items()}
    for word in sorted(exact, key=lambda word: shares[word] - exact[word])[: 1000 - sum(shares.values())]:
        shares[word] += 1
    return {word: share / 1000 for word, share in shares.items()}
