"""Text in pictures, recognized by the program Tesseract where it is installed; it knows no PDF."""

import os
import shutil
import subprocess
import time
from pathlib import Path

from app.documents.pages import SEPARATOR, Page, Place
from app.documents.readers.text import clean
from app.errors import UnreadableFile

_PICTURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"MM\0*")
"""How they begin; Tesseract takes what it does not know for a list of other files to be read."""

_SHARE = 0.7
"""Of the seconds that a file may take: the rest is for what is done before and after."""

_FOLDERS = (("ProgramFiles", "Tesseract-OCR"), ("LOCALAPPDATA", "Programs/Tesseract-OCR"))
"""Where it is on Windows, whose installer does not put it on the path."""


class Failed(Exception):
    """There is no text to be had of a picture."""


class Tesseract:
    """The program, with all languages that it has, and the time that is left for a file, begun at a monotonic time."""

    def __init__(self, began: float):
        self._program = program()
        self._end = began + _SHARE * float(os.environ.get("ESCALATOR_READ_SECONDS", "30"))
        self._longest = 0.0
        listed = self._run(b"", "--list-langs").splitlines()[1:]
        self._languages = "+".join(name for name in listed if name not in ("osd", "equ") and "/" not in name) or "eng"

    @property
    def tired(self) -> bool:
        """Whether another picture would take longer than there is time."""
        return time.monotonic() + self._longest > self._end

    def text(self, picture: bytes, *options: str) -> str:
        """What stands in it, with a form feed between pages; raises Failed."""
        began = time.monotonic()
        text = self._run(picture, "stdin", "stdout", "-l", self._languages, *options)
        self._longest = max(self._longest, time.monotonic() - began)
        return text.removesuffix(SEPARATOR)

    def _run(self, given: bytes, *arguments: str) -> str:
        try:
            left = max(0.1, self._end - time.monotonic())
            command = [self._program, *arguments]  # found by its name, with our own arguments
            done = subprocess.run(command, input=given, capture_output=True, check=True, timeout=left)  # noqa: S603
        except (OSError, subprocess.SubprocessError) as error:
            raise Failed(type(error).__name__) from None
        return done.stdout.decode("utf-8", "replace")


def program() -> str:
    """The path of Tesseract, or nothing."""
    folders = (Path(os.environ.get(variable, "")) / folder for variable, folder in _FOLDERS)
    usual = (str(path) for folder in folders if folder.is_absolute() and (path := folder / "tesseract.exe").exists())
    return shutil.which("tesseract") or next(usual, "")


def wanting() -> str:
    """What to say of pictures without text."""
    if program():
        return "in which no text was recognized within the time of ESCALATOR_READ_SECONDS"
    return "which needs text recognition: install Tesseract, then run escalator index --rebuild"


def read(data: bytes) -> list[Page]:
    """The text of a picture, or of several that are pages of one file."""
    if not data.startswith(_PICTURES):
        raise UnreadableFile("it is no picture although its name says so; save it as PNG")
    try:
        text = Tesseract(time.monotonic()).text(data) if program() else ""
    except Failed as error:
        remedy = "save it as PNG, or raise ESCALATOR_READ_SECONDS"
        raise UnreadableFile(f"text recognition failed ({error}); {remedy}") from None
    texts = [clean(text).strip() for text in text.split(SEPARATOR)]
    if not any(texts):
        raise UnreadableFile(f"it is a picture, {wanting()}")
    return [Page(text, Place("page", f"page {n}", n)) for n, text in enumerate(texts, 1)]
