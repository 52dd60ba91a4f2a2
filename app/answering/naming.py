"""Which document is meant by a name that somebody typed, from memory and perhaps not quite right."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from difflib import get_close_matches

from app.answering.router import folded, pointing
from app.retrieval.analysis import query_words
from app.retrieval.segment import Entry

ALIKE = 0.8
"""Ratio from which two words are taken for one: a wrong letter among five, or another ending."""

LEAST = 0.4
"""Part of the words of a title that a name has at least: "house rules" for "House rules for tenants, 2024"."""


def named(name: str, documents: Mapping[str, Entry], language: str) -> str | None:
    """The file of the one document that is clearly meant; `name` is folded.

    Every word of the name must be in the file's name or the title, and no other document may suit as well.
    """
    forms = {file: _forms(entry) for file, entry in documents.items()}
    if whole := [file for file, own in forms.items() if _joined(name) in map(_joined, own)]:
        return min(whole, key=len)
    content = [word for word in _telling(name, language) if not pointing(word)]
    ranked = _ranked(content, forms, language)
    if not ranked or ranked[0][0] < LEAST or (len(ranked) > 1 and ranked[1][0] == ranked[0][0]):
        return None
    return ranked[0][1]


def _ranked(asked: Sequence[str], documents: Mapping[str, Sequence[str]], language: str) -> list[tuple[float, str]]:
    """The documents one of whose forms has all of the words, and how much of it these are, most first."""
    split = [(file, form.split()) for file, forms in documents.items() for form in forms]
    telling = set(_telling(" ".join({part for _, parts in split for part in parts}), language))
    forms = [(file, [part for part in parts if part in telling] or parts) for file, parts in split]
    by_letter: defaultdict[str, set[str]] = defaultdict(set)
    for part in telling:
        by_letter[part[0]].add(part)
    meant = [_alike(word, by_letter[word[0]]) for word in asked]
    best: dict[str, float] = {}
    for file, parts in forms:
        shares = [max((alike.get(part, 0.0) for part in parts), default=0.0) for alike in meant]
        if shares and all(shares):
            best[file] = max(best.get(file, 0.0), sum(shares) / max(len(parts), len(shares)))
    return sorted(((round(score, 6), file) for file, score in best.items()), key=lambda each: (-each[0], each[1]))


def _alike(word: str, known: set[str]) -> dict[str, float]:
    """The known words that one may be, and how sure that is; one with a digit is itself or none."""
    if word in known or not word.isalpha():
        return {word: 1.0}
    near = [each for each in known if each.isalpha() and abs(len(each) - len(word)) <= 2]
    return dict.fromkeys(get_close_matches(word, near, 5, ALIKE), ALIKE)


def _forms(entry: Entry) -> list[str]:
    """What a document may be called: its path, the name of its file with and without the ending, its title."""
    name = entry.file.rpartition("/")[2]
    return [folded(each) for each in {entry.file, name, name.rpartition(".")[0], entry.title} if each]


def _telling(text: str, language: str) -> list[str]:
    """The words of a folded text that say something; all of them if none does."""
    found = [word.surface for word in query_words(text, [language]) if word.content]
    return found or text.split()


def _joined(text: str) -> str:
    return text.replace(" ", "")
