"""The corpus folder: which files are new, changed or gone, and who reads them. It knows no format."""

import shutil
import time
from collections import deque
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from app import files
from app.documents import readers
from app.documents.document import NEVER, Document, Known, Limits, Outcome, Problem
from app.documents.ingest import read_file
from app.documents.sandbox.pool import Pool
from app.documents.scan import Listed, scan, wanted
from app.errors import CorpusError
from app.settings import Settings

HERE_SECONDS = 0.5
"""How long plain text is read in this process before others are started, which takes about as long."""

MANY = 64
"""Files of plain text for which it pays to start other processes."""

BATCH = 32
"""Files of plain text that are sent to a process together."""

MAX_STEM, MAX_SUFFIX = 200, 30
"""Bytes of the name of a file in UTF-8; systems allow 255 in all, and a number may be added."""

_AWAY = "it is in the cloud only and nothing is fetched unasked; have it kept on this device"


@dataclass(frozen=True, slots=True)
class Difference:
    """New and changed files, each with its path or its problem, and the known files that are gone."""

    changed: tuple[tuple[str, Path | Problem], ...]
    gone: frozenset[str]


class Folder:
    """Lists and reads the documents of a folder; a file of more than `max_bytes` is left out."""

    def __init__(self, path: Path, max_bytes: int, limits: Limits = Limits()):  # noqa: B008 - it is frozen
        self.path = path
        self.max_bytes = max_bytes
        self.limits = limits
        self._pool = Pool(max_bytes, limits)

    @classmethod
    def of(cls, settings: Settings) -> "Folder":
        """Create the folder that the settings name."""
        limits = Limits(settings.read_seconds, settings.read_mb)
        return cls(settings.corpus, settings.max_file_bytes, limits)

    def compare(self, known: Mapping[str, Known]) -> Difference:
        """Compare the folder with its known files, by name; raises CorpusError."""
        changed: list[tuple[str, Path | Problem]] = []
        present = set()
        entry: Listed | Problem | Path
        for file, entry in sorted(scan(self.path), key=lambda item: (item[0], isinstance(item[1], Problem))):
            if file in present:  # two names that cannot be shown may be shown alike
                continue
            present.add(file)
            before = known.get(file)
            if not isinstance(entry, Problem):
                if before and NEVER != (before.size, before.modified_ns) == entry.signature:
                    continue
                entry = Problem(file, _AWAY) if entry.away else Path(entry.path)
            if before != entry:
                changed.append((file, entry))
        return Difference(tuple(changed), frozenset(known.keys() - present))

    def read_all(self, changed: Sequence[tuple[str, Path | Problem]]) -> Generator[Document | Problem, None, None]:
        """Read files as `read_on` does, without the pauses."""
        with closing(self.read_on(changed)) as outcomes:
            yield from (outcome for outcome in outcomes if outcome is not None)

    def read_on(self, changed: Sequence[tuple[str, Path | Problem]]) -> Generator[Outcome, None, None]:
        """Read what `compare` returned, in any order; yields None while nothing is ready.

        Formats that are not trusted are read by other processes, which a file may harm. Plain text is read here,
        which is done before another process has started; if much of it is left after a while, the pool reads the rest.
        """
        yield from (entry for _, entry in changed if isinstance(entry, Problem))
        paths = [(file, entry) for file, entry in changed if not isinstance(entry, Problem)]
        batches = [[item] for item in paths if not readers.trusted(item[1])]
        here = deque(item for item in paths if readers.trusted(item[1]))
        spent = 0.0
        while here and (spent < HERE_SECONDS or len(here) < MANY):
            start = time.monotonic()
            outcome = read_file(*here.popleft(), self.max_bytes)
            spent += time.monotonic() - start
            if outcome is not None:
                yield outcome
        rest = list(here)  # goes first: it is soon read, and then searchable
        batches = [rest[at : at + BATCH] for at in range(0, len(rest), BATCH)] + batches
        if batches:
            with closing(self._pool.read(batches)) as outcomes:
                yield from outcomes

    def keep(self, path: Path, name: str) -> str:
        """Copy a file into the folder under about this name, never over another; return the name it was given.

        Raises CorpusError.
        """
        first = Path(safe(name))
        try:
            for number in count(1):
                target = self.path / (f"{first.stem} ({number}){first.suffix}" if number > 1 else first.name)
                with suppress(FileExistsError), path.open("rb") as source:
                    copy = target.open("xb")
                    try:
                        with copy:
                            shutil.copyfileobj(source, copy)
                    except BaseException:  # after `with`: Windows removes only closed files
                        target.unlink(missing_ok=True)
                        raise
                    return target.name
        except OSError as error:
            remedy = "Free some space, or allow this program to write there."
            why = error.strerror or error
            raise CorpusError(f"{name} cannot be copied into {self.path} ({why}). {remedy}") from error
        raise AssertionError("numbers do not end")


def safe(name: str) -> str:
    """Change the name of a file to one that every system accepts and the corpus does not ignore."""
    bare = files.FORBIDDEN.sub("_", name.replace("\\", "/").rpartition("/")[2]).rstrip(". ~")
    stem, dot, suffix = bare.rpartition(".") if "." in bare else (bare, "", "")
    stem = _cut(stem.strip(". ~#$"), MAX_STEM) or "document"
    whole = f"{'_' if files.is_reserved(stem) else ''}{stem}{dot}{_cut(suffix, MAX_SUFFIX)}".rstrip(".")
    return whole if wanted(whole) else f"{whole}_"


def _cut(text: str, size: int) -> str:
    """Cut a text to whole characters within `size` bytes, without an end that a system drops."""
    return text.encode()[:size].decode(errors="ignore").rstrip(". ~")
