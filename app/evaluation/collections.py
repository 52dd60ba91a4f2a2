"""A collection that retrieval is measured on: passages, questions, and which passages people judged to answer which."""

import re
from collections import Counter
from collections.abc import Collection as Known
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from app.answering.turn import Exchange
from app.documents.language import detect
from app.documents.passages import Passage, Place
from app.errors import InputError
from app.evaluation import rows
from app.evaluation.rows import Row

_TELLING = 200
"""Characters below which a passage's own language is a guess, and that of most passages a better one."""

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.I | re.A)


@dataclass(frozen=True, slots=True)
class Query:
    """A question, the exchanges before it (oldest first), and texts that a right answer holds, if they are known."""

    id: str
    text: str
    history: tuple[Exchange, ...] = ()
    answers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Collection:
    """Passages, whose id is the label of their place, the number of each one's document, and questions with judgements.

    `judgements` maps the id of each question to its relevant passages and how relevant each is, above 0. `remarks` say
    what was left out.
    """

    name: str
    passages: tuple[Passage, ...]
    documents: tuple[int, ...]
    queries: tuple[Query, ...]
    judgements: Mapping[str, Mapping[str, float]]
    remarks: tuple[str, ...] = ()

    @property
    def languages(self) -> list[str]:
        """Those of its passages."""
        return list(dict.fromkeys(passage.language for passage in self.passages))


def read(directory: Path) -> Collection:
    """The collection in a folder: corpus.jsonl, queries.jsonl (or both gzipped) and qrels.tsv; raises InputError."""
    if not directory.is_dir():
        raise InputError(f"{directory} is no folder. Give the one that holds corpus.jsonl, queries.jsonl, qrels.tsv.")
    corpus, asked = _file(directory, "corpus.jsonl"), _file(directory, "queries.jsonl")
    passages = _passages(corpus, _language(directory / "meta.json"))
    queries = [_query(place, row) for place, row in _rows(asked)]
    judged, remarks = judgements(directory / "qrels.tsv", {query.id for query in queries}, passages.keys())
    kept = tuple(query for query in queries if query.id in judged)
    if not kept:
        raise InputError(f"No question of {asked} has a relevant passage in qrels.tsv. Look whether the ids are equal.")
    if len(kept) < len(queries):
        remarks.append(f"{len(queries) - len(kept)} of {len(queries)} questions have no relevant passage; left out.")
    name = directory.resolve().name
    return Collection(name, tuple(passages.values()), _documents(passages), kept, judged, tuple(remarks))


def judgements(file: Path, queries: Known[str], passages: Known[str]) -> tuple[dict[str, dict[str, float]], list[str]]:
    """The relevant passages of each question, with how relevant each is, and remarks on what was left out.

    A line is a question's id, a passage's id and a relevance, with tabs between; or TREC's four columns, whose second
    tells nothing. The first line may hold names of columns. A relevance of 0 or less is none. Raises InputError.
    """
    if not file.exists():
        raise InputError(f"{file} is missing. Write one line for each judgement: question id, passage id, relevance.")
    judged: dict[tuple[str, str], float] = {}
    for number, line in enumerate(rows.text(file).split("\n"), 1):
        columns = [column.strip() for column in (line.split("\t") if line.count("\t") in (2, 3) else line.split())]
        match columns:
            case [query, passage, told] | [query, _, passage, told] if _NUMBER.fullmatch(told):
                if judged.setdefault((query, passage), float(told)) != float(told):
                    raise InputError(f"Line {number} of {file} judges {passage!r} for {query!r} again. Keep one.")
            case [query, _, _] | [query, _, _, _] if number == 1 and query not in queries:
                continue
            case _ if any(columns):
                lack = "is no judgement. It needs a question’s id, a passage’s id and a number, with tabs between."
                raise InputError(f"Line {number} of {file} {lack}")
    found: dict[str, dict[str, float]] = {}
    for (query, passage), relevance in judged.items():
        if relevance > 0 and query in queries and passage in passages:
            found.setdefault(query, {})[passage] = relevance
    remarks = []
    for what, at, known in (("questions", 0, queries), ("passages", 1, passages)):
        if lost := list(dict.fromkeys(pair[at] for pair in judged if pair[at] not in known)):
            remarks.append(f"{file} judges {len(lost)} {what} that are not there, such as {lost[0]!r}; left out.")
    return found, remarks


def _file(directory: Path, name: str) -> Path:
    for file in (directory / name, directory / f"{name}.gz"):
        if file.exists():
            return file
    raise InputError(f"{directory} has no {name} and no {name}.gz. Put one there, with a JSON object in every line.")


def _rows(file: Path) -> Iterator[tuple[str, Row]]:
    """Where each row stands, for messages, and the row; its "id" is a text that no other row has."""
    seen = set()
    lack = "is no JSON object with an “id” and a “text” (and a “title” that is a text, if any). Correct or remove it."
    for place, row in rows.read(file, _has_id_and_text, lack):
        name = str(row["id"])
        if name in seen:
            raise InputError(f"{place} repeats the id {name!r}. Give every line an id of its own.")
        seen.add(name)
        yield place, {**row, "id": name}


def _has_id_and_text(row: Row) -> bool:
    texts = isinstance(row.get("text"), str) and isinstance(row.get("title") or "", str)
    return texts and isinstance(row.get("id"), str | int) and row["id"] != ""


def _passages(file: Path, language: str | None) -> dict[str, Passage]:
    found = [row for _, row in _rows(file)]
    if not found:
        raise InputError(f"{file} has no passages. Give one in every line.")
    languages = [language] * len(found) if language else _languages([row["text"] for row in found])
    return {
        name: Passage(_wordless(at), 0, len(text), text, Place("line", name, 1), row.get("title") or "", language)
        for at, (row, language) in enumerate(zip(found, languages, strict=True))
        for name, text in [(row["id"], row["text"])]
    }


def _documents(passages: Mapping[str, Passage]) -> tuple[int, ...]:
    """The number of each passage's document: FILE of an id FILE#PLACE, else a title shared with the line before."""
    files = ((name, name.rpartition("#")[0], passage.title) for name, passage in passages.items())
    own = (("file", file) if file else ("title", title) if title else ("id", name) for name, file, title in files)
    return tuple(number for number, (_, group) in enumerate(groupby(own), 1) for _ in group)


def _wordless(number: int) -> str:
    """A path for each number; single letters are no words, so that it adds none to what is indexed."""
    return "/".join("abcdefghij"[int(digit)] for digit in str(number))


def _languages(texts: Sequence[str]) -> list[str]:
    """The language of each text; a short one has that of most others."""
    found = [detect(text) if len(text) >= _TELLING else None for text in texts]
    counts = Counter(code for code in found if code) or Counter(map(detect, texts))
    [(most, _)] = counts.most_common(1)
    return [code or most for code in found]


def _language(file: Path) -> str | None:
    """The language of the collection, if a meta.json tells it."""
    told = rows.parsed(rows.text(file)) if file.exists() else {}
    if told is None or not isinstance(told.get("lang", ""), str):
        raise InputError(f"{file} is no JSON object with a text “lang”, such as “en”. Correct or remove it.")
    return told.get("lang") or None


def _query(place: str, row: Row) -> Query:
    answers = row.get("answers") or []
    if not rows.texts(answers):
        raise InputError(f"{place} has “answers” that are no list of texts. Correct or remove them.")
    return Query(row["id"], row["text"], tuple(_history(place, row.get("history") or [])), tuple(answers))


def _history(place: str, messages: Any) -> list[Exchange]:
    """The exchanges of a conversation; a question without an answer has an empty one."""
    exchanges: list[Exchange] = []
    for message in messages if isinstance(messages, list) else [None]:
        match message:
            case {"role": "user", "content": str(content)}:
                exchanges.append(Exchange(content, ""))
            case {"role": "assistant", "content": str(content)}:
                last = exchanges.pop() if exchanges else Exchange("", "")
                exchanges.append(Exchange(last.question, f"{last.answer}\n{content}".strip()))
            case _:
                lack = "no list of messages, each with “role”, user or assistant, and “content”, a text"
                raise InputError(f"{place} has a “history” that is {lack}. Correct or remove it.")
    return exchanges
