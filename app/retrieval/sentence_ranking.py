"""Rank the sentences of retrieved passages by their chance to answer a question, and find what each depends on.

What a question asks for often stands beside its words in another form, and its function words ("how many … did") are
more telling in a sentence than in a passage. So question and sentence are compared by runs of four characters, blanks
included: stems, endings, parts of compounds and function words all count, weighted by how rare they are among the
sentences. The module knows no language.
"""

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from app.documents.language import MARKS
from app.documents.sentences import Span, sentences
from app.retrieval.analysis import normalize

SHARPNESS = 6.0
"""How fast the chance falls with the score; fitted with the shares below by a conditional logit, then rounded."""

LOCAL = 0.5
"""Weight of rarity within the passage: the topic is in every sentence of it, the answer in one."""

ADJACENT = 0.5
"""Weight of runs that only the sentence before or after contains."""

SEARCHED = 0.5
"""Extra weight of a run from a search term: among few sentences a function word may be rare by chance."""

ADDED = 0.5
"""Weight of a term that query expansion added, where a function word of the question counts 1."""

_DENSE = "\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3\uf900-\ufaff\U00020000-\U0003ffff"
"""Scripts in which a character is a syllable or a word; two of them are worth four letters."""

_RUN = re.compile(f"(?=([{_DENSE}]{{2}}|[^{_DENSE}]{{4}}))")
_NO_WORD = re.compile(rf"[^\w{MARKS}]+")

_CLAUSE = re.compile(r"(?<=[\u0e00-\u0eff]) +")
_CLAUSE_CHARS = 80
"""Thai and Lao end sentences and clauses with a blank; clauses shorter than this are joined."""

_HEADING_CHARS = 80
_CLOSED = re.compile(r"[.!?…。！？｡।॥؟۔,;\"”»)\]]\W*$")
_LIST_ITEM = re.compile(r"[#|>*+•◦▪–-]|\(?\w{1,3}[.)]\s")
_TABLE_RULE = re.compile(r"\|[\s|:]*-[\s|:-]*$")

Runs = dict[str, float]
"""Runs of characters with their weights."""


def rank_sentences(
    question: str, weights: Mapping[str, float], passages: Sequence[tuple[float, str]]
) -> list[list[tuple[int, int, float]]]:
    """Return for each passage the start and end of its sentences, and their chances to hold the answer.

    A chance is relative to the best sentence's of all passages. A passage is its score, divided by the best passage's,
    and its text. `weights` are those of the search terms.
    """
    query = _query_runs(question, weights)
    split = []
    for share, text in passages:
        spans = list(sentence_spans(text))
        sentences = [comparable(text[start:end]) for start, end in spans]
        split.append((share, spans, [{run for run in query if run in sentence} for sentence in sentences]))
    counts = Counter(run for *_, matches in split for runs in matches for run in runs)
    total = sum(len(spans) for _, spans, _ in split)
    rarity = {run: query[run] * math.log(1 + total / count) for run, count in counts.items()}
    most = sum(rarity.values()) or 1.0
    scores = [[share + score / most for score in _passage_scores(matches, rarity)] for share, _, matches in split]
    top = max((score for passage in scores for score in passage), default=0.0)
    return [
        [(*span, math.exp(SHARPNESS * (score - top))) for span, score in zip(spans, passage, strict=True)]
        for (_, spans, _), passage in zip(split, scores, strict=True)
    ]


def comparable(text: str) -> str:
    """Return the normalized words of a text with one blank around each."""
    return f" {_NO_WORD.sub(' ', normalize(text)).strip()} "


def sentence_spans(text: str) -> Iterator[Span]:
    """Yield the offsets of the sentences of a text; of clauses in Thai and Lao, which have no full stop."""
    for start, end in sentences(text):
        last = start
        for blank in _CLAUSE.finditer(text, start, end):
            if blank.start() - last >= _CLAUSE_CHARS <= end - blank.end():
                yield last, blank.start()
                last = blank.end()
        yield last, end


def dependencies(texts: Sequence[str]) -> list[int]:
    """Return for each of several consecutive sentences the index of the first one that must precede it.

    A sentence depends on its heading, a table row on the head of the table, a line of code on the start of its block,
    and what a colon announces on the announcement.
    """
    first: list[int] = []
    table: int | None = None
    fence: int | None = None
    for at, text in enumerate(texts):
        is_row = text.startswith("|")
        if is_row and at + 1 < len(texts) and table is None and _TABLE_RULE.match(texts[at + 1]):
            table = at
        elif not is_row:
            table = None
        start = fence if fence is not None else table if table is not None else at
        first.append(first[start] if start < at else first[at - 1] if at and introduces(texts[at - 1], text) else at)
        if text.startswith(("```", "~~~")):
            fence = at if fence is None else None
    return first


def introduces(text: str, following: str) -> bool:
    """Return whether a sentence is only a heading or announcement of the following one."""
    if text.startswith("#") or text.endswith((":", "：")):
        return True
    short = len(text) < min(_HEADING_CHARS, len(following)) and "\n" not in text
    return short and not _CLOSED.search(text) and not (_LIST_ITEM.match(text) or _LIST_ITEM.match(following))


def _query_runs(question: str, weights: Mapping[str, float]) -> Runs:
    own = set(_RUN.findall(comparable(question)))
    runs = dict.fromkeys(own, 1.0)
    heaviest = max(weights.values(), default=0.0)
    for term, weight in weights.items():
        for run in _RUN.findall(f" {term}"):
            searched = (1 + SEARCHED * weight / heaviest) if run in own else ADDED * weight / heaviest
            runs[run] = max(searched, runs.get(run, 0.0))
    return runs


def _passage_scores(matches: Sequence[set[str]], rarity: Runs) -> list[float]:
    """Score the sentences of one passage, given the runs that each shares with the question."""
    counts = Counter(run for runs in matches for run in runs)
    local = {run: rarity[run] * (1 + LOCAL * math.log(1 + len(matches) / count)) for run, count in counts.items()}
    scores = []
    for at, runs in enumerate(matches):
        score = sum(local[run] for run in runs)
        for adjacent in (*matches[max(0, at - 1) : at], *matches[at + 1 : at + 2]):
            score += ADJACENT * sum(rarity[run] for run in adjacent - runs)
        scores.append(score)
    return scores
