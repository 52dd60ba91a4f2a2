"""Pictures of PDF pages, and boxes around what is cited on them.

A process of its own, `python -m app.documents.page_image`, draws the page, because a file may be made to harm whoever
draws it: it is killed when it takes too long, and only a picture and numbers are accepted from it.
"""

import json
import math
import os
import re
import struct
import sys
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path
from threading import Timer
from typing import IO, TYPE_CHECKING
from unicodedata import normalize

from app import processes
from app.documents.document import Limits
from app.documents.sentences import Span
from app.errors import UnreadableFile

if TYPE_CHECKING:
    from pypdfium2 import PdfBitmap, PdfPage, PdfPosConv

WORKER = "app.documents.page_image"

LIMITS = Limits(seconds=10, megabytes=1000)

WIDTH = 1000
"""Pixels of a picture, unless it would exceed MAX_PIXELS."""

MAX_PIXELS = 4_000_000
MAX_ANSWER = 16_000_000
"""Bytes; a picture that cannot be compressed has three for each pixel."""

MAX_PAIRS = 6_000_000
"""Pairs of words, or of letters, above which two texts are not compared: it would take more than a few seconds."""

_HEAD = struct.Struct("!I")

Box = tuple[float, float, float, float]
"""Two corners. In a picture: left, top, right and bottom, as parts of its width and height."""

Letters = list[tuple[str, int]]
"""The letters and digits of a word, without case and accents, each with its offset in the text."""


@dataclass(frozen=True, slots=True)
class PageImage:
    """A page as PNG, the boxes around what is marked on it, and whether it has any text that can be marked."""

    picture: bytes
    boxes: tuple[Box, ...]
    written: bool


def draw(path: Path, number: int, text: str, spans: Sequence[Span], limits: Limits = LIMITS) -> PageImage:
    """Draw page `number` of a file, and mark spans of `text`, which is what a reader returned for that page.

    Blocks; raises UnreadableFile if the page cannot be drawn.
    """
    process = processes.start(WORKER, str(limits.megabytes), environment=processes.environment(processes.SECRETS))
    timer = Timer(limits.seconds, process.kill)
    timer.start()
    with process:
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(json.dumps([str(path.absolute()), number, text, spans]).encode())
            process.stdin.close()
            return receive(process.stdout)
        except (OSError, TypeError, ValueError, struct.error):
            raise UnreadableFile("the page cannot be drawn; the file may be damaged, or the page too large") from None
        finally:
            timer.cancel()
            process.kill()


def receive(answer: IO[bytes]) -> PageImage:
    """Read and check the answer of the process; raises ValueError, TypeError and struct.error."""
    data = answer.read(MAX_ANSWER)
    (length,) = _HEAD.unpack_from(data)
    boxes, written = json.loads(data[_HEAD.size : _HEAD.size + length])
    picture = data[_HEAD.size + length :]
    if not picture.startswith(b"\x89PNG"):
        raise ValueError("no picture")
    return PageImage(picture, tuple(_checked(*box) for box in boxes), bool(written))


def _checked(left: float, top: float, right: float, bottom: float) -> Box:
    if not 0 <= left <= right <= 1 or not 0 <= top <= bottom <= 1:
        raise ValueError("not on the page")
    return float(left), float(top), float(right), float(bottom)


def main() -> None:
    """Answer the one request on standard input."""
    processes.limit_memory(int(sys.argv[1]))
    path, number, text, spans = json.load(sys.stdin)
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not get into the answer
    image = render(Path(path).read_bytes(), number, text, spans)
    head = json.dumps([image.boxes, image.written]).encode()
    out.write(_HEAD.pack(len(head)) + head + image.picture)
    out.flush()


def render(data: bytes, number: int, text: str, spans: Sequence[Span]) -> PageImage:
    """Draw a page as `draw` does, in this process; raises what PDFium raises."""
    from pypdfium2 import PdfDocument

    with PdfDocument(data) as document:
        page = document[number - 1]
        width, height = page.get_size()
        bitmap = page.render(scale=min(WIDTH / width, math.sqrt(MAX_PIXELS / (width * height))), rev_byteorder=True)
        printed, boxes = _characters(page)
        converter = bitmap.get_posconv(page)
        lines = _lines(printed, boxes, match_letters(text, spans, printed))
        placed = [_placed(line, converter, bitmap.width, bitmap.height) for line in lines]
        visible = tuple(box for box in placed if box[0] < box[2] and box[1] < box[3])
        return PageImage(_png(bitmap), visible, any(map(str.isalnum, printed)))


def _characters(page: "PdfPage") -> tuple[str, list[Box]]:
    """Return the characters of a page, and the box of each in the coordinates of the file."""
    from pypdfium2.raw import FPDFText_GetUnicode

    text = page.get_textpage()
    indices = range(text.count_chars())
    characters = "".join(chr(FPDFText_GetUnicode(text, index)) for index in indices)
    return characters, [text.get_charbox(index, loose=True) for index in indices]


def _placed(box: Box, converter: "PdfPosConv", width: int, height: int) -> Box:
    """Convert a box of the file to one of the picture; the page may be rotated and cropped."""
    xs, ys = zip(converter.to_bitmap(*box[:2]), converter.to_bitmap(*box[2:]), strict=True)
    left, right = (min(1.0, max(0.0, x / width)) for x in sorted(xs))
    top, bottom = (min(1.0, max(0.0, y / height)) for y in sorted(ys))
    return left, top, right, bottom


def _lines(printed: str, boxes: Sequence[Box], marked: frozenset[int]) -> Iterator[Box]:
    """Yield a box around the marked letters of each line, and around what is between them."""
    line: Box | None = None
    between: list[Box] = []
    for index, (character, own) in enumerate(zip(printed, boxes, strict=True)):
        if index not in marked:
            if character.isalnum() and line is not None:
                yield line
                line = None
            between.append(own)
            continue
        for box in (*between, own) if line is not None else (own,):
            if box[0] < box[2] and box[1] < box[3]:
                if line is not None and not _continues(line, box):
                    yield line
                    line = None
                first = line or box
                line = min(first[0], box[0]), min(first[1], box[1]), max(first[2], box[2]), max(first[3], box[3])
        between = []
    if line is not None:
        yield line


def _continues(line: Box, box: Box) -> bool:
    """Whether a box continues a line: at its height, and not in another column."""
    common = min(line[3], box[3]) - max(line[1], box[1])
    low = min(line[3] - line[1], box[3] - box[1])
    return common > low / 2 and -low < box[0] - line[2] < 2 * low


def _png(bitmap: "PdfBitmap") -> bytes:
    """Encode the pixels, of red, green and blue, as PNG (W3C, Portable Network Graphics)."""
    data, step = bytes(bitmap.buffer), bitmap.stride
    rows = b"".join(b"\0" + data[at : at + 3 * bitmap.width] for at in range(0, step * bitmap.height, step))
    head = struct.pack("!2I5B", bitmap.width, bitmap.height, 8, 2, 0, 0, 0)
    parts = (b"IHDR", head), (b"IDAT", zlib.compress(rows, 4)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack("!I", len(body)) + kind + body + struct.pack("!I", zlib.crc32(kind + body)) for kind, body in parts
    )


def match_letters(text: str, spans: Sequence[Span], printed: str) -> frozenset[int]:
    """Return the offsets in `printed` of the letters of some spans of `text`.

    The two are compared word by word, and where they differ letter by letter: the text may lack running heads, or have
    words joined that are hyphenated in print. A span of which most is then missing, perhaps because columns are in
    another order, is searched for by itself.
    """
    words, printed_words = list(_words(text)), list(_words(printed))
    if len(words) * len(printed_words) > MAX_PAIRS:
        words = []
    offsets = dict(_pairs(words, printed_words))
    marked: set[int] = set()
    for start, end in spans:
        own_words = list(_words(text[start:end], start))
        own = [at for word in own_words for _, at in word]
        matched = {offsets[at] for at in own if at in offsets}
        if 2 * len(matched) < len(own):
            matched = {at for _, at in _pairs(own_words, _nearest(own_words, printed_words))}
        marked |= matched
    return frozenset(marked)


def _nearest(words: Sequence[Letters], printed: list[Letters]) -> list[Letters]:
    """Return the part of a page around the longest run of the words."""
    run = _matcher(words, printed).find_longest_match() if len(words) * len(printed) <= MAX_PAIRS else None
    if run is None or not run.size:
        return []
    return printed[max(0, run.b - run.a) : run.b - run.a + len(words) + len(words) // 4]


def _pairs(words: Sequence[Letters], printed: Sequence[Letters]) -> Iterator[tuple[int, int]]:
    """Yield the offsets of each letter in the text and in print."""
    for kind, first, last, begin, end in _matcher(words, printed).get_opcodes():
        one = [letter for word in words[first:last] for letter in word]
        other = [letter for word in printed[begin:end] for letter in word]
        if kind == "equal":
            yield from ((mine[1], its[1]) for mine, its in zip(one, other, strict=True))
        elif one and other and len(one) * len(other) <= MAX_PAIRS:
            letters = SequenceMatcher(None, [each[0] for each in one], [each[0] for each in other], autojunk=False)
            for mine, its, size in letters.get_matching_blocks():
                yield from ((one[mine + at][1], other[its + at][1]) for at in range(size))


def _matcher(words: Sequence[Letters], printed: Sequence[Letters]) -> "SequenceMatcher[str]":
    one, other = (["".join(letter for letter, _ in word) for word in each] for each in (words, printed))
    return SequenceMatcher(None, one, other, autojunk=False)


def _words(text: str, offset: int = 0) -> Iterator[Letters]:
    for match in re.finditer(r"\S+", text):
        word = [
            (letter, offset + match.start() + at)
            for at, character in enumerate(match[0])
            for letter in normalize("NFKD", character).casefold()
            if letter.isalnum()
        ]
        if word:
            yield word


if __name__ == "__main__":
    main()
