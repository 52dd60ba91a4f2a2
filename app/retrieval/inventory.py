"""How the corpus is: what of each file is searchable, what is not and why, and which files hold the same."""

import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from app.documents.language import name as name_of
from app.humanize import ago, count
from app.retrieval.segment import Entry
from app.retrieval.store import Snapshot

State = Literal["searchable", "outdated", "not read"]

UNITS = {".pdf": "page", ".tif": "page", ".tiff": "page", ".pptx": "slide", ".odp": "slide"}
"""What a person counts in a file; the readers' pages of other formats are sections, groups of rows and the like."""

NAMED = 3
"""Files of the same text that are named beside one of them."""


@dataclass(frozen=True, slots=True)
class File:
    """A file of the corpus; `entry` is what is searchable of it, `reason` says what is wrong with it, if anything."""

    name: str
    entry: Entry | None
    reason: str

    @property
    def state(self) -> State:
        """What can be found of it; "outdated" is what an earlier version held."""
        if self.entry is None:
            return "not read"
        return "outdated" if self.reason else "searchable"


@dataclass(frozen=True)
class Inventory:
    """The corpus as it was looked at last."""

    snapshot: Snapshot

    @cached_property
    def files(self) -> list[File]:
        """All files by their names."""
        documents, problems = self.snapshot.documents, self.snapshot.problems
        return [
            File(name, documents.get(name), problems[name].reason if name in problems else "")
            for name in sorted({*documents, *problems})
        ]

    @cached_property
    def duplicates(self) -> list[list[str]]:
        """The names of files that hold the same words, together."""
        same: defaultdict[str, list[str]] = defaultdict(list)
        for entry in self.snapshot.documents.values():
            same[entry.digest].append(entry.file)
        return [names for names in same.values() if len(names) > 1]

    @cached_property
    def languages(self) -> Counter[str]:
        """How many documents are in each language."""
        return Counter(entry.language for entry in self.snapshot.documents.values())

    @property
    def passages(self) -> int:
        """Of all documents."""
        return sum(entry.passages for entry in self.snapshot.documents.values())

    @property
    def made(self) -> float:
        """When the index was changed last, in seconds since 1970; 0 if there is none."""
        return self.snapshot.changed


def summary(health: Inventory) -> list[str]:
    """Of the corpus: how much it holds, in which languages, what is wrong with it, how old the index is."""
    languages = ", ".join(f"{name_of(code)} {number:,}" for code, number in health.languages.most_common())
    wrong = Counter(file.state for file in health.files if file.reason)
    return [
        f"{count(len(health.snapshot.documents), 'document')}, {count(health.passages, 'passage')}",
        *([f"languages: {languages}"] if languages else []),
        *(f"{count(number, 'file')} {state}" for state, number in wrong.items()),
        *([f"index changed {ago(time.time() - health.made)}"] if health.made else []),
    ]


def notes(health: Inventory) -> dict[str, list[str]]:
    """What is to be said of files: why one was not read, which pages hold no text, which others hold the same."""
    twins = {name: names for names in health.duplicates for name in names}
    found = {}
    for file in health.files:
        said = [file.reason] if file.reason else []
        if file.entry is not None and file.entry.silent:
            said.append(silence(file.entry.silent))
        if same := twins.get(file.name):
            others = [name for name in same[: NAMED + 1] if name != file.name][:NAMED]
            further = f" and {len(same) - 1 - len(others):,} more" if len(same) - 1 > len(others) else ""
            said.append(f"the same text as {', '.join(others)}{further}")
        if said:
            found[file.name] = said
    return found


def extent(file: str, pages: int, passages: int) -> str:
    """How much there is in a file."""
    unit = UNITS.get(Path(file).suffix.lower())
    return f"{f'{count(pages, unit)}, ' if unit else ''}{count(passages, 'passage')}"


def silence(numbers: Sequence[int]) -> str:
    """Pages without text, by their numbers in order; those that follow each other as "3-7"."""
    spans: list[tuple[int, int]] = []
    for number in numbers:
        if spans and number == spans[-1][1] + 1:
            spans[-1] = spans[-1][0], number
        else:
            spans.append((number, number))
    named = ", ".join(f"{first}-{last}" if first < last else f"{first}" for first, last in spans)
    return f"no text on page{'' if len(numbers) == 1 else 's'} {named}"
