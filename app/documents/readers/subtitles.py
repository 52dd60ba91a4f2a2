"""Subtitles (.srt, .vtt): what is said, in pages of some sentences whose places are times."""

import re
from collections.abc import Iterator
from html import unescape

from app.documents.passages import AIM_WORDS, MAX_WORDS, Page, Place, measure
from app.documents.readers.text import clean, decode
from app.errors import UnreadableFile

_TIME = re.compile(r"^[ \t]*((?:\d+:)?\d\d?:\d\d)[.,]\d+[ \t]*-->.*", re.MULTILINE)
_EMPTY_LINE = re.compile(r"\n\s*\n")
_NUMBER = re.compile(r"(?<!\s)(?=[^\S\n]*+\n)\s++\d++\s*$")
"""The number of the next subtitle, where no empty line is above it."""

_SPEAKER = re.compile(r"<v(?:\.[^\s>]*)?\s+([^>]+)>")
_TAG = re.compile(r"</?[a-zA-Z\d][^<>]*>|\{\\[^{}]*\}")
_SENTENCE_END = re.compile(r"[.!?…。！？][\"'”’»)\]]*$")

Cue = tuple[str, list[str]]
"""The time at which some lines appear, and the lines."""


def read(data: bytes) -> list[Page]:
    """Return the text without numbers, positions and notes; a page ends at the end of a sentence if it can."""
    pages: list[Page] = []
    start, lines, words = "", list[str](), 0
    for time, shown in _cues(clean(decode(data))):
        full = words >= AIM_WORDS and _SENTENCE_END.search(lines[-1])
        if lines and (full or words + measure(" ".join(shown)) > MAX_WORDS):
            pages.append(Page("\n".join(lines), Place("heading", start, len(pages) + 1)))
            lines, words = [], 0
        start = start if lines else time
        new = [line for line in shown if line not in lines[-2:]]  # automatic subtitles show each line twice
        lines += new
        words += measure(" ".join(new))
    if lines:
        pages.append(Page("\n".join(lines), Place("heading", start, len(pages) + 1)))
    if not pages:
        raise UnreadableFile("it holds no subtitles; save it again as SubRip (.srt) or WebVTT (.vtt)")
    return pages


def _cues(text: str) -> Iterator[Cue]:
    """Yield the cues; whatever is outside of them (numbers, notes, styles) is below an empty line, or a number."""
    _, *parts = _TIME.split(text)
    for time, below in zip(*[iter(parts)] * 2, strict=True):
        body, *after = _EMPTY_LINE.split(below, maxsplit=1)
        body = body if after else _NUMBER.sub("", body)
        lines = (unescape(_TAG.sub("", _SPEAKER.sub(r"\1: ", line))).split() for line in body.split("\n"))
        yield time, [" ".join(words) for words in lines if words]
