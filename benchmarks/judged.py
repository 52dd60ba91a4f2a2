"""Answers with labels: from files of JSON lines, from public data sets, and from questions with known answers.

Every reader yields rows of the form of a JSON line: id, qid, set, question, context, answer, label.
"""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

from app.errors import InputError
from app.evaluation.datasets import Collection, Query, Row, parse_object, read_answers, read_collection
from app.evaluation.retrieval_eval import ask, holds, tokens
from app.retrieval.index import Index
from app.retrieval.packing import MAX_HITS, pack_context
from app.settings import Settings

SHORT = 40
"""Characters below which an answer is a short draft."""

SHORT_DRAFTS = 250
"""Short drafts of a collection."""


def read(source: Path) -> list[Row]:
    """Read a file, a checkout of BEGIN or ExpertQA, or a folder as for `eval retrieval`; raises InputError."""
    if source.is_dir():
        begin, expert = sorted(source.glob("*/begin_*.tsv")), sorted(source.glob("data/**/*.jsonl"))
        rows = [*_begin(begin), *_expert(expert)] if begin or expert else list(_drafts(read_collection(source)))
    else:
        rows = read_answers(source)
    if not rows:
        raise InputError(f"{source} has no rows. Give a file with an answer in every line.")
    return rows


def _row(
    number: int, name: str, qid: str, context: Sequence[str], answer: str, *, good: bool, question: str = ""
) -> Row:
    label = "good" if good else "hallucinated"
    row = {"id": f"{name}-{number}", "qid": qid, "set": name, "question": question}
    return row | {"context": list(context), "answer": answer, "label": label}


def _begin(files: Sequence[Path]) -> Iterator[Row]:
    """Yield the responses of BEGIN that say something, without the message before them, which is rarely a question."""
    for file in files:
        text = file.read_text(encoding="utf-8")
        for number, line in enumerate(csv.DictReader(text.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE)):
            known, label = (line["knowledge"] or "").strip(), (line["begin_label"] or "").strip()
            if known and label in ("Fully attributable", "Not fully attributable"):
                name = f"begin {line['data_source']}"
                response = (line["response"] or "").strip()
                yield _row(number, name, known, [known], response, good=label == "Fully attributable")


def _expert(files: Sequence[Path]) -> Iterator[Row]:
    """Yield the answers of ExpertQA, good if all claims are supported and bad if at most half are, and their claims."""
    seen = set()
    for file in files:
        for line in file.read_text(encoding="utf-8").splitlines():
            row: Row = parse_object(line) or {}
            for model, answer in (row.get("answers") or {}).items():
                if (row["question"], model) not in seen:
                    seen.add((row["question"], model))
                    yield from _judged(len(seen), row["question"], answer)


def _judged(number: int, question: str, answer: dict[str, Any]) -> Iterator[Row]:
    """Yield the rows of one answer; evidence that is a mere address does not count."""
    claims = []
    for claim in answer["claims"]:
        texts = [passage.split(maxsplit=2)[-1] for passage in claim["evidence"] if len(passage.split()) > MERE_ADDRESS]
        claims.append((claim["claim_string"], texts, claim["support"]))
    context = list(dict.fromkeys(text for _, texts, _ in claims for text in texts))
    verdicts = [support for *_, support in claims if support in SUPPORTS]
    share = verdicts.count("Complete") / max(1, len(verdicts))
    if context and verdicts and not 0.5 < share < 1:
        text = answer["answer_string"]
        yield _row(number, "expertqa answers", question, context, text, good=share == 1, question=question)
    for at, (text, texts, support) in enumerate(claims):
        if texts and support in ("Complete", "Incomplete"):
            yield _row(100 * number + at, "expertqa claims", question, texts, text, good=support == "Complete")


SUPPORTS = ("Complete", "Partial", "Incomplete", "Missing")
MERE_ADDRESS = 5
"""Words up to which the evidence of a claim holds no passage."""


def _drafts(collection: Collection) -> Iterator[Row]:
    """Yield answers of a collection as drafts: every right one, and short ones to their own and to other questions."""
    questions = [query for query in collection.queries if query.answers]
    if not questions:
        raise InputError(f"No question of {collection.name} has “answers”. Give answers, or a checkout of BEGIN.")
    passages = {passage.place.label: passage for passage in collection.passages}
    text_of = {passage.file: passage.text for passage in collection.passages}.__getitem__
    home = {query.id: min(collection.judgements[query.id]) for query in questions}
    for number, query in enumerate(questions):
        own = [passages[home[query.id]].text]
        yield _of(query, number, f"{collection.name} gold", own, query.answers[0], good=True)
    short = [query for query in questions if len(query.answers[0]) < SHORT]
    random = Random(0)  # noqa: S311  # no secret
    index = Index.of(collection.passages, collection.documents)
    budget = int(Settings.model_fields["evidence_tokens"].default)
    for number, query in enumerate(random.sample(short, min(SHORT_DRAFTS, len(short)))):
        right = query.answers[0]
        others = [each.answers[0] for each in short if home[each.id] != home[query.id]]
        wrong = random.choice([answer for answer in others if answer != right])
        packed = pack_context(ask(index, query, MAX_HITS), budget, tokens, text_of)
        contexts = {"short": [passages[home[query.id]].text], "short packed": [item.text for item in packed]}
        for kind, context in contexts.items():
            if holds(context, [right]):
                yield _of(query, 2 * number, f"{collection.name} {kind}", context, right, good=True)
                yield _of(query, 2 * number + 1, f"{collection.name} {kind}", context, wrong, good=False)


def _of(query: Query, number: int, name: str, context: Sequence[str], answer: str, *, good: bool) -> Row:
    return _row(number, name, query.id, context, answer, good=good, question=query.text)
