"""Pictures of PDF pages, and boxes around what is cited on them.

A process of its own, `python -m app.documents.page_image`, draws the page, because a file may be made to harm whoever
draws it: it is killed when it takes too long, and only a picture and numbers are accepted from it.
"""

import json
import math
import struct
import sys
import zlib
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import chain
from pathlib import Path
from threading import Timer
from typing import IO, TYPE_CHECKING
from unicodedata import normalize

from app import processes
from app.documents.document import Limits
from app.documents.passages import Span
from app.errors import UnreadableFile

if TYPE_CHECKING:
    from pypdfium2 import PdfBitmap, PdfPosConv

WORKER = "app.documents.page_image"

LIMITS = Limits(seconds=10, megabytes=1000)

WIDTH = 1000
"""Pixels of a picture, unless it would exceed MAX_PIXELS."""

MAX_PIXELS = 4_000_000
MAX_ANSWER = 16_000_000
"""Bytes; a picture that cannot be compressed has three for each pixel."""

CONTEXT = 40
"""Letters before a span that distinguish it from others that read alike."""

MAX_PAIRS = 6_000_000
"""Pairs of letters above which two texts are not compared: it would take more than a few seconds."""

MIN_PART = 5
"""Letters; fewer agree by chance."""

Box = tuple[float, float, float, float]
"""Two corners. In a picture: left, top, right and bottom, as parts of its width and height."""


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
        except (OSError, TypeError, ValueError):
            raise UnreadableFile("the page cannot be drawn; the file may be damaged, or the page too large") from None
        finally:
            timer.cancel()
            process.kill()


def receive(answer: IO[bytes]) -> PageImage:
    """Read and check the answer of the process; raises ValueError and TypeError."""
    head, _, picture = answer.read(MAX_ANSWER).partition(b"\n")
    boxes, written = json.loads(head)
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
    request, answer = processes.pipes()
    path, number, text, spans = json.load(request)
    image = render(Path(path).read_bytes(), number, text, spans)
    answer.write(json.dumps([image.boxes, image.written]).encode() + b"\n" + image.picture)
    answer.flush()


def render(data: bytes, number: int, text: str, spans: Sequence[Span]) -> PageImage:
    """Draw a page as `draw` does, in this process; raises what PDFium raises."""
    from pypdfium2 import PdfDocument
    from pypdfium2.raw import FPDFText_GetUnicode

    with PdfDocument(data) as document:
        page = document[number - 1]
        width, height = page.get_size()
        bitmap = page.render(scale=min(WIDTH / width, math.sqrt(MAX_PIXELS / (width * height))), rev_byteorder=True)
        layer = page.get_textpage()
        printed = "".join(chr(FPDFText_GetUnicode(layer, index)) for index in range(layer.count_chars()))
        marked = chain.from_iterable(range(*span) for span in match(text, spans, printed))
        converter = bitmap.get_posconv(page)
        lines = _lines(layer.get_charbox(index, loose=True) for index in marked)
        placed = [_placed(line, converter, bitmap.width, bitmap.height) for line in lines]
        visible = tuple(box for box in placed if box[0] < box[2] and box[1] < box[3])
        return PageImage(_png(bitmap), visible, any(map(str.isalnum, printed)))


def _placed(box: Box, converter: "PdfPosConv", width: int, height: int) -> Box:
    """Convert a box of the file to one of the picture; the page may be rotated and cropped."""
    xs, ys = zip(converter.to_bitmap(*box[:2]), converter.to_bitmap(*box[2:]), strict=True)
    left, right = (min(1.0, max(0.0, x / width)) for x in sorted(xs))
    top, bottom = (min(1.0, max(0.0, y / height)) for y in sorted(ys))
    return left, top, right, bottom


def _lines(boxes: Iterable[Box]) -> list[Box]:
    """Join the boxes of characters to one for each line."""
    lines: list[Box] = []
    for box in boxes:
        if box[0] >= box[2] or box[1] >= box[3]:  # a space, or the end of a line
            continue
        if lines and _continues(line := lines[-1], box):
            lines[-1] = min(line[0], box[0]), min(line[1], box[1]), max(line[2], box[2]), max(line[3], box[3])
        else:
            lines.append(box)
    return lines


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


def match(text: str, spans: Sequence[Span], printed: str) -> Iterator[Span]:
    """Yield the parts of `printed` that hold the letters of some spans of `text`.

    Only letters and digits are compared: the text may lack running heads, or have words joined that are hyphenated in
    print.
    """
    letters, offsets = _letters(text)
    page, places = _letters(printed)
    for span in spans:
        first, last = (bisect_left(offsets, at) for at in span)
        for at, to in _find(letters, first, last, page):
            yield places[at], places[to - 1] + 1


def _find(letters: str, first: int, last: int, page: str) -> list[Span]:
    """Find some letters on a page, with those before them, or alone where columns are in another order."""
    wanted, start = letters[first:last], max(0, first - CONTEXT)
    if not wanted:
        return []
    at = page.find(letters[start:last], start)
    at = at + first - start if at >= 0 else max(page.find(wanted, first), page.find(wanted))
    if at >= 0:
        return [(at, at + len(wanted))]
    return _nearest(wanted, page) if len(wanted) * len(page) <= MAX_PAIRS else []


def _nearest(wanted: str, page: str) -> list[Span]:
    """Find the parts of some letters around the longest one; nothing if most of the letters are missing."""
    matcher = SequenceMatcher(None, wanted, page, autojunk=False)
    run = matcher.find_longest_match()
    start = max(0, run.b - len(wanted))
    matcher.set_seq2(page[start : run.b + 2 * len(wanted)])
    parts = [(start + at, start + at + size) for _, at, size in matcher.get_matching_blocks() if size >= MIN_PART]
    return parts if 2 * sum(to - at for at, to in parts) > len(wanted) else []


def _letters(text: str) -> tuple[str, list[int]]:
    """Return the letters and digits of a text, without case and accents, and the offset of each."""
    letters = [
        (letter, offset)
        for offset, character in enumerate(text)
        for letter in normalize("NFKD", character).casefold()
        if letter.isalnum()
    ]
    return "".join(letter for letter, _ in letters), [offset for _, offset in letters]


if __name__ == "__main__":
    main()
