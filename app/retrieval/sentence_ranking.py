"""Rank the sentences of retrieved passages by their chance to answer a question, and find what each depends on.

What a question asks for often stands beside its words in another form, and its function words ("how many … did") are
more telling in a sentence than in a passage. So question and sentence are compared by runs of four characters, blanks
included: stems, endings, parts of compounds and function words all count, weighted by how rare they are among the
sentences. Of languages the module knows only how they ask for a number.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

from app.documents.language import MARKS
from app.documents.passages import Span, sentences
from app.retrieval.analysis import normalize

SHARPNESS = 6.0
"""How fast the chance falls with the score; fitted with the shares below by a conditional logit, then rounded."""

LOCAL = 0.5
"""Weight of rarity within the passage: the topic is in every sentence of it, the answer in one."""

ADJACENT = 0.5
"""Weight of runs that only the sentence before or after contains, or the head of a table row."""

SEARCHED = 0.5
"""Extra weight of a run from a search term: among few sentences a function word may be rare by chance."""

PASSED = 0.6
"""Share of the chance of a question or heading that the next sentence has at least, as its answer may share no word."""

ADDED = 0.5
"""Weight of a term that query expansion added, where a function word of the question counts 1."""

FIGURE = 0.2
"""Addition to the score of a sentence with a number that the question lacks, where the question asks for one. From 0.1
to 0.3 about equally good on XQuAD in three languages, and as good on NorQuAD, which was not looked at for it."""

ASKS_NUMBER = (
    "how (many|much|long|old|far|high|tall|deep|wide|large|big|fast|heavy|often)|when|what time",
    "(what|which) (year|date|day|month|century|age|price|percentage)|what (do|does|did) .{1,60} cost",
    "wie ?viele?|wie (lange|alt|weit|hoch|tief|breit|groß|schnell|schwer|teuer|oft)|wann",
    "welche[mnrs]? (jahr|datum|tag|monat|jahrhundert|alter|preis|prozentsatz)|was kosten?t?",
    "hoe ?veel|hoe (lang|oud|ver|hoog|diep|breed|groot|snel|zwaar|duur|vaak)|wanneer|wat kosten?t?",
    "welke? (jaar|datum|dag|maand|eeuw|leeftijd|prijs|percentage)|cât|câtă|câți|câte|când",
    "hvor (mange|mye|meget|l[eæ]nge|gam(mel|melt|le)|lang?t?|høyt?|højt?|dypt?|dybt?|stort?|store|tungt?|ofte)",
    "når|hvornår|hva koster|hvad koster|hvilke[nt]? (år|årstall?|dato|dag|måned|århundrede?|alder|pris|prosent)",
    "hur (många|mycket|länge|gam(mal|malt|la)|långt?|högt?|djupt?|stort?|stora|tungt?|ofta)|när|vad kostar",
    "vilke[nt] (år|årtal|datum|dag|månad|århundrade|ålder|pris)|ce (an|dată|zi|lună|secol|vârstă|preț|procent)",
    "combien|quand|quelle? (année|date|heure|âge|prix|pourcentage)|quel (jour|mois|siècle)",
    "cuánt[oa]s?|cuándo|qué (año|fecha|día|mes|siglo|edad|precio|porcentaje|hora)",
    "quant[oaie]s?|quando|(che|quale|qual|que) (anno|ano|data|giorno|dia|mese|mês|secolo|século|età|idade)",
)
"""How a question asks for an amount, an age or a time; in its first words only, as "when" also joins clauses."""

_ASKS_NUMBER = re.compile(rf" (?:\w+ )?(?:{'|'.join(ASKS_NUMBER)}) ")
_NUMBER = re.compile(r"\d+")

_DENSE = "\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3\uf900-\ufaff\U00020000-\U0003ffff"
"""Scripts in which a character is a syllable or a word; two of them are worth four letters."""

_RUN = re.compile(f"(?=([{_DENSE}]{{2}}|[^{_DENSE}]{{4}}))")
_NO_WORD = re.compile(rf"[^\w{MARKS}]+")

_CLAUSE = re.compile(r"(?<=[\u0e00-\u0eff]) +")
_CLAUSE_CHARS = 80
"""Thai and Lao end sentences and clauses with a blank; clauses shorter than this are joined."""

_HEADING_CHARS = 80
_CLOSED = re.compile(r"(?<!\W)(?>\W*?[.!?…。！？｡।॥؟۔,;\"”»)\]])\W*+$")
_LIST_ITEM = re.compile(r"[#|>*+•◦▪–-]|\(?\w{1,3}[.)]\s")
_QUESTION = re.compile(r"[?？؟][*_`)\s]*$")
_ITEM = re.compile(r"(?:[-*+•◦▪–]|\(?(?:\d{1,3}|[A-Za-z])[.)])\s")
_INDENTED = re.compile(r"\n[ \t]*\n(?: {4}|\t)[ \t]*$")
_PAIR = re.compile(r"[^\n:：.]{1,40}[:：]\s+\S")
_CELL = re.compile(r"(?<!\\)\|")
_FIGURE = re.compile(r"[-+(\u2212]*\d")
_TITLES = 4
"""Rows of one cell, such as a title, that may be above the head of a table."""

_TABLE_RULE = re.compile(r"\|[\s|:]*-[\s|:-]*$")

Kind = Literal["prose", "item", "row", "rule", "code"]
"""What a sentence is part of; a rule is the line below the head of a table."""

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
        texts = [text[start:end] for start, end in spans]
        words = map(comparable, texts)
        matches = [{run for run in query if run in sentence} for sentence in words]
        split.append((share, spans, texts, matches))
    counts = Counter(run for *_, matches in split for runs in matches for run in runs)
    total = sum(len(spans) for _, spans, *_ in split)
    rarity = {run: query[run] * math.log(1 + total / count) for run, count in counts.items()}
    most = sum(rarity.values()) or 1.0
    asked = comparable(question)
    known = set(_NUMBER.findall(asked)) if _ASKS_NUMBER.match(asked) else None
    scores = [
        [
            share + score / most + (FIGURE if known is not None and set(_NUMBER.findall(text)) - known else 0.0)
            for text, score in zip(texts, _passage_scores(matches, _adjacent(texts), rarity), strict=True)
        ]
        for share, _, texts, matches in split
    ]
    top = max((score for passage in scores for score in passage), default=0.0)
    chances = [[math.exp(SHARPNESS * (score - top)) for score in passage] for passage in scores]
    return [
        [(*span, chance) for span, chance in zip(spans, _with_answers(texts, own), strict=True)]
        for (_, spans, texts, _), own in zip(split, chances, strict=True)
    ]


def comparable(text: str) -> str:
    """Return the normalized words of a text with one blank around each."""
    return f" {_NO_WORD.sub(' ', normalize(text)).strip()} "


def sentence_spans(text: str) -> Iterator[Span]:
    """Yield the offsets of the sentences of a text; of clauses in Thai and Lao, which have no full stop.

    Lines that each name a value ("Emergency: 5273") are sentences, though a paragraph may look alike.
    """
    for start, end in sentences(text):
        last = start
        lines = text[start:end].split("\n")
        if len(lines) > 1 and all(map(_PAIR.match, lines)):
            for line in lines[:-1]:
                yield last + len(line) - len(line.lstrip()), last + len(line.rstrip())
                last += len(line) + 1
            last += len(lines[-1]) - len(lines[-1].lstrip())
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
    if _PAIR.match(text):
        return False
    short = len(text) < min(_HEADING_CHARS, len(following)) and "\n" not in text
    return short and not _CLOSED.search(text) and not (_LIST_ITEM.match(text) or _LIST_ITEM.match(following))


def asks(text: str) -> bool:
    """Return whether a sentence is a question."""
    return bool(_QUESTION.search(text))


def is_item(text: str) -> bool:
    """Return whether a text begins as an item of a list does."""
    return bool(_ITEM.match(text))


def cells(row: str) -> list[str]:
    """Return the cells of a table row."""
    return [cell.strip() for cell in _CELL.split(row.strip().removeprefix("|").removesuffix("|"))]


def kinds(text: str, spans: Sequence[Span]) -> Iterator[Kind]:
    """Yield what each of the consecutive sentences of a text is part of."""
    kind: Kind = "prose"
    fenced, last = False, 0
    for start, end in spans:
        own, gap = text[start:end], text[last:start]
        before = kind
        fence = own.startswith(("```", "~~~"))
        if fence or fenced:
            kind = "code"
        elif own.startswith("|"):
            kind = "rule" if _TABLE_RULE.match(own) else "row"
        elif is_item(own) or (before == "item" and "\n\n" not in gap):
            kind = "item"
        else:
            kind = "code" if _INDENTED.search(gap) or (before == "code" and "\n\n" not in gap) else "prose"
        fenced ^= fence
        last = end
        yield kind


def table_head(text: str, row: int) -> Span | None:
    """Return where the head row is of the table that a row is in, by the offset of the row; None for the head itself.

    The head is above a rule, or is the first row of several cells; pairs of a name and a figure, and records that name
    each of their values, have none.
    """
    page = text.rfind("\f", 0, row) + 1
    lines = text[page:row].split("\n")[:-1]
    first = next((at for at in range(len(lines), 0, -1) if not lines[at - 1].lstrip().startswith("|")), 0)
    ruled = [at for at in range(first, len(lines) - 1) if _TABLE_RULE.match(lines[at + 1].strip())]
    wide = [at for at in range(first, len(lines))[: _TITLES + 1] if len(cells(lines[at])) > 1]
    for at in [*ruled, *wide][:1]:
        line, names = lines[at], cells(lines[at])
        if ruled or not (all(": " in name for name in names) or (len(names) == 2 and _FIGURE.match(names[1]))):
            end = page + len("\n".join(lines[: at + 1]))
            return end - len(line.lstrip()), end
    return None


def _query_runs(question: str, weights: Mapping[str, float]) -> Runs:
    own = set(_RUN.findall(comparable(question)))
    runs = dict.fromkeys(own, 1.0)
    heaviest = max(weights.values(), default=0.0)
    for term, weight in weights.items():
        for run in _RUN.findall(f" {term}"):
            searched = (1 + SEARCHED * weight / heaviest) if run in own else ADDED * weight / heaviest
            runs[run] = max(searched, runs.get(run, 0.0))
    return runs


def _with_answers(texts: Sequence[str], chances: Sequence[float]) -> Iterator[float]:
    """Yield the chances of sentences; what follows a question, up to the next heading, may be its answer."""
    passed = 0.0
    for text, chance in zip(texts, chances, strict=True):
        passed = 0.0 if text.startswith("#") or asks(text) else passed * PASSED
        yield max(chance, passed)
        passed = chance if asks(text) else passed


def _adjacent(texts: Sequence[str]) -> Iterator[list[int]]:
    """Yield for each sentence the indexes of those that say what it is about: both neighbours, or a row's head."""
    head: int | None = None
    for at, text in enumerate(texts):
        if not text.startswith("|"):
            head = None
            yield [other for other in (at - 1, at + 1) if 0 <= other < len(texts)]
        else:
            head = at if head is None or len(cells(texts[head])) < 2 else head
            yield [head]


def _passage_scores(matches: Sequence[set[str]], beside: Iterable[Sequence[int]], rarity: Runs) -> Iterator[float]:
    """Yield the scores of the sentences of one passage, given the runs that each shares with the question."""
    counts = Counter(run for runs in matches for run in runs)
    local = {run: rarity[run] * (1 + LOCAL * math.log(1 + len(matches) / count)) for run, count in counts.items()}
    for runs, adjacent in zip(matches, beside, strict=True):
        score = sum(local[run] for run in runs)
        for other in adjacent:
            score += ADJACENT * sum(rarity[run] for run in matches[other] - runs)
        yield score
