"""How well sentences are tied to the spans that they were made from, and how well what was made up is marked."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import fmean
from typing import Any

from app.answering.citations import Citation, cite
from app.documents.sentences import sentences
from app.errors import InputError
from app.evaluation import rows
from app.evaluation.collections import Collection
from app.evaluation.escalation_eval import given
from app.evaluation.figures import auroc, interval
from app.evaluation.retrieval_eval import ask
from app.evaluation.rows import Row
from app.retrieval.index import Index
from app.retrieval.packing import Evidence

LEAST = 6
"""Words that a sentence has at least; with a third of its words gone, less says little."""

CHANGED = 1 / 3
"""Share of the words that are deleted, swapped or replaced."""

FIGURES = ("marked", "covers", "same")

GOOD = 20
"""Sentences without a marked span that a language has at least to be counted."""

_OPENS = re.compile(r"(?:^|[.:!?…–-]\W*)$")
_CORE = re.compile(r"\w(?:.*\w)?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Probe:
    """A sentence made from one of a passage, among passages; `number`, `start` and `end` tell where that one is."""

    kind: str
    text: str
    evidence: tuple[Evidence, ...]
    number: int
    start: int
    end: int


def probes(collection: Collection, size: int, seed: int, beside: Collection | None = None) -> Iterator[Probe]:
    """For each question a sentence of its passage in every variant, among the `size` best passages found for it.

    Names are capitalised words inside a sentence, if `beside` is given those that are capitalised there as well: the
    same texts in a language with small nouns tell the names of one with capital nouns.
    """
    words = _Words(collection, beside)
    index = Index.of(collection.passages, collection.documents)
    passages = {passage.place.label: passage for passage in collection.passages}
    document = {each.file: number for each, number in zip(collection.passages, collection.documents, strict=True)}
    for query in collection.queries:
        random = Random(f"{seed} {query.id}")  # noqa: S311  # no secret
        own = passages[min(collection.judgements[query.id])]
        found = [hit.passage for hit in ask(index, query, size).hits if hit.passage != own]
        shown = random.sample([own, *found[: size - 1]], min(size, len(found) + 1))
        evidence = tuple(
            Evidence(number, each.file, each.title, each.place, 0, len(each.text), each.text, each.language)
            for number, each in enumerate(shown, 1)
        )
        if spans := _long(own.text):
            start, end = random.choice(spans)
            for kind, text in words.variants(own.text[start:end].split(), own.text, random):
                yield Probe(kind, text, evidence, shown.index(own) + 1, start, end)
        known = {document[each.file] for each in shown}
        strangers = [each for each in collection.passages if document[each.file] not in known]
        if strangers and (spans := _long((stranger := random.choice(strangers)).text)):
            yield Probe("from elsewhere", stranger.text[slice(*random.choice(spans))], evidence, 0, 0, 0)


def judge(probe: Probe) -> Row:
    """Whether the probe is marked, and whether its span covers half of the true one, and is half the same."""
    _, citations = cite(probe.text, probe.evidence)
    same, covers = max((_overlap(each, probe) for each in citations), default=(0.0, 0.0))
    marked = any(not citation.supported for citation in citations)
    return {"kind": probe.kind, "marked": marked, "covers": covers >= 0.5, "same": same >= 0.5}


def figures(judged: Iterable[Row]) -> dict[str, Row]:
    """The shares of each kind, and how many there are."""
    kinds: defaultdict[str, list[Row]] = defaultdict(list)
    for row in judged:
        kinds[row["kind"]].append(row)
    shares = {kind: {key: round(fmean(row[key] for row in own), 4) for key in FIGURES} for kind, own in kinds.items()}
    return {kind: {"sentences": len(kinds[kind])} | found for kind, found in shares.items()}


def support(file: Path) -> dict[str, Row]:
    """How well the support of a sentence tells those in which people marked a span as unsupported.

    A row has an answer, its context, `halluc_spans`, and its language and question id as “lang” and “qid”. Raises
    InputError if no language has enough sentences.
    """

    def valid(row: Row) -> bool:
        return rows.texts([row.get(field) for field in ("answer", "lang", "qid")]) and rows.texts(row.get("context"))

    lack = "is no answer: it needs the texts answer, lang and qid and a list of texts, context."
    told = [each for _, row in rows.read(file, lambda row: "halluc_spans" not in row or valid(row), lack)
            for each in _told(row) if "halluc_spans" in row]  # fmt: skip
    found = {}
    for name, own in (("all", told), ("with the reference page", [each for each in told if each["page"]])):
        good = Counter(each["lang"] for each in own if not each["bad"])
        groups = {lang: [each for each in own if each["lang"] == lang] for lang in good if good[lang] >= GOOD}
        for group, counted in ({name: [each for own in groups.values() for each in own]} | groups).items():
            bad, score = [each["bad"] for each in counted], [1 - each["support"] for each in counted]
            if 0 < sum(bad) < len(bad):
                label = group if group == name else f"{name}, {group}"
                found[label] = {"sentences": len(bad), "bad": sum(bad), "auroc": round(auroc(bad, score), 4)}
                found[label]["auroc_95"] = interval([each["qid"] for each in counted], bad, score).get("auroc_95")
    if not found:
        raise InputError(f"No language in {file} has {GOOD} sentences without “halluc_spans”. Give more answers.")
    return found


def _told(row: Row) -> Iterator[Row]:
    """The sentences of an answer, what people marked and what we make of them; what states nothing lacks nothing."""
    _, citations = cite(row["answer"], given(row.get("context") or []))
    known = {citation.sentence: citation.support for citation in citations}
    for start, end in sentences(row["answer"]):
        bad = any(first < end and last > start for first, last in row.get("halluc_spans", []))
        yield {"bad": bad, "support": known.get(row["answer"][start:end], 1.0), "lang": row["lang"], "qid": row["qid"],
               "page": row.get("gold_page_retrieved") is True}  # fmt: skip


class _Words:
    """The words of a collection: plain ones, names and numbers."""

    def __init__(self, collection: Collection, beside: Collection | None) -> None:
        self._names = set(_Words(beside, None).pools["name"]) if beside else None
        self.pools: dict[str, list[str]] = {"plain": [], "name": [], "number": [], "opening": []}
        for passage in collection.passages:
            for start, end in sentences(passage.text):
                words = passage.text[start:end].split()
                for at, word in enumerate(words):
                    if core := _CORE.search(word):
                        self.pools[self.kind(words, at)].append(core[0])

    def kind(self, words: Sequence[str], at: int) -> str:
        """What a word is by its look; one that opens a sentence may be a name or not."""
        core = _CORE.search(words[at])
        if core is None or not any(letter.isdigit() or letter.isupper() for letter in core[0]):
            return "plain"
        if any(map(str.isdigit, core[0])):
            return "number"
        if at == 0 or _OPENS.search(words[at - 1]) or len(core[0]) == 1:
            return "opening"
        return "name" if core[0][0].isupper() and (self._names is None or core[0] in self._names) else "plain"

    def variants(self, words: Sequence[str], passage: str, random: Random) -> Iterator[tuple[str, str]]:
        """The sentence as it is, and changed in each way."""
        yield "verbatim", " ".join(words)
        plain = [at for at in range(len(words)) if self.kind(words, at) in ("plain", "opening")]
        every = [word for kind in ("plain", "name", "number") for word in self.pools[kind]]
        for named, places, pool in (("", range(len(words)), every), (", claims kept", plain, self.pools["plain"])):
            chosen = random.sample(places, round(len(places) * CHANGED))
            yield f"a third deleted{named}", " ".join(word for at, word in enumerate(words) if at not in chosen)
            moved = {at: words[other] for at, other in zip(chosen, random.sample(chosen, len(chosen)), strict=True)}
            yield f"a third swapped{named}", " ".join(moved.get(at, word) for at, word in enumerate(words))
            new = {at: _put(words[at], random.choice(pool)) for at in chosen}
            yield f"a third replaced{named}", " ".join(new.get(at, word) for at, word in enumerate(words))
        for kind in ("number", "name"):
            places = [at for at in range(len(words)) if self.kind(words, at) == kind]
            others = [word for word in random.sample(self.pools[kind], min(50, len(self.pools[kind])))
                      if word not in " ".join(words)]  # fmt: skip
            if places and others:
                at = random.choice(places)
                yield f"one {kind} exchanged", " ".join([*words[:at], _put(words[at], others[0]), *words[at + 1 :]])


def _put(word: str, core: str) -> str:
    """Another word between the same punctuation."""
    return _CORE.sub(lambda _: core, word, count=1) if _CORE.search(word) else core


def _long(text: str) -> list[tuple[int, int]]:
    return [(start, end) for start, end in sentences(text) if len(text[start:end].split()) >= LEAST]


def _overlap(citation: Citation, probe: Probe) -> tuple[float, float]:
    """What is in both spans, as a share of what is in either, and of the true one."""
    if citation.number != probe.number or citation.start is None or citation.end is None:
        return 0.0, 0.0
    both = max(0, min(citation.end, probe.end) - max(citation.start, probe.start))
    return both / (max(citation.end, probe.end) - min(citation.start, probe.start)), both / (probe.end - probe.start)


def lines(result: dict[str, Any]) -> Iterator[str]:
    """The figures for a person."""
    for kind, row in result.items():
        yield f"{kind:36}" + "  ".join(f"{key} {value}" for key, value in row.items())
