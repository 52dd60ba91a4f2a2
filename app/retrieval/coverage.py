"""How much of a question the best passage for it covers, each word weighed by how rare it is."""

from app.retrieval.analysis import terms
from app.retrieval.index import KINDRED, Hit, Index
from app.retrieval.scoring import idf
from app.retrieval.segment import above

GUESSED = 0.7
"""What a word covers that something else was taken for, beside one that is there: some guesses are wrong."""


def coverage(index: Index, question: str, hit: Hit) -> float:
    """The share, from 0 to 1, of the words of a question that a passage holds; 1 for a question without such words.

    A word that occurs nowhere is the rarest, and covered by what was taken for it; one that a kindred term stands for
    is covered as much as these are alike. The best passage alone tells more than several together, over which the
    words of many topics are scattered.
    """
    words = {word.terms: word for word in index.words(question)}.values()
    searched = {term.text: term for term in index.terms([(word, 1.0) for word in words])}
    held = set(terms(f"{above(hit.passage)} {hit.passage.text}", hit.passage.language))
    covered = whole = 0.0
    for word in words:
        own = [searched[text] for text in word.terms if text in searched]
        knows = index.knows(word)
        rarity = min(term.weight for term in own) if knows else idf(len(index), 0)
        alike = max((share for term in own for text, share in term.counting if text in held), default=0.0)
        whole += rarity
        covered += rarity * (min(1.0, alike / KINDRED) if knows else GUESSED * alike)
    return covered / whole if whole else 1.0
