"""A reader process whose formats misbehave: `python -m tests.support.bad_readers`, in place of the real one."""

import os
import re
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from app.documents import folder, reader_pool, reader_process, readers
from app.documents.passages import Page, Place
from app.documents.reader_pool import Pool
from app.documents.readers import Format

PAGE = [Page("The text of a page.", Place("page", "page 1", 1))]


def note(what: str) -> None:
    """Put the number of this process into a file of the folder that the environment names."""
    with (Path(os.environ["TEST_READERS_NOTES"]) / what).open("a", encoding="utf-8") as file:
        file.write(f"{os.getpid()}\n")


def spy(_: bytes) -> list[Page]:
    """Tells what this process was told by its environment."""
    return [Page(" ".join(os.environ.values()), PAGE[0].place)]


def hang(_: bytes) -> list[Page]:
    """For ever."""
    note("busy")
    while True:
        time.sleep(0.01)


def cling(_: bytes) -> list[Page]:
    """Like `hang`, in a call that lets no other thread run."""
    note("busy")
    re.match(r"(a+)+$", "a" * 60 + "b")
    return PAGE


def eat(_: bytes) -> list[Page]:
    """A little at a time."""
    held = []
    while True:
        held.append(bytearray(b"x") * 10_000_000)


def swallow(_: bytes) -> list[Page]:
    """More than there can be, at once."""
    return [Page(str(bytearray(10**13)), PAGE[0].place)]


def crash(_: bytes) -> list[Page]:
    """As a library in C does."""
    os.kill(os.getpid(), signal.SIGSEGV if os.name == "posix" else signal.SIGTERM)
    return []


def say(what: bytes) -> Callable[[bytes], list[Page]]:
    """Writes to the pipe in the place of the answer, as a process does that was taken over."""

    def read(_: bytes) -> list[Page]:
        for pipe in range(3, 64):
            try:
                os.write(pipe, what)
            except OSError:
                continue
        time.sleep(60)
        return []

    return read


def expand(_: bytes) -> list[Page]:
    """A text of 3 MB from a few bytes."""
    return [Page("word " * 600_000, PAGE[0].place)]


def wait(_: bytes) -> list[Page]:
    """Until the test lets it go on, by a file "go" beside the notes."""
    note("busy")
    while not (Path(os.environ["TEST_READERS_NOTES"]) / "go").exists():
        time.sleep(0.01)
    return PAGE


def chat(_: bytes) -> list[Page]:
    """Prints, and asks for input, as careless libraries do."""
    print("The text of the document")
    sys.stdout.flush()
    os.write(1, b"more of it")
    assert sys.stdin.read() == ""
    return PAGE


def tell(data: bytes) -> list[Page]:
    """The number of this process, and one word of how often it was asked."""
    return [Page(f"Process {os.getpid()} read {data.decode()}", PAGE[0].place)]


class Late:
    """Crashes at the file after it."""

    spoilt = False

    def spoil(self, _: bytes) -> list[Page]:
        """Leaves damage behind."""
        self.spoilt = True
        return PAGE

    def suffer(self, _: bytes) -> list[Page]:
        """Reads, unless something has left damage behind."""
        return crash(b"") if self.spoilt else PAGE


LATE = Late()
_GARBAGE = b"GET / HTTP/1.1\r\n" * 100
_WRONG = b'["title","en",1,1,1,[[0,99,"page","page 1",1,""]],[]]'

FORMATS = {
    ".hang": hang,
    ".spy": spy,
    ".cling": cling,
    ".eat": eat,
    ".swallow": swallow,
    ".crash": crash,
    ".garbage": say(_GARBAGE),
    ".long": say(b"\xff" * 8),
    ".wrong": say(reader_process._LENGTHS.pack(len(_WRONG), 2) + _WRONG + b"hi"),
    ".half": say(reader_process._LENGTHS.pack(1000, 1000) + b"["),
    ".expand": expand,
    ".chat": chat,
    ".wait": wait,
    ".tell": tell,
    ".spoil": LATE.spoil,
    ".suffer": LATE.suffer,
}


def formats() -> dict[str, Format]:
    """All formats, and these."""
    return {**readers.SUFFIXES, **{suffix: Format((suffix,), read) for suffix, read in FORMATS.items()}}


def use(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have folders read these formats, too, by processes that no other folder shares."""
    monkeypatch.setattr(reader_pool, "WORKER", __name__)
    monkeypatch.setattr(readers, "SUFFIXES", formats())
    monkeypatch.setattr(folder, "shared_pool", Pool)


def main() -> None:
    """The reader process, with these formats."""
    readers.SUFFIXES = formats()
    note("started")
    reader_process.main()


if __name__ == "__main__":
    main()
