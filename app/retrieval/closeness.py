"""How close together the words of a question stand in a passage: many in one sentence, or one right after another.

Looked at in the best passages only. On seven collections in five languages both together raised nDCG@10 by 0.004 and
lowered it on none (docs/retrieval-evaluation.md).
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from app.retrieval.postings import BREAK, Postings
from app.retrieval.scoring import Members, Scorer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

SENTENCE = 0.25
"""What the rarities of the question's words in the best sentence of a passage count."""

KINDRED = 2.5
"""A kindred term counts half as much as it is alike, which is this times what it counts as an occurrence."""

FOLLOWING = 0.2
"""What two words count that follow each other in the question and, with at most one word between them, in a passage."""

MANY = 100
"""Terms of a question from which on their closeness says nothing."""

K1, B = 1.2, 0.3
"""The parameters of BM25 for such pairs, which long passages hold by chance less often than single words."""


def closeness(scorer: Scorer, members: Members, passages: "Array") -> "Array":
    """What the closeness of the terms of a question adds to the score of each of some passages."""
    import numpy as np

    if not len(passages) or not 0 < len(members.weights) <= MANY:
        return np.zeros(len(passages))
    found = _occurrences(scorer.postings, members, alike(members), passages)
    slopes = K1 * B * scorer.postings.lengths[passages] / scorer.mean_length
    return _in_a_sentence(found, members, len(passages)) + _following(found, members, slopes)


def alike(members: Members) -> "Array":
    """What an occurrence of each member counts in a sentence, where one of the term itself counts 1."""
    import numpy as np

    return np.minimum(1.0, KINDRED * members.shares)


@dataclass(frozen=True, slots=True)
class _Occurrences:
    """Where terms of the question occur: which passage, sentence and place, which term, and how much it is the term."""

    passage: "Array"
    sentence: "Array"
    place: "Array"
    term: "Array"
    alike: "Array"


def _occurrences(postings: Postings, members: Members, alike: "Array", passages: "Array") -> _Occurrences:
    import numpy as np

    owner = np.repeat(np.arange(len(members.weights)), np.diff(members.bounds))
    order = np.lexsort((owner, alike))  # the most alike last, so that it stands
    known = np.zeros(len(postings.starts), np.int32)  # one more than there are terms, where a break leads
    known[members.numbers[order]] = order + 1
    sizes = postings.begins[passages + 1] - postings.begins[passages]
    ends = np.cumsum(sizes)
    places = np.arange(ends[-1]) + np.repeat(postings.begins[passages] - ends + sizes, sizes)
    tokens = postings.tokens[places]
    member = known[tokens]
    at = np.flatnonzero(member)
    member = member[at] - 1
    sentences = np.cumsum(tokens == BREAK)
    return _Occurrences(
        passage=np.searchsorted(ends, at, "right"),
        sentence=sentences[at],
        place=at,
        term=owner[member],
        alike=alike[member],
    )


def _in_a_sentence(found: _Occurrences, members: Members, size: int) -> "Array":
    import numpy as np

    terms = len(members.weights)
    # A term counts once in a sentence, by the occurrence that is most alike.
    cell = (found.passage * (1 + found.sentence.max(initial=0)) + found.sentence) * terms + found.term
    order = np.lexsort((-found.alike, cell))
    first = order[np.flatnonzero(np.diff(cell[order], prepend=-1))]
    _, sentence = np.unique(cell[first] // terms, return_inverse=True)
    rarity = np.bincount(sentence, members.weights[found.term[first]] * found.alike[first])
    best = np.zeros(size)
    np.maximum.at(best, found.passage[first], rarity[sentence])
    return SENTENCE * best


def _following(found: _Occurrences, members: Members, slopes: "Array") -> "Array":
    import numpy as np

    where, weight = members.places[found.term], members.weights[found.term]
    frequency = np.zeros((len(slopes), int(members.places.max()) + 1))
    least = np.zeros(frequency.shape[1])
    for ahead in (1, 2):
        one, two = slice(None, -ahead), slice(ahead, None)
        near = (found.passage[one] == found.passage[two]) & (found.place[two] - found.place[one] <= 2)
        at = np.flatnonzero(near & (where[two] == where[one] + 1))
        np.add.at(frequency, (found.passage[at], where[at]), found.alike[at] * found.alike[at + ahead])
        np.maximum.at(least, where[at], np.minimum(weight[at], weight[at + ahead]))
    length = K1 * (1 - B) + slopes
    pairs: Array = FOLLOWING * (frequency * (K1 + 1) / (frequency + length[:, None])) @ least
    return pairs
