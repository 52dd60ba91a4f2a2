"""The data sets of the evaluations: JSON lines, questions with facts of right answers, and judged collections."""

import gzip
import json
import re
import zlib
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from itertools import groupby
from pathlib import Path
from typing import Any, Literal, get_args

from app.answering.turn import LONGEST_QUESTION
from app.documents.language import detect
from app.documents.passages import Passage, Place
from app.errors import InputError
from app.retrieval.search import Exchange
from app.settings import ROOT

Row = dict[str, Any]
"""An object of a file of JSON lines."""

ANSWER = ("id", "qid", "set", "answer", "label")
"""The texts of a judged answer."""

_LONG = 200
"""Characters below which the language of a passage is detected less reliably than that of most passages."""

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.I | re.A)


@dataclass(frozen=True, slots=True)
class Query:
    """A question, the exchanges before it (oldest first), and texts that a right answer contains, where known."""

    id: str
    text: str
    history: tuple[Exchange, ...] = ()
    answers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Collection:
    """Passages, whose id is the label of their place, the number of each one's document, and judged questions.

    `judgements` maps the id of each question to its relevant passages and their relevance, above 0. `remarks` say what
    was left out.
    """

    name: str
    passages: tuple[Passage, ...]
    documents: tuple[int, ...]
    queries: tuple[Query, ...]
    judgements: Mapping[str, Mapping[str, float]]
    remarks: tuple[str, ...] = ()


def read_text(file: Path) -> str:
    """Read a text file, unzipped if its name ends in .gz; raises InputError."""
    try:
        data = file.read_bytes()
        return (gzip.decompress(data) if file.suffix == ".gz" else data).decode("utf-8-sig")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise InputError(f"{file} could not be read: {error}. Give a file in UTF-8, or one gzipped.") from error


def parse_object(text: str) -> Row | None:
    """Parse a JSON object; return None for anything else."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def read_rows(file: Path, valid: Callable[[Row], bool], problem: str) -> Iterator[tuple[str, Row]]:
    """Yield the position of each row, for messages, and the row; blank lines are skipped.

    Raises InputError with the position and the `problem` of the first row that is not valid.
    """
    for number, line in enumerate(read_text(file).split("\n"), 1):
        if line.strip():
            position, row = f"Line {number} of {file}", parse_object(line)
            if row is None or not valid(row):
                raise InputError(f"{position} {problem}")
            yield position, row


def write_rows(file: Path, rows: Iterable[Row]) -> None:
    """Write rows as JSON lines; raises InputError."""
    write_text(file, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def write_text(file: Path, text: str) -> None:
    """Write a text file; raises InputError."""
    try:
        file.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise InputError(f"{file} could not be written: {error}. Give another file.") from error


def check_writable(*files: Path | None) -> None:
    """Raise InputError, before long work, for a file that could not be written after it; None is left out."""
    for file in filter(None, files):
        if not file.parent.is_dir():
            raise InputError(f"There is no folder {file.parent} for {file.name}. Make it, or name another file.")
        new = not file.exists()
        if file.is_fifo():  # whoever reads it would take the end of this for the end of the file
            continue
        try:
            with file.open("ab"):
                pass
        except OSError as error:
            raise InputError(f"{file} cannot be written: {error.strerror}. Name another file.") from error
        if new:
            file.resolve().unlink()


def are_texts(value: Any) -> bool:
    """Return whether a value is a list of strings."""
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def folded(text: str) -> str:
    """Return a text in which case and kinds of blanks make no difference."""
    return " ".join(text.casefold().split())


def read_answers(file: Path) -> list[Row]:
    """Read answers with labels, one in every line; raises InputError."""

    def valid(row: Row) -> bool:
        return are_texts([row.get(field) for field in ANSWER]) and are_texts(row.get("context", []))

    problem = f"is no answer: it needs the texts {', '.join(ANSWER)}, and “context”, if any, is a list of texts."
    return [row for _, row in read_rows(file, valid, problem)]


def read_collection(folder: Path) -> Collection:
    """Read a collection: corpus.jsonl, queries.jsonl (or both gzipped), qrels.tsv, meta.json; raises InputError."""
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder. Give the one that holds corpus.jsonl, queries.jsonl, qrels.tsv.")
    corpus, queries_file = _jsonl(folder, "corpus.jsonl"), _jsonl(folder, "queries.jsonl")
    passages = _passages(corpus, _language(folder / "meta.json"))
    queries = [_query(position, row) for position, row in _rows_with_ids(queries_file)]
    judged, remarks = _judgements(folder / "qrels.tsv", {query.id for query in queries}, passages)
    kept = tuple(query for query in queries if query.id in judged)
    if not kept:
        raise InputError(f"No question of {queries_file} has a relevant passage in qrels.tsv. Compare the ids.")
    if len(kept) < len(queries):
        remarks.append(f"{len(queries) - len(kept)} of {len(queries)} questions have no relevant passage; left out.")
    name = folder.resolve().name
    return Collection(name, tuple(passages.values()), _documents(passages), kept, judged, tuple(remarks))


def _jsonl(folder: Path, name: str) -> Path:
    for file in (folder / name, folder / f"{name}.gz"):
        if file.exists():
            return file
    raise InputError(f"{folder} has no {name} and no {name}.gz. Put one there, with a JSON object in every line.")


def _rows_with_ids(file: Path) -> Iterator[tuple[str, Row]]:
    """Yield the position of each row and the row, whose "id" is a string that no other row has."""

    def valid(row: Row) -> bool:
        texts = [row.get("text"), row.get("title") or ""]
        return are_texts(texts) and isinstance(row.get("id"), str | int) and row["id"] != ""

    seen = set()
    form = "an “id” and a “text” (and a “title” that is a text, if any)"
    for position, row in read_rows(file, valid, f"is no JSON object with {form}. Correct or remove it."):
        name = str(row["id"])
        if name in seen:
            raise InputError(f"{position} repeats the id {name!r}. Give every line an id of its own.")
        seen.add(name)
        yield position, {**row, "id": name}


def _passages(file: Path, language: str | None) -> dict[str, Passage]:
    rows = [row for _, row in _rows_with_ids(file)]
    if not rows:
        raise InputError(f"{file} has no passages. Give one in every line.")
    languages = [language] * len(rows) if language else _languages([row["text"] for row in rows])
    passages = {}
    for number, (row, code) in enumerate(zip(rows, languages, strict=True)):
        place, text = Place("line", row["id"], 1), row["text"]
        path = "/".join("abcdefghij"[int(digit)] for digit in str(number))  # no word, which would be in the index
        passages[row["id"]] = Passage(path, 0, len(text), text, place, row.get("title") or "", code)
    return passages


def _documents(passages: Mapping[str, Passage]) -> tuple[int, ...]:
    """Number the passages by document: FILE of an id FILE#PLACE, else a title shared with the line before."""
    files = ((name, name.rpartition("#")[0], passage.title) for name, passage in passages.items())
    keys = (("file", file) if file else ("title", title) if title else ("id", name) for name, file, title in files)
    return tuple(number for number, (_, group) in enumerate(groupby(keys), 1) for _ in group)


def _languages(texts: Sequence[str]) -> list[str]:
    """Detect the language of each text; a short one gets that of most others."""
    detected = [detect(text) if len(text) >= _LONG else None for text in texts]
    counts = Counter(code for code in detected if code) or Counter(map(detect, texts))
    [(most, _)] = counts.most_common(1)
    return [code or most for code in detected]


def _language(file: Path) -> str | None:
    """Return the language that a meta.json names, if there is one."""
    meta = parse_object(read_text(file)) if file.exists() else {}
    if meta is None or not isinstance(meta.get("lang", ""), str):
        raise InputError(f"{file} is no JSON object with a text “lang”, such as “en”. Correct or remove it.")
    return meta.get("lang") or None


def _query(position: str, row: Row) -> Query:
    answers, messages = row.get("answers") or [], row.get("history") or []
    if not are_texts(answers):
        raise InputError(f"{position} has “answers” that are no list of texts. Correct or remove them.")
    exchanges: list[Exchange] = []
    for message in messages if isinstance(messages, list) else [None]:
        match message:
            case {"role": "user", "content": str(content)}:
                exchanges.append(Exchange(content, ""))
            case {"role": "assistant", "content": str(content)}:
                last = exchanges.pop() if exchanges else Exchange("", "")
                exchanges.append(Exchange(last.question, f"{last.answer}\n{content}".strip()))
            case _:
                form = "a list of messages, each with “role”, user or assistant, and “content”, a text"
                raise InputError(f"{position} has a “history” that is not {form}. Correct or remove it.")
    return Query(row["id"], row["text"], tuple(exchanges), tuple(answers))


def _judgements(
    file: Path, queries: Container[str], passages: Container[str]
) -> tuple[dict[str, dict[str, float]], list[str]]:
    """Read the relevant passages of each question with their relevance, and remarks on what was left out.

    A line has a question's id, a passage's id and a relevance, separated by tabs, or TREC's four columns, of which the
    second is ignored. The first line may hold column names. Relevance of 0 or less is dropped. Raises InputError.
    """
    if not file.exists():
        raise InputError(f"{file} is missing. Write one line for each judgement: question id, passage id, relevance.")
    judged: dict[tuple[str, str], float] = {}
    for number, line in enumerate(read_text(file).split("\n"), 1):
        columns = [column.strip() for column in (line.split("\t") if line.count("\t") in (2, 3) else line.split())]
        match columns:
            case [query, passage, value] | [query, _, passage, value] if _NUMBER.fullmatch(value):
                if judged.setdefault((query, passage), float(value)) != float(value):
                    raise InputError(f"Line {number} of {file} judges {passage!r} for {query!r} again. Keep one.")
            case [query, _, _] | [query, _, _, _] if number == 1 and query not in queries:
                continue
            case _ if any(columns):
                form = "a question’s id, a passage’s id and a number, separated by tabs"
                raise InputError(f"Line {number} of {file} is no judgement. It needs {form}.")
    relevant: dict[str, dict[str, float]] = {}
    for (query, passage), relevance in judged.items():
        if relevance > 0 and query in queries and passage in passages:
            relevant.setdefault(query, {})[passage] = relevance
    remarks = []
    for name, column, known in (("questions", 0, queries), ("passages", 1, passages)):
        if lost := list(dict.fromkeys(pair[column] for pair in judged if pair[column] not in known)):
            remarks.append(f"{file} judges {len(lost)} {name} that are not there, such as {lost[0]!r}; left out.")
    return relevant, remarks


SAMPLE = "sample"
"""The name of the set that ships, over the sample documents."""

Kind = Literal["question", "briefing"]

FORM = (
    "is no question. It needs a “question”, which is a text of at most {longest} characters, and may have an “id”, a "
    "“language” (de), “facts” (texts, or lists of spellings of one), “answerable” (true, false), a “kind” ({kinds})."
)


@dataclass(frozen=True, slots=True)
class Question:
    """A question, and what a right answer states: of each fact, one of its spellings.

    A question that the documents do not answer has no facts: there, a right answer declines. Nothing is known of the
    right answer where `answerable` is None. A briefing is a longer text to be written, which *refine* polishes.
    """

    id: str
    text: str
    facts: tuple[tuple[str, ...], ...] = ()
    answerable: bool | None = None
    language: str = "en"
    kind: Kind = "question"


def read_questions(name: str) -> tuple[Question, ...]:
    """Read the set that ships, or one in a file; raises InputError."""
    file = Path(str(resources.files("app.evaluation") / "sample.jsonl")) if name == SAMPLE else Path(name)
    problem = FORM.format(longest=f"{LONGEST_QUESTION:,}", kinds=" or ".join(get_args(Kind)))
    found: dict[str, Question] = {}
    for number, (position, row) in enumerate(read_rows(file, _is_question, problem), 1):
        question = _question(row, str(number))
        if found.setdefault(question.id, question) is not question:
            raise InputError(f"{position} repeats the id {question.id!r}. Give every question an id of its own.")
    if not found:
        raise InputError(f"{file} has no questions. Write one in every line, as a JSON object.")
    return tuple(found.values())


def sample_documents() -> Path:
    """Return the folder of the sample documents, to which the set that ships belongs; raises InputError."""
    if not (ROOT / "corpus").is_dir():
        raise InputError("The sample documents are not installed. Clone the repository, or give a set of your own.")
    return ROOT / "corpus"


def _is_question(row: Row) -> bool:
    text, facts = row.get("question"), row.get("facts", [])
    return (
        isinstance(text, str)
        and 0 < len(text.strip()) <= LONGEST_QUESTION
        and isinstance(row.get("id", ""), str | int)
        and isinstance(row.get("language", ""), str)
        and row.get("kind", "question") in get_args(Kind)
        and isinstance(row.get("answerable"), bool | None)
        and isinstance(facts, list)
        and all(_is_fact(fact) for fact in facts)
        and not (facts and row.get("answerable") is False)
    )


def _is_fact(fact: Any) -> bool:
    spellings: Sequence[Any] = fact if isinstance(fact, list) else [fact]
    return bool(spellings) and are_texts([*spellings]) and all(spelling.strip() for spelling in spellings)


def _question(row: Row, number: str) -> Question:
    facts = tuple((fact,) if isinstance(fact, str) else tuple(fact) for fact in row.get("facts", []))
    answerable = row.get("answerable", True if facts else None)
    name, language, kind = str(row.get("id", number)), row.get("language", "en"), row.get("kind", "question")
    return Question(name, row["question"].strip(), facts, answerable, language, kind)
