"""The corpus: a folder of files, of which those are read that are new or have changed."""

import logging
import shutil
import time
from collections import deque
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from app.documents import language, readers
from app.documents.document import NEVER, Document, Known, Limits, Outcome, Problem, Signature, signature
from app.documents.pages import joined
from app.documents.passages import split
from app.documents.scan import Listed, scan, wanted
from app.errors import CorpusError, UnreadableFile
from app.files import FORBIDDEN, is_reserved

if TYPE_CHECKING:
    from app.documents.sandbox.pool import Pool
    from app.settings import Settings

logger = logging.getLogger(__name__)

HERE_SECONDS = 0.5
"""Spent on reading plain text before other processes are asked: about what it takes to start one."""

MANY = 64
"""Files of plain text for which it pays to start other processes."""

BATCH = 32
"""Files of plain text that are sent to a process together."""

MAX_STEM, MAX_SUFFIX = 200, 30
"""Bytes of the name of a file that is kept, in UTF-8, with room for a number: systems take 255 in all."""

_AWAY = "it is in the cloud only and nothing is fetched unasked; have it kept on this device"


@dataclass(frozen=True, slots=True)
class Difference:
    """What is to be read because it is new or has changed, and which known files are gone."""

    changed: tuple[tuple[str, Path | Problem], ...]
    gone: frozenset[str]


class Folder:
    """Lists and reads the documents of a folder; `max_bytes` is the size above which a file is left out."""

    def __init__(self, path: Path, max_bytes: int, limits: Limits = Limits()):  # noqa: B008 - it is frozen
        self.path = path
        self.max_bytes = max_bytes
        self.limits = limits

    @classmethod
    def of(cls, settings: "Settings") -> "Folder":
        """The one that the settings name."""
        limits = Limits(settings.read_seconds, settings.read_mb)
        return cls(settings.corpus, settings.max_file_bytes, limits)

    def compare(self, known: Mapping[str, Known]) -> Difference:
        """How the folder differs from what is known of its files; raises CorpusError."""
        changed: list[tuple[str, Path | Problem]] = []
        present = set()
        for file, found in sorted(scan(self.path), key=lambda item: (item[0], isinstance(item[1], Problem))):
            if file in present:  # another name that cannot be shown is shown like this one
                continue
            present.add(file)
            before = known.get(file)
            if isinstance(found, Listed) and before and NEVER != (before.size, before.modified_ns) == found.signature:
                continue
            if isinstance(found, Listed) and found.away:
                found = Problem(file, _AWAY)
            if isinstance(found, Listed) or before != found:
                changed.append((file, found if isinstance(found, Problem) else Path(found.path)))
        return Difference(tuple(changed), frozenset(known.keys() - present))

    def read(self, file: str, path: Path | Problem) -> Outcome:
        """What `compare` found, read; None if it is gone meanwhile."""
        if isinstance(path, Problem):
            return path
        found = NEVER
        try:
            found = signature(path)
            document = self._document(file, path, found)
            # A file that changes while it is read is read again next time.
            return document if found == signature(path) else replace(document, size=-1, modified_ns=-1)
        except FileNotFoundError:
            return None
        except UnreadableFile as error:
            if isinstance(error.__cause__, OSError):
                return Problem(file, str(error), passing=True)
            return Problem(file, str(error), *found)
        except OSError as error:
            reason = f"it cannot be read ({error.strerror or type(error).__name__}); close it in other programs"
            return Problem(file, reason, passing=True)
        except Exception as error:  # one bad file must not stop the others, and parsers raise anything
            logger.warning("reading %s failed: %s", file, type(error).__name__)
            reason = f"it cannot be read ({type(error).__name__}); save it again, or in another format"
            return Problem(file, reason, *found)

    def read_all(self, changed: Sequence[tuple[str, Path | Problem]]) -> Generator[Document | Problem, None, None]:
        """The same as `read_on`, without pauses."""
        with closing(self.read_on(changed)) as results:
            yield from (found for found in results if found is not None)

    def read_on(self, changed: Sequence[tuple[str, Path | Problem]]) -> Generator[Outcome, None, None]:
        """All that `compare` found, in any order, and None whenever there is none for a while.

        What must be parsed is read by other processes, which it may take down.

        Plain text is read here, for that is done before another process has started; only if there is so much of it
        that this takes a while, the rest of it is read by other processes too, on all cores.
        """
        apart: list[list[tuple[str, Path]]] = []
        here: deque[tuple[str, Path | Problem]] = deque()
        for file, path in changed:
            if isinstance(path, Problem) or readers.trusted(path):
                here.append((file, path))
            else:
                apart.append([(file, path)])
        spent = 0.0
        while here and (spent < HERE_SECONDS or len(here) < MANY):
            begun = time.monotonic()
            found = self.read(*here.popleft())
            spent += time.monotonic() - begun
            if found is not None:
                yield found
        while here:  # before all else: it is soon done, and then searchable
            batch = [here.pop() for _ in range(min(BATCH, len(here)))]
            yield from (path for _, path in batch if isinstance(path, Problem))
            apart.insert(0, [(file, path) for file, path in batch if not isinstance(path, Problem)])
        if apart:
            with closing(self._pool.read(apart)) as results:
                yield from results

    def keep(self, path: Path, name: str) -> str:
        """Copy a file into the folder under about this name, never over another one; the name it got.

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
                    except BaseException:  # Windows removes only what is closed
                        target.unlink(missing_ok=True)
                        raise
                    return target.name
        except OSError as error:
            remedy = "Free some space, or allow this program to write there."
            why = error.strerror or error
            raise CorpusError(f"{name} cannot be copied into {self.path} ({why}). {remedy}") from error
        raise AssertionError("numbers do not end")

    @cached_property
    def _pool(self) -> "Pool":
        from app.documents.sandbox.pool import Pool

        return Pool(self.max_bytes, self.limits)

    def _document(self, file: str, path: Path, signature: Signature) -> Document:
        pages = readers.read(path, self.max_bytes)
        text = joined(pages)
        title = readers.title(path, pages, file)
        code = language.detect(text)
        passages = tuple(split(pages, file, title, code))
        silent = tuple(page.place.number for page in pages if page.place.kind == "page" and not page.text.strip())
        return Document(file, title, text, code, len(pages), passages, *signature, silent)


def safe(name: str) -> str:
    """The name of a file as every system takes it and the corpus does not ignore it."""
    bare = FORBIDDEN.sub("_", name.replace("\\", "/").rpartition("/")[2]).rstrip(". ~")
    stem, dot, suffix = bare.rpartition(".") if "." in bare else (bare, "", "")
    stem = _cut(stem.strip(". ~#$"), MAX_STEM) or "document"
    whole = f"{'_' if is_reserved(stem) else ''}{stem}{dot}{_cut(suffix, MAX_SUFFIX)}".rstrip(".")
    return whole if wanted(whole) else f"{whole}_"


def _cut(text: str, size: int) -> str:
    """As many whole characters as fit into so many bytes, and no end that a system drops."""
    return text.encode()[:size].decode(errors="ignore").rstrip(". ~")
