"""Text recognition in pictures by the program Tesseract, where it is installed; it knows no PDF."""

import os
import shutil
import subprocess
import time
from functools import cached_property

from app.documents.passages import PAGE_LABEL, SEPARATOR, Page, Place
from app.documents.readers.text import clean
from app.errors import UnreadableFile
from app.translation import mark

_PICTURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"MM\0*")
"""First bytes of pictures; Tesseract takes anything else for a list of files to read."""

_SHARE = 0.7
"""Of the seconds that a file may take; the rest is needed before and after."""

_ONE_THREAD = {"OMP_THREAD_LIMIT": "1"}
"""Threads of its own make it slower: a page takes 44 s instead of 7 where another program keeps both cores busy."""

_FOLDERS = (("ProgramFiles", "Tesseract-OCR"), ("LOCALAPPDATA", "Programs/Tesseract-OCR"))
"""Where the program is on Windows, whose installer does not add it to the path."""


class Failed(Exception):
    """A picture yields no text."""


class Tesseract:
    """The program with all its languages, and the time left for a file, which starts now."""

    def __init__(self) -> None:
        self._program = program()
        self._end = time.monotonic() + _SHARE * float(os.environ.get("ESCALATOR_READ_SECONDS", "30"))

    @property
    def ready(self) -> bool:
        """Whether it is installed, and time is left for another picture."""
        return bool(self._program) and time.monotonic() < self._end

    @cached_property
    def _languages(self) -> str:
        listed = self._run(b"", "--list-langs").splitlines()[1:]
        return "+".join(name for name in listed if name not in ("osd", "equ") and "/" not in name) or "eng"

    def text(self, picture: bytes, *options: str) -> str:
        """Recognize the text of a picture, with a form feed between pages; raises Failed."""
        return self._run(picture, "stdin", "stdout", "-l", self._languages, *options).removesuffix(SEPARATOR)

    def _run(self, picture: bytes, *arguments: str) -> str:
        try:
            left = max(0.1, self._end - time.monotonic())
            command = [self._program, *arguments]  # found by its name, with our own arguments
            done = subprocess.run(  # noqa: S603
                command, input=picture, capture_output=True, check=True, timeout=left, env=os.environ | _ONE_THREAD
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise Failed(type(error).__name__) from None
        return done.stdout.decode("utf-8", "replace")


def program() -> str:
    """Return the path of Tesseract, or nothing."""
    folders = [f"{os.environ[variable]}/{folder}" for variable, folder in _FOLDERS if variable in os.environ]
    return shutil.which("tesseract", path=os.pathsep.join([os.environ.get("PATH", os.defpath), *folders])) or ""


def remedy() -> str:
    """Return a clause about pictures without text that says what to do."""
    if program():
        return mark("no text was recognized within the time of ESCALATOR_READ_SECONDS")
    return mark("it needs text recognition: install Tesseract, then run escalator index --rebuild")


def read(data: bytes) -> list[Page]:
    """Return the text of a picture, or of several that are pages of one file."""
    if not data.startswith(_PICTURES):
        raise UnreadableFile("it is no picture although its name says so; save it as PNG")
    tesseract = Tesseract()
    try:
        text = tesseract.text(data) if tesseract.ready else ""
    except Failed as error:
        raise UnreadableFile(
            "text recognition failed ({error}); save it as PNG, or raise ESCALATOR_READ_SECONDS", error=error
        ) from None
    texts = [clean(text).strip() for text in text.split(SEPARATOR)]
    if not any(texts):
        raise UnreadableFile("it is a picture; {remedy}", remedy=remedy())
    return [Page(text, Place("page", PAGE_LABEL.format(number=n), n)) for n, text in enumerate(texts, 1)]
