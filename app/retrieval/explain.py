"""Explain a hit: which words of the question account for its score, and which words of the passage match instead."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.documents.passages import Passage
from app.humanize import percent
from app.retrieval.analysis import BREAKS, QueryWord, stems, tokens
from app.translation import _, mark

FUNCTION_WORDS = mark("function words")
"""What stands in an explanation for all function words of a question together."""

MAX_SIMILAR_SHOWN = 3
"""Words that are named as matching instead of one."""

MAX_WORDS_SHOWN = 8
"""Words of the question that are named as the reason for a hit."""


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
        whole = rounded([*shares.values()], 100)
        return ", ".join(f"{name} {percent(share / 100)}" for name, share in zip(shares, whole, strict=True) if share)


def rounded(shares: Sequence[float], whole: int) -> list[int]:
    """Return shares of 1 as integers that add up to `whole`, or to their part of it.

    What rounding down leaves goes to the shares that it cut most.
    """
    exact = [whole * share for share in shares]
    found = [int(share + 1e-9) for share in exact]
    left = round(sum(exact)) - sum(found)
    for at in sorted(range(len(exact)), key=lambda at: found[at] - exact[at])[:left]:
        found[at] += 1
    return found


def word_shares(words: Sequence[QueryWord], parts: Mapping[str, float]) -> dict[str, float]:
    """Return the share of each word in a score, in thousandths that add up to 1, the largest first.

    `parts` maps terms to what they add to the score.
    """
    weights = Counter[str]()
    for word in words:
        weights.update(dict.fromkeys(word.terms, word.weight))
    names: dict[str, str] = {}
    by_word = defaultdict[str, float](float)
    for word in words:
        name = names.setdefault(word.surface.casefold(), word.surface)
        by_word[name] += sum(parts.get(term, 0.0) * word.weight / weights[term] for term in word.terms)
    total = sum(by_word.values())
    exact = {name: part / total for name, part in sorted(by_word.items(), key=lambda item: -item[1]) if part > 0}
    return {name: share / 1000 for name, share in zip(exact, rounded([*exact.values()], 1000), strict=True)}


def surfaces(passage: Passage, terms: Sequence[str]) -> tuple[str, ...]:
    """Return the words of a passage that have these terms, in the order of the terms, up to `MAX_SIMILAR_SHOWN`."""
    words = [word for word in tokens(passage.text) if word[0] not in BREAKS]
    of_term = dict(zip(reversed(stems(words, passage.language)), reversed(words), strict=True))
    return tuple(dict.fromkeys(of_term[term] for term in terms if term in of_term))[:MAX_SIMILAR_SHOWN]
