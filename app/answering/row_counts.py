"""How many rows a table has, and how many of them match a question: passages show only a few of them."""

from collections.abc import Callable, Iterator, Sequence

from app.answering.lexicon import find_phrase
from app.answering.router import folded
from app.documents.passages import SEPARATOR, Passage, Place
from app.retrieval.analysis import query_words, terms
from app.retrieval.packing import Evidence, TextOf
from app.retrieval.sentence_ranking import cells, table_head

Row = dict[str, str]
"""The cells of a row by the names of their columns."""


def with_row_count(
    question: str, evidence: tuple[Evidence, ...], passages_of: Callable[[str], Sequence[Passage]], text_of: TextOf
) -> tuple[Evidence, ...]:
    """Add the number of rows of the first table in the first file, if the question asks how many, or for all of them.

    It is evidence of no length, as no text of the document. A question about the figures of a column, or about one row,
    does not ask for the number of rows.
    """
    phrase = find_phrase(question, "counts")
    first = next((item for item in evidence if item.file == evidence[0].file and "|" in item.text), None)
    if phrase is None or first is None:
        return evidence
    language = first.language
    rows = [*_rows(first, passages_of(first.file), text_of(first.file))]
    after = question[question.lower().find(phrase.lower()) + len(phrase) :]
    counted = next((word.terms for word in query_words(after, [language]) if word.content), ())
    asked, plain = terms(question, language), f" {folded(question)} "
    matching, conditions, kinds = rows, [], ""
    for column in dict.fromkeys(name for row in rows for name in row):
        values = dict.fromkeys(row[column] for row in rows if row.get(column))
        if named := [
            value
            for value in values
            if _mentions(asked, terms(value, language), terms(column, language))
            or f" {folded(f'{column} {value}')} " in plain  # "class A": without its column, "a" is a function word
        ]:
            if len(values) == len(rows):
                return evidence
            matching = [row for row in matching if row.get(column) in named]
            conditions.append(f"{column}: {' or '.join(named)}")
        elif {*counted} & {*terms(column, language)}:
            if all(any(map(str.isdigit, value)) and not value[0].isalpha() for value in values):
                return evidence
            kinds = f", with {len(values):,} different values of {column}" if len(values) < len(rows) else ""
    if not rows:
        return evidence
    matched = f"Rows that match: {len(matching):,} of {len(rows):,} ({'; '.join(conditions)})"
    text = (
        f"{matched if conditions else f'The table has {len(rows):,} rows{kinds}'}; the passages may show only a part."
    )
    number = evidence[-1].number + 1
    noted = Evidence(number, first.file, first.title, first.place, first.start, first.start, text, language, 0.0)
    return (*evidence, noted)


def _mentions(asked: Sequence[str], value: Sequence[str], column: Sequence[str]) -> bool:
    """Whether a question has a value of a column, and beside a mere number the name of the column."""
    if not value:
        return False
    wanted = [[*column, *value], [*value, *column]] if all(term.isdigit() for term in value) else [[*value]]
    return any([*asked[at : at + len(each)]] == each for each in wanted for at in range(len(asked)))


def _rows(item: Evidence, passages: Sequence[Passage], text: str) -> Iterator[Row]:
    """Yield the rows of the table that evidence is from: those of all pages of its sheet or section."""
    places = {text.count(SEPARATOR, 0, passage.start): passage.place for passage in reversed(passages)}
    own = text.count(SEPARATOR, 0, item.start)
    part = _part(places[own]) if own in places else None
    columns: set[str] = set()
    offset = 0
    for number, page in enumerate(text.split(SEPARATOR)):
        same = number in places and _part(places[number]) == part
        for line in page.split("\n") if number == own or same else ():
            head = table_head(text, offset) if line.startswith("|") and set(line) - set("|-: ") else None
            names = cells(text[slice(*head)]) if head else []
            columns = columns or {*names}  # of later pages, some may be left out
            if names and {*names} <= columns:
                yield dict(zip(names, cells(line), strict=False))
            offset += len(line) + 1
        offset += 0 if number == own or same else len(page) + 1


def _part(place: Place) -> str:
    """Return what the pages of one table have in common: the name of a sheet, or the number of a section."""
    return place.label.rpartition("!")[0] if place.kind == "sheet" else f"{place.kind} {place.number}"
