"""The index of a corpus on the disk: immutable segments, and a manifest that says which of them are in force.

A change writes a segment of its own and then replaces the manifest, which raises its generation. Whoever reads goes on
with the generation it has opened and never waits; whoever writes holds a lock, one process at a time. Files of earlier
generations are removed at the next open, since Windows removes no file that somebody has mapped.
"""

import logging
import math
import secrets
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import astuple, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from app import state
from app.documents.document import Document, Problem
from app.errors import DamagedIndex
from app.retrieval import arrays
from app.retrieval.segment import Draft, Stored

logger = logging.getLogger(__name__)

FORMAT = 4
"""Of segments and of what terms are; an index of another format is made anew."""

FEW = 8
"""Segments up to which nothing is merged; where nobody settles, a change does so at twice as many."""

WORDS = 1 << 24
"""In a draft, at which it becomes a segment; bounds the memory of a build at about half a gigabyte."""


Living = tuple[Stored, frozenset[int]]
"""A segment and the numbers of those of its documents that are gone."""


@dataclass(frozen=True, slots=True)
class Generation:
    """What is in force: segments, files left out, and when it was made, in seconds since 1970.

    Numbers start again when an index is made anew, marks do not.
    """

    number: int
    mark: str
    segments: tuple[Living, ...]
    problems: tuple[Problem, ...]
    made: float = 0.0


class Store:
    """Opens and changes the index in a folder; each of its methods may block."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._manifest = folder / "manifest.json"
        self._lock = FileLock(folder / "write.lock")
        self._open: dict[str, Stored] = {}

    def current(self, known: Generation | None = None) -> Generation:
        """The generation in force, the same object if it is the one that is known; an empty one if there is no index.

        Raises DamagedIndex.
        """
        while True:
            manifest = state.read(self._manifest) or {}
            sound = manifest.get("format") == FORMAT
            if known is not None and known.mark == (manifest.get("mark") if sound else ""):
                return known
            if not sound:
                return Generation(0, "", (), ())
            try:
                return self._generation(manifest)
            except FileNotFoundError as error:
                if state.read(self._manifest) == manifest:  # no other process has been quicker
                    raise DamagedIndex(Path(error.filename)) from None

    @contextmanager
    def writing(self, seconds: float = -1) -> Iterator["Writer | None"]:
        """The right to change the index, waited for at most so long; None if another process keeps it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire(timeout=seconds)
        except Timeout:
            yield None
            return
        try:
            yield Writer(self)
        finally:
            self._lock.release()

    def tidy(self) -> None:
        """Remove what no generation needs any more, unless somebody is writing."""
        with suppress(OSError), self.writing(0.0) as writer:
            generation = self.current()
            if writer is None or not generation.mark:
                return
            needed = {self._manifest.name, *(segment.name for segment, _ in generation.segments)}
            for path in (*self.folder.glob("*.segment"), *self.folder.glob(f"{self._manifest.name}*")):
                if path.name not in needed:
                    with suppress(OSError):  # mapped by another process, on Windows; there is a next time
                        path.unlink()

    def forget(self) -> None:
        """Begin anew, after damage; the segments are left to `tidy`."""
        self._open.clear()
        with suppress(OSError):
            self._manifest.unlink(missing_ok=True)

    def exists(self) -> bool:
        """Whether there is an index, be it one that cannot be read."""
        return self._manifest.exists()

    def put(self, generation: Generation) -> None:
        """Make a generation the one in force; for the writer alone."""
        segments = [(segment.name, sorted(gone)) for segment, gone in generation.segments]
        problems = [astuple(problem) for problem in generation.problems]
        manifest = {"format": FORMAT, "generation": generation.number, "mark": generation.mark, "made": generation.made}
        state.write(self._manifest, manifest | {"segments": segments, "problems": problems})

    def opened(self, name: str) -> Stored:
        """A segment, opened once."""
        if name not in self._open:
            self._open[name] = Stored.opened(self.folder / name)
        return self._open[name]

    def _generation(self, manifest: dict[str, Any]) -> Generation:
        try:
            segments = tuple((self.opened(name), frozenset(gone)) for name, gone in manifest["segments"])
            problems = tuple(Problem(*values) for values in manifest["problems"])
            generation = Generation(manifest["generation"], manifest["mark"], segments, problems, manifest["made"])
            if not all(0 <= number < len(segment.numbers) for segment, gone in segments for number in gone):
                raise DamagedIndex(self._manifest)
        except (KeyError, TypeError, ValueError):
            raise DamagedIndex(self._manifest) from None
        self._open = {segment.name: segment for segment, _ in segments}
        return generation


class Writer:
    """Changes the index of a store; there is one at a time."""

    def __init__(self, store: Store):
        self._store = store

    def change(self, results: Iterable[Document | Problem], gone: Iterable[str]) -> Generation:
        """Put in what was read, which replaces what the index has of these files, and take out what is gone.

        A file that could not be read for a passing reason keeps what was read of it before, beside its problem.
        Raises OSError and DamagedIndex; the index is then as it was.
        """
        before = self._store.current()
        if not before.mark and self._store.exists():
            logger.warning("the index in %s is damaged or of another version and made anew", self._store.folder)
        number = before.number + 1
        outdated = set(gone)
        passing: set[str] = set()
        problems = {}
        fresh: list[Stored] = []
        draft, drafted = Draft(), 0
        for result in results:
            if isinstance(result, Problem):
                (passing if result.passing else outdated).add(result.file)
                problems[result.file] = result
                continue
            outdated.add(result.file)
            draft.add(result)
            drafted += 1
            if draft.words >= WORDS:
                fresh.append(self._written(draft, number))
                draft, drafted = Draft(), 0
        if drafted:
            fresh.append(self._written(draft, number))
        segments = [
            (segment, dead | {segment.numbers[file] for file in outdated & segment.numbers.keys()})
            for segment, dead in before.segments
        ]
        segments += [(segment, frozenset()) for segment in fresh]
        kept = [problem for problem in before.problems if problem.file not in outdated | passing]
        segments = [self._slim(pair, number) for pair in segments if _living(*pair)]
        if len(segments) > 2 * FEW:
            segments = self._merged(segments, number)
        return self._in_force(number, segments, (*kept, *problems.values()), time.time())

    def settle(self) -> Generation:
        """Merge segments, if there are too many; what can be found stays the same."""
        before = self._store.current()
        merged = self._merged(list(before.segments), before.number + 1)
        if len(merged) == len(before.segments):
            return before
        return self._in_force(before.number + 1, merged, before.problems, before.made)

    def _in_force(
        self, number: int, segments: Sequence[Living], problems: tuple[Problem, ...], made: float
    ) -> Generation:
        generation = Generation(number, secrets.token_hex(8), tuple(segments), problems, made)
        self._store.put(generation)
        return generation

    def _written(self, draft: Draft, generation: int) -> Stored:
        path = self._store.folder / f"{generation:08}-{secrets.token_hex(4)}.segment"
        arrays.write(path, draft.arrays())
        return self._store.opened(path.name)

    def _slim(self, segment: Living, generation: int) -> Living:
        """The segment, written anew if more than half of it is gone: what is deleted is not to stay for ever."""
        return self._joined([segment], generation) if 2 * _living(*segment) < len(segment[0].numbers) else segment

    def _merged(self, segments: list[Living], generation: int) -> list[Living]:
        """Few enough segments.

        So many of the last become one that each of the others is twice what follows it: every document is then copied
        once for each doubling of the corpus.
        """
        if len(segments) <= FEW:
            return segments
        sizes = [_words(*pair) for pair in segments]
        for first, size in enumerate(sizes[:-1]):
            rest = sum(sizes[first + 1 :])
            if size < 2 * rest and size + rest <= WORDS:
                return [*segments[:first], self._joined(segments[first:], generation)]
        for first, (one, two) in enumerate(pairwise(sizes)):  # parts of a corpus of more than WORDS
            if one + two <= WORDS:
                segments[first : first + 2] = [self._joined(segments[first : first + 2], generation)]
                return segments
        return segments

    def _joined(self, segments: list[Living], generation: int) -> Living:
        draft = Draft()
        for segment, gone in segments:
            draft.take(segment, set(gone))
        return self._written(draft, generation), frozenset()


def _living(segment: Stored, gone: frozenset[int]) -> int:
    return len(segment.numbers) - len(gone)


def _words(segment: Stored, gone: frozenset[int]) -> int:
    """About how many words of a segment are still needed."""
    return math.ceil(len(segment.postings.tokens) * _living(segment, gone) / max(1, len(segment.numbers)))
