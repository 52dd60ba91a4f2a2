"""A snapshot: the corpus at one time, read from the tables of an index, and what a person is told of its files.

Whatever is written to the index later, a snapshot goes on showing what it was. Snapshots with further documents, or
without some, are made of it.
"""

import json
import time
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.documents.document import ANY, NEVER, Document, Problem, Signature, private_rule
from app.documents.language import shown_name
from app.documents.passages import Passage, Place
from app.retrieval.segment import DocumentSegment, Entry, Postings, Texts
from app.translation import _, again, ago, count, figure, mark, plural

if TYPE_CHECKING:
    from app.retrieval.index import Index
    from app.retrieval.segment import Arrays

_DERIVED = 8
"""Snapshots with further documents, or of some folders, that a snapshot keeps."""

_SEGMENTS = "select segment from documents group by segment order by min(id)"
_ARRAYS = "select name, type, checksum, data from arrays where segment = ?"
_DOCUMENTS = """select id, file, title, language, pages, passages, size, modified_ns, digest, silent, private
    from documents where segment = ? order by id"""
_PROBLEMS = "select file, reason, size, modified_ns, passing, limits from problems order by file"

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
    def state(self) -> str:
        """Whether it can be searched; "outdated" means in an earlier version."""
        if self.entry is None:
            return mark("not read")
        return mark("outdated") if self.reason else mark("searchable")


@dataclass(frozen=True, eq=False)
class Snapshot:
    """The corpus at one time: its segments, the files that could not be read, and when it changed last (Unix time).

    Snapshots of one index have the same `mark` if nothing was changed between them.
    """

    segments: tuple[DocumentSegment, ...] = ()
    problems: Mapping[str, Problem] = field(default_factory=dict)
    mark: str = ""
    changed: float = 0.0
    renew: Callable[[], None] | None = None
    """What lets the database overwrite what this was read from, which has the same content."""
    ranked: "Callable[[Snapshot], Index] | None" = None
    """What makes the index, if another process than this one keeps postings."""
    _derived: dict[tuple[Document | str, ...], "Snapshot"] = field(default_factory=dict, init=False)

    @cached_property
    def documents(self) -> Mapping[str, Entry]:
        """Every document by its file, in the order of the names."""
        living = (entry for segment in self.segments for entry in segment.entries.values())
        return {entry.file: entry for entry in sorted(living, key=lambda entry: entry.file)}

    @cached_property
    def files(self) -> list[File]:
        """All files, in the order of their names."""
        documents, problems = self.documents, self.problems
        return [
            File(name, documents.get(name), problems[name].reason if name in problems else "")
            for name in sorted({*documents, *problems})
        ]

    @cached_property
    def index(self) -> "Index":
        """The passages, searchable."""
        if self.ranked is not None:
            return self.ranked(self)
        from app.retrieval.index import Index  # which imports numpy

        return Index([(segment, segment.alive) for segment in self.segments])

    def plus(self, documents: tuple[Document, ...]) -> "Snapshot":
        """Return the snapshot with further documents, which are kept in memory alone."""
        added = partial(DocumentSegment.in_memory, documents)
        return self._derive(documents, lambda: replace(self, segments=(*self.segments, added())))

    def within(self, scope: tuple[str, ...]) -> "Snapshot":
        """Return what is in some folders, named with a slash at the end, or is one of some files; all if none is named.

        Its index ranks as if there were nothing else: a word that is frequent elsewhere can be rare in a folder, and no
        word of other folders is taken for known or suggested.
        """

        def inside(file: str) -> bool:
            return any(file == each or (each.endswith("/") and file.startswith(each)) for each in scope)

        return self._derive(scope, lambda: self._limited(inside))

    def public(self, patterns: str) -> "Snapshot":
        """Return what no rule makes private, of which the patterns of the settings are one."""

        def inside(file: str) -> bool:
            return not private_rule(file, file in self.documents and self.documents[file].private, patterns)

        return self._derive((ANY, patterns), lambda: self._limited(inside))

    def _limited(self, inside: Callable[[str], bool]) -> "Snapshot":
        segments = (segment.within(inside) for segment in self.segments)
        problems = {file: problem for file, problem in self.problems.items() if inside(file)}
        return replace(self, segments=tuple(each for each in segments if each.entries), problems=problems)

    def _derive(self, key: tuple[Document | str, ...], make: Callable[[], "Snapshot"]) -> "Snapshot":
        if key and key not in self._derived:
            if len(self._derived) >= _DERIVED:
                self._derived.clear()
            self._derived[key] = make()
        return self._derived[key] if key else self

    def text(self, file: str) -> str:
        """Return the text of a document as it was read, empty if there is none of that name."""
        return next((each.texts.text(each.entries[file]) for each in self.segments if file in each.entries), "")

    def around(self, file: str, start: int, end: int, most: int) -> Passage:
        """Return up to `most` characters of a document, with a stretch in their middle, at the place where that is."""
        text, passages = self.text(file), self.passages(file)
        first = max(0, min(start, len(text)) - max(0, most - (end - start)) // 2)
        last = min(len(text), first + most)
        at = next((it for it in passages if it.end > start), passages[-1])
        return replace(at, start=first, end=last, text=text[first:last])

    def passages(self, file: str) -> list[Passage]:
        """Return the passages of a document in their order, none if there is none of that name."""
        for segment in self.segments:
            if entry := segment.entries.get(file):
                return [segment.texts.passage(entry, number) for number in range(entry.passages)]
        return []


NOTHING = Snapshot()
"""The snapshot of a corpus without documents."""


def cut(entry: Entry, text: str, start: int, stop: int, place: str) -> Passage:
    """Return a passage of a document, of which the place is written as JSON."""
    return Passage(entry.file, start, stop, text[start:stop], Place(*json.loads(place)), entry.title, entry.language)


Make = Callable[[int, "Arrays"], Postings]
"""Makes the postings of a segment, by its key and its arrays."""


def flat(_segment: int, arrays: "Arrays") -> Postings:
    """Make postings that are all in memory."""
    return Postings(arrays)


def load(db: Any, segment: int, make: Make = flat) -> tuple[Postings, Sequence[Entry]]:
    """Load what never changes of a segment; raises errors of the database and `ODD` ones if it is damaged."""
    import numpy as np

    arrays = {}
    for name, kind, checksum, data in db.execute(_ARRAYS, (segment,)):
        if zlib.crc32(data) != checksum:
            raise ValueError(f"{name} is damaged")
        arrays[name] = np.frombuffer(data, kind)
    postings = make(segment, arrays)
    entries = []
    for *columns, silent, private in db.execute(_DOCUMENTS, (segment,)):
        entries.append(Entry(*(*columns, tuple(json.loads(silent)), bool(private))))
    if sum(entry.passages for entry in entries) != len(postings.lengths):
        raise ValueError("documents are missing")
    return postings, entries


def read_snapshot(db: Any, known: Snapshot, limits: str, reader: Texts, make: Make = flat) -> Snapshot:
    """Return the snapshot in force, the known one if nothing has changed; the reader fetches its texts."""
    mark, changed = db.execute("select mark, changed from state").fetchone()
    if mark == known.mark:
        return known
    loaded = {segment.key: (segment.postings, segment.indexed) for segment in known.segments}
    gone = frozenset(number for (number,) in db.execute("select id from documents where gone"))
    segments = tuple(
        DocumentSegment(key, *(loaded.get(key) or load(db, key, make)), reader, gone)
        for (key,) in db.execute(_SEGMENTS).fetchall()
    )
    problems = {}
    for file, reason, size, modified_ns, passing, under in db.execute(_PROBLEMS):
        tried: Signature = (size, modified_ns) if under == limits else NEVER
        problems[file] = Problem(file, reason, *tried, bool(passing))
    return Snapshot(segments, problems, mark, changed)


def summary(snapshot: Snapshot) -> list[str]:
    """Summarise the corpus: its size, its languages, its problems and the age of the index."""
    codes = Counter(entry.language for entry in snapshot.documents.values())
    languages = ", ".join(f"{shown_name(code)} {figure(number)}" for code, number in codes.most_common())
    wrong = Counter(file.state for file in snapshot.files if file.reason)
    outdated, unread, changed = wrong["outdated"], wrong["not read"], snapshot.changed
    return [
        f"{count(len(snapshot.documents), 'document')}, {count(len(snapshot.index), 'passage')}",
        *([_("languages: {languages}", languages=languages)] if languages else []),
        *([plural("{number} file outdated", "{number} files outdated", outdated)] if outdated else []),
        *([plural("{number} file not read", "{number} files not read", unread)] if unread else []),
        *([_("index changed {when}", when=ago(time.time() - changed))] if changed else []),
    ]


def notes(snapshot: Snapshot) -> dict[str, list[str]]:
    """Return notes by file: why it was not read, which pages hold no text, which other files hold equal text."""
    equal: defaultdict[str, list[str]] = defaultdict(list)
    for entry in snapshot.documents.values():
        equal[entry.digest].append(entry.file)
    by_file: defaultdict[str, list[str]] = defaultdict(list)
    for file in snapshot.files:
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
