"""Generated text of any length, with the statistics of English documentation that matter to a search engine."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from app.errors import InputError
from app.retrieval.analysis import query_words

WORDS = 70
"""The mean length of a passage."""

_FUNCTION = """
the of and to in a is that for it as was with be by on not he his but at are this have from or had an they which one
you were all her she there would their we him been has when who will no more if out so what up
""".split()
_SYLLABLES = [consonant + vowel for vowel in "aeiou" for consonant in "bcdfglmnprstvz"]

_SHARES = 0.42, 0.3, 0.28
"""Shares of function words, of words from the passage's topic, and of words from the whole vocabulary."""

_VOCABULARY, _TOPIC_WORDS, _NEIGHBOURS = 300_000, 30, 8

_FEWEST, _MOST = 3, 6
"""The least and the largest number of words of a question."""


def passages(count: int, seed: int = 0) -> list[str]:
    """Generate passages of 70 words on average; the same seed gives the same text.

    Function words are English, the others invented, with frequencies after Zipf and Mandelbrot; some come from a topic
    that eight neighbouring passages share. A question of three to six words touches as many postings, and the
    vocabulary grows as fast, as in the 20,000 passages of a large documentation.
    """
    random = np.random.default_rng(seed)
    lengths = np.clip(random.lognormal(np.log(WORDS) - 0.125, 0.5, count), 8, 4 * WORDS).astype(int)
    topic = np.repeat(np.arange(count) // _NEIGHBOURS, lengths)
    topics = _zipf(random, (topic[-1] + 1, _TOPIC_WORDS), _VOCABULARY, 1.4, 70)
    kinds = [
        -1 - _zipf(random, len(topic), len(_FUNCTION), 0.9, 1),
        topics[topic, _zipf(random, len(topic), _TOPIC_WORDS, 0.7, 1)],
        _zipf(random, len(topic), _VOCABULARY, 1.55, 70),
    ]
    numbers = np.choose(random.choice(3, len(topic), p=_SHARES), kinds).tolist()
    words = {number: _word(number) for number in set(numbers)}
    ends = np.cumsum(lengths).tolist()
    return [_sentences([words[number] for number in numbers[start:end]]) for start, end in pairwise([0, *ends])]


def folder(path: Path, count: int, sections: int) -> int:
    """Write Markdown files with `sections` passages each, a hundred files in a folder; return the bytes written."""
    texts, written = passages(count), 0
    for number, first in enumerate(range(0, count, sections)):
        file = path / f"{number // 100:03}" / f"{number:05}.md"
        file.parent.mkdir(parents=True, exist_ok=True)
        parts = [f"## Section {at}\n\n{text}\n" for at, text in enumerate(texts[first : first + sections], 1)]
        written += file.write_text("\n".join(parts), encoding="utf-8")
    return written


def longer(texts: Sequence[str], count: int, seed: int = 0) -> list[str]:
    """Return `count` texts: the given ones and, when they are used up, joined halves of two of them."""
    random = Random(seed)  # noqa: S311  # no secret
    halves = [(text[: len(text) // 2], text[len(text) // 2 :]) for text in texts]
    more = (random.choice(halves)[0] + random.choice(halves)[1] for _ in range(count - len(texts)))
    return [*texts[:count], *more]


def questions(texts: Sequence[str], count: int, language: str, seed: int = 0) -> list[list[str]]:
    """Return the terms of questions: three to six content words each, all from one passage.

    Raises InputError if hardly any passage has three.
    """
    random = Random(seed)  # noqa: S311  # no secret
    found: list[list[str]] = []
    for text in random.choices(texts, k=20 * count):
        terms = list(dict.fromkeys(word.terms[0] for word in query_words(text, [language]) if word.content))
        if len(terms) >= _FEWEST:
            found.append(random.sample(terms, min(len(terms), random.randint(_FEWEST, _MOST))))
        if len(found) == count:
            return found
    raise InputError("Most passages have fewer than three words to ask for. Give a collection with more text.")


def _zipf(random: np.random.Generator, size: int | tuple[int, int], ranks: int, exponent: float, shift: float) -> Any:
    """Draw ranks from 0 with probabilities proportional to (rank + shift) ** -exponent."""
    weights = (np.arange(ranks) + shift) ** -exponent
    return random.choice(ranks, size, p=weights / weights.sum())


def _word(number: int) -> str:
    """Return an invented word, or a function word for a number below 0; frequent words are short."""
    if number < 0:
        return _FUNCTION[-1 - number]
    before, syllable = divmod(number, len(_SYLLABLES))
    return (_word(before - 1) if before else "") + _SYLLABLES[syllable]


def _sentences(words: list[str]) -> str:
    return " ".join(" ".join(words[at : at + 14]).capitalize() + "." for at in range(0, len(words), 14))
