"""Files of a data set: JSON lines, one row each, gzipped or not, and what a run writes down."""

import gzip
import json
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from app.errors import InputError

Row = dict[str, Any]


def text(file: Path) -> str:
    """The text of a file, unzipped if its name ends in .gz; raises InputError."""
    try:
        data = file.read_bytes()
        return (gzip.decompress(data) if file.suffix == ".gz" else data).decode("utf-8-sig")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise InputError(f"{file} could not be read: {error}. Give a file in UTF-8, or one gzipped.") from error


def parsed(text: str) -> Row | None:
    """The JSON object that a text is, None if it is none."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def read(file: Path, valid: Callable[[Row], bool], lack: str) -> Iterator[tuple[str, Row]]:
    """Where each row stands, for messages, and the row; blank lines are none.

    Raises InputError, which says what a row lacks that is not valid.
    """
    for number, line in enumerate(text(file).split("\n"), 1):
        if line.strip():
            place, row = f"Line {number} of {file}", parsed(line)
            if row is None or not valid(row):
                raise InputError(f"{place} {lack}")
            yield place, row


def texts(value: Any) -> bool:
    """Whether it is a list of texts."""
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def write(file: Path, values: Iterable[Row]) -> None:
    """One line of JSON for each value; raises InputError."""
    lines = (json.dumps(value, ensure_ascii=False) + "\n" for value in values)
    try:
        file.write_text("".join(lines), encoding="utf-8", newline="\n")
    except OSError as error:
        raise InputError(f"{file} could not be written: {error}. Give another file.") from error
