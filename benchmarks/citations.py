"""The evaluation of citations: how often sentences are tied to their spans, and how often invented ones are marked."""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import fmean
from typing import Any

from app.answering.citations import cite
from app.answering.turn import Citation
from app.documents.passages import sentences
from app.errors import InputError
from app.evaluation.datasets import Collection, Row, are_texts, read_rows
from app.evaluation.retrieval_eval import ask
from app.evaluation.threshold import evidence
from app.retrieval.index import Index
from app.retrieval.packing import Evidence
from benchmarks.separation import separation

LEAST = 6
"""The least number of words of a sentence; with a third of its words gone, a shorter one says little."""

CHANGED = 1 / 3
"""The share of the words that are deleted, swapped or replaced."""

FIGURES = ("marked", "covers", "same")

GOOD = 20
"""The least number of sentences without a marked span that a language needs to be counted."""

_OPENS = re.compile(r"(?:^|[.:!?…–-]\W*)$")
_CORE = re.compile(r"\w(?:.*\w)?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Probe:
    """A sentence made from one of a passage, among passages; `number`, `start` and `end` locate the original."""

    kind: str
    text: str
    evidence: tuple[Evidence, ...]
    number: int
    start: int
    end: int


def evaluate(probes: Sequence[Probe], watch: Callable[[Sequence[Probe]], Iterator[Probe]] = iter) -> dict[str, Row]:
    """Cite every probe; return for each kind the number of sentences and the shares of FIGURES.

    marked    the share with a mark of something unsupported
    covers    the share whose citation covers half of the original
    same      the share whose citation and original have half in common

    `watch` passes the probes on, so that the caller can show the progress.
    """
    kinds: defaultdict[str, list[tuple[bool, ...]]] = defaultdict(list)
    for probe in watch(probes):
        _, citations = cite(probe.text, probe.evidence)
        same, covers = max((_overlap(each, probe) for each in citations), default=(0.0, 0.0))
        kinds[probe.kind].append((any(not each.supported for each in citations), covers >= 0.5, same >= 0.5))
    return {
        kind: {"sentences": len(rows)}
        | {name: round(fmean(column), 4) for name, column in zip(FIGURES, zip(*rows, strict=True), strict=True)}
        for kind, rows in kinds.items()
    }


def probes(collection: Collection, size: int, seed: int, beside: Collection | None = None) -> Iterator[Probe]:
    """Yield for each question a sentence of its passage in every variant, among the `size` best passages found for it.

    Names are capitalised words inside a sentence. With `beside`, the same texts in a language that does not capitalise
    nouns, names are those that are capitalised there as well.
    """
    vocabulary = _Vocabulary(collection, beside)
    index = Index.of(collection.passages, collection.documents)
    passages = {passage.place.label: passage for passage in collection.passages}
    document = {each.file: number for each, number in zip(collection.passages, collection.documents, strict=True)}
    for query in collection.queries:
        random = Random(f"{seed} {query.id}")  # noqa: S311  # no secret
        own = passages[min(collection.judgements[query.id])]
        others = [hit.passage for hit in ask(index, query, size).hits if hit.passage != own]
        shown = random.sample([own, *others[: size - 1]], min(size, len(others) + 1))
        items = tuple(
            Evidence(number, each.file, each.title, each.place, 0, len(each.text), each.text, each.language)
            for number, each in enumerate(shown, 1)
        )
        if spans := _long(own.text):
            start, end = random.choice(spans)
            for kind, text in vocabulary.variants(own.text[start:end].split(), random):
                yield Probe(kind, text, items, shown.index(own) + 1, start, end)
        known = {document[each.file] for each in shown}
        strangers = [each for each in collection.passages if document[each.file] not in known]
        if strangers and (spans := _long((stranger := random.choice(strangers)).text)):
            yield Probe("from elsewhere", stranger.text[slice(*random.choice(spans))], items, 0, 0, 0)


def support(file: Path) -> dict[str, Row]:
    """Compute how well the support of a sentence separates those in which people marked an unsupported span.

    A row has an answer, its context, `halluc_spans`, and its language and question id as “lang” and “qid”. Raises
    InputError if no language has enough sentences.
    """

    def valid(row: Row) -> bool:
        texts = [row.get(field) for field in ("answer", "lang", "qid")]
        return "halluc_spans" not in row or (are_texts(texts) and are_texts(row.get("context")))

    problem = "is no answer: it needs the texts answer, lang and qid and a list of texts, context."
    rows = [row for _, row in read_rows(file, valid, problem) if "halluc_spans" in row]
    judged = [each for row in rows for each in _sentences(row)]
    result = {}
    for name, own in (("all", judged), ("with the reference page", [each for each in judged if each["page"]])):
        good = Counter(each["lang"] for each in own if not each["bad"])
        languages = [language for language in good if good[language] >= GOOD]
        groups = {name: [each for each in own if each["lang"] in languages]}
        groups |= {f"{name}, {lang}": [each for each in own if each["lang"] == lang] for lang in languages}
        for label, group in groups.items():
            bad = [each["bad"] for each in group]
            if figures := separation([each["qid"] for each in group], bad, [1 - each["support"] for each in group]):
                kept = {key: figures.get(key) for key in ("auroc", "auroc_95")}
                result[label] = {"sentences": len(bad), "bad": sum(bad), **kept}
    if not result:
        raise InputError(f"No language in {file} has {GOOD} sentences without “halluc_spans”. Give more answers.")
    return result


def _sentences(row: Row) -> Iterator[Row]:
    """Yield the sentences of an answer with their label and our support; one that states nothing is supported."""
    _, citations = cite(row["answer"], evidence(row.get("context") or []))
    known = {citation.sentence: citation.support for citation in citations}
    page = row.get("gold_page_retrieved") is True
    for start, end in sentences(row["answer"]):
        bad = any(first < end and last > start for first, last in row["halluc_spans"])
        value = known.get(row["answer"][start:end], 1.0)
        yield {"bad": bad, "support": value, "lang": row["lang"], "qid": row["qid"], "page": page}


class _Vocabulary:
    """The words of a collection by kind: plain, name, number, and opening (the first word of a sentence)."""

    def __init__(self, collection: Collection, beside: Collection | None) -> None:
        self._names = set(_Vocabulary(beside, None).words["name"]) if beside else None
        self.words: dict[str, list[str]] = {"plain": [], "name": [], "number": [], "opening": []}
        for passage in collection.passages:
            for start, end in sentences(passage.text):
                words = passage.text[start:end].split()
                for at, word in enumerate(words):
                    if core := _CORE.search(word):
                        self.words[self.kind(words, at)].append(core[0])

    def kind(self, words: Sequence[str], at: int) -> str:
        """Return the kind of a word by its form; one that opens a sentence may be a name or not."""
        core = _CORE.search(words[at])
        if core is None or not any(letter.isdigit() or letter.isupper() for letter in core[0]):
            return "plain"
        if any(map(str.isdigit, core[0])):
            return "number"
        if at == 0 or _OPENS.search(words[at - 1]) or len(core[0]) == 1:
            return "opening"
        return "name" if core[0][0].isupper() and (self._names is None or core[0] in self._names) else "plain"

    def variants(self, words: Sequence[str], random: Random) -> Iterator[tuple[str, str]]:
        """Yield the kind and text of each variant: the sentence itself, and changed in every way."""

        def changed(new: Mapping[int, str]) -> str:
            return " ".join(new.get(at, word) for at, word in enumerate(words))

        yield "verbatim", changed({})
        plain = [at for at in range(len(words)) if self.kind(words, at) in ("plain", "opening")]
        every = [word for kind in ("plain", "name", "number") for word in self.words[kind]]
        for suffix, places, pool in (("", range(len(words)), every), (", claims kept", plain, self.words["plain"])):
            chosen = random.sample(places, round(len(places) * CHANGED))
            yield f"a third deleted{suffix}", " ".join(word for at, word in enumerate(words) if at not in chosen)
            swapped = (words[at] for at in random.sample(chosen, len(chosen)))
            yield f"a third swapped{suffix}", changed(dict(zip(chosen, swapped, strict=True)))
            new = {at: _put(words[at], random.choice(pool)) for at in chosen}
            yield f"a third replaced{suffix}", changed(new)
        for kind in ("number", "name"):
            places = [at for at in range(len(words)) if self.kind(words, at) == kind]
            drawn = random.sample(self.words[kind], min(50, len(self.words[kind])))
            others = [word for word in drawn if word not in " ".join(words)]
            if places and others:
                at = random.choice(places)
                yield f"one {kind} exchanged", changed({at: _put(words[at], others[0])})


def _put(word: str, core: str) -> str:
    """Put another word between the same punctuation."""
    return _CORE.sub(lambda _: core, word, count=1) if _CORE.search(word) else core


def _long(text: str) -> list[tuple[int, int]]:
    return [(start, end) for start, end in sentences(text) if len(text[start:end].split()) >= LEAST]


def _overlap(citation: Citation, probe: Probe) -> tuple[float, float]:
    """Return the length that both spans share, as a share of their union and of the original."""
    if citation.number != probe.number or citation.start is None or citation.end is None:
        return 0.0, 0.0
    both = max(0, min(citation.end, probe.end) - max(citation.start, probe.start))
    return both / (max(citation.end, probe.end) - min(citation.start, probe.start)), both / (probe.end - probe.start)


def lines(result: dict[str, Any]) -> Iterator[str]:
    """Format the figures for a person."""
    for kind, row in result.items():
        yield f"{kind:36}" + "  ".join(f"{key} {value}" for key, value in row.items())
