"""Why a passage was found: which words of the question account for its score, and what stands for them in it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.documents.passages import Passage
from app.retrieval.analysis import BREAKS, QueryWord, stems, tokens
from app.retrieval.rerank import own_score
from app.retrieval.scoring import Scorer, Term

MOST_ALIKE = 3
"""Words that are named as standing for one."""

MOST_WORDS = 8
"""Words of the question that are named as the reason for a hit."""


@dataclass(frozen=True, slots=True)
class Why:
    """`terms` maps words of the question to their shares of what the passage scores by itself, the largest first.

    `alike` maps those that the passage does not hold to words of it that stand for them. `context` is the share of the
    score that comes from what stands around the passage.
    """

    terms: Mapping[str, float]
    alike: Mapping[str, tuple[str, ...]]
    context: float

    def __str__(self) -> str:
        """List words of the question, the words of the passage that match instead, and the share of each."""
        parts = []
        for word, share in list(self.terms.items())[:MOST_WORDS]:
            others = "".join(f" ≈ {other}" for other in self.alike.get(word, ())[:1])
            parts.append(f"{word}{others} {share:.0%}")
        context = f"; context {self.context:.0%}" if self.context >= 0.005 else ""
        return ", ".join(parts) + context


def why(
    scorer: Scorer, number: int, score: float, passage: Passage, words: Sequence[tuple[QueryWord, float]],
    terms: Sequence[Term],
) -> Why:  # fmt: skip
    """Explain the score of a passage, which has this number in the scorer's postings."""
    first, last = scorer.postings.begins[number : number + 2]
    held = Counter(scorer.postings.tokens[first:last].tolist())
    parts = [scorer.weighed(term, held, number) for term in terms]
    shares = _shares(words, {term.text: part for term, part in zip(terms, parts, strict=True)})
    standing_in = _standing_in(scorer, terms, held)
    alike = {}
    for word, _ in words:
        instead = [form for text in word.terms for form in standing_in.get(text, ())]
        if word.surface in shares and instead:
            alike[word.surface] = tuple(_surfaces(passage, instead)[:MOST_ALIKE])
    own = own_score(scorer, terms, number, sum(parts))
    return Why(shares, alike, round(max(0.0, 1 - own / score), 3))


def _standing_in(scorer: Scorer, terms: Sequence[Term], held: Mapping[int, int]) -> dict[str, list[str]]:
    """For each term that is not held those that are and count for it, the most alike first."""
    known = scorer.postings.numbers
    return {
        term.text: [text for text, _ in term.counting if known.get(text) in held]
        for term in terms
        if known.get(term.text) not in held
    }


def _surfaces(passage: Passage, terms: Sequence[str]) -> list[str]:
    """The words of a passage that have these terms, in their order."""
    words = [word for word in tokens(passage.text) if word[0] not in BREAKS]
    of_term = dict(zip(reversed(stems(words, passage.language)), reversed(words), strict=True))
    return list(dict.fromkeys(of_term[term] for term in terms if term in of_term))


def _shares(words: Sequence[tuple[QueryWord, float]], parts: Mapping[str, float]) -> dict[str, float]:
    """What part of a score each word accounts for, in thousandths that add up to 1, the largest first.

    `parts` maps terms to what they account for; what rounding down leaves goes where it cut most.
    """
    asked = Counter[str]()
    for word, weight in words:
        asked.update(dict.fromkeys(word.terms, weight))
    surfaces: dict[str, str] = {}
    by_word: dict[str, float] = {}
    for word, weight in words:
        surface = surfaces.setdefault(word.surface.casefold(), word.surface)
        score = sum(parts.get(term, 0.0) * weight / asked[term] for term in word.terms)
        if score > 0:
            by_word[surface] = by_word.get(surface, 0.0) + score
    total = sum(by_word.values())
    exact = {word: 1000 * part / total for word, part in sorted(by_word.items(), key=lambda item: -item[1])}
    shares = {word: int(share) for word, share in exact.items()}
    for name in sorted(exact, key=lambda name: shares[name] - exact[name])[: 1000 - sum(shares.values())]:
        shares[name] += 1
    return {word: share / 1000 for word, share in shares.items()}
