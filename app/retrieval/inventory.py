"""The inventory of a corpus: which files are searchable, which are not and why, and which hold equal text."""

import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Literal

from app.documents.language import shown_name
from app.retrieval.segment import Entry
from app.retrieval.store import Snapshot
from app.translation import _, again, ago, count, figure, mark, plural

State = Literal["searchable", "outdated", "not read"]

STATES: Mapping[State, str] = {
    "searchable": mark("searchable"),
    "outdated": mark("outdated"),
    "not read": mark("not read"),
}
"""The words for them."""

UNITS = {".pdf": "page", ".tif": "page", ".tiff": "page", ".pptx": "slide", ".odp": "slide"}
"""What a person counts in a file; pages of other formats are sections, groups of rows and the like."""

NAMED = 3
"""Files of equal text that are named beside one of them."""


@dataclass(frozen=True, slots=True)
class File:
    """A file of the corpus; `entry` is its searchable document, if any, and `reason` the problem, if any."""

    name: str
    entry: Entry | None
    reason: str

    @property
    def state(self) -> State:
        """Whether it can be searched; "outdated" means in an earlier version."""
        if self.entry is None:
            return "not read"
        return "outdated" if self.reason else "searchable"


@dataclass(frozen=True)
class Inventory:
    """The files of a snapshot."""

    snapshot: Snapshot

    @cached_property
    def files(self) -> list[File]:
        """All files, in the order of their names."""
        documents, problems = self.snapshot.documents, self.snapshot.problems
        return [
            File(name, documents.get(name), problems[name].reason if name in problems else "")
            for name in sorted({*documents, *problems})
        ]


def summary(inventory: Inventory) -> list[str]:
    """Summarise the corpus: its size, its languages, its problems and the age of the index."""
    codes = Counter(entry.language for entry in inventory.snapshot.documents.values())
    languages = ", ".join(f"{shown_name(code)} {figure(number)}" for code, number in codes.most_common())
    wrong = Counter(file.state for file in inventory.files if file.reason)
    outdated, unread, changed = wrong["outdated"], wrong["not read"], inventory.snapshot.changed
    return [
        f"{count(len(inventory.snapshot.documents), 'document')}, {count(len(inventory.snapshot.index), 'passage')}",
        *([_("languages: {languages}", languages=languages)] if languages else []),
        *([plural("{number} file outdated", "{number} files outdated", outdated)] if outdated else []),
        *([plural("{number} file not read", "{number} files not read", unread)] if unread else []),
        *([_("index changed {when}", when=ago(time.time() - changed))] if changed else []),
    ]


def notes(inventory: Inventory) -> dict[str, list[str]]:
    """Return notes by file: why it was not read, which pages hold no text, which other files hold equal text."""
    equal: defaultdict[str, list[str]] = defaultdict(list)
    for entry in inventory.snapshot.documents.values():
        equal[entry.digest].append(entry.file)
    by_file: defaultdict[str, list[str]] = defaultdict(list)
    for file in inventory.files:
        if file.reason:
            by_file[file.name].append(again(file.reason))
        if file.entry is not None and file.entry.silent:
            by_file[file.name].append(silence(file.entry.silent))
        if file.entry is not None and len(names := equal[file.entry.digest]) > 1:
            others = [name for name in names[: NAMED + 1] if name != file.name][:NAMED]
            more = len(names) - 1 - len(others)
            named = ", ".join(others)
            if more:
                named = _("{names} and {number} more", names=named, number=figure(more))
            by_file[file.name].append(_("the same text as {names}", names=named))
    return by_file


def extent(file: str, pages: int, passages: int) -> str:
    """Word the size of a file in pages and passages."""
    unit = UNITS.get(Path(file).suffix.lower())
    size = count(pages, "page") if unit == "page" else count(pages, "slide") if unit == "slide" else ""
    return ", ".join(filter(None, (size, count(passages, "passage"))))


def silence(numbers: Sequence[int]) -> str:
    """Name pages without text by their numbers in order, consecutive ones as "3-7"."""
    runs = groupby(enumerate(numbers), lambda item: item[1] - item[0])  # which is equal for consecutive numbers
    spans = [[number for _, number in run] for _, run in runs]
    named = ", ".join(f"{span[0]}-{span[-1]}" if len(span) > 1 else f"{span[0]}" for span in spans)
    return plural("no text on page {pages}", "no text on pages {pages}", len(numbers), pages=named)
