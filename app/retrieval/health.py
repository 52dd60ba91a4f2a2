"""How the corpus is: what of each file is searchable, what is not and why, and which files hold the same."""

from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from app.retrieval.archive import Entry
from app.retrieval.snapshot import Snapshot

State = Literal["searchable", "outdated", "not read"]


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
class Health:
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
        return self.snapshot.generation.made
