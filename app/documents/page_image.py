"""Where words stand on a page of a PDF: a picture of the page, and boxes around what is cited.

The page is drawn by a process of its own, `python -m app.documents.page_image`, for a file may be made to harm who
draws it: it is killed when it takes too long, and of what it answers only a picture and numbers are taken.
"""

import json
import math
import os
import struct
import sys
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Timer
from typing import IO, TYPE_CHECKING

from app import processes
from app.documents.document import Limits
from app.documents.highlight import cited
from app.documents.sentences import Span
from app.errors import UnreadableFile

if TYPE_CHECKING:
    from pypdfium2 import PdfBitmap, PdfPage, PdfPosConv

WORKER = "app.documents.page_image"

LIMITS = Limits(seconds=10, megabytes=1000)

WIDTH = 1000
"""Pixels, of a picture that is not too high for it."""

MAX_PIXELS = 4_000_000
MAX_ANSWER = 16_000_000
"""Bytes; a picture that cannot be compressed has three for each pixel."""

_HEAD = struct.Struct("!I")

Box = tuple[float, float, float, float]
"""Two corners. Of what is seen: left, top, right and bottom, as parts of the page's width and height."""


@dataclass(frozen=True, slots=True)
class Look:
    """A page as it looks, as PNG, the boxes of what is marked on it, and whether there is any text to mark."""

    picture: bytes
    boxes: tuple[Box, ...]
    written: bool


def look(path: Path, number: int, text: str, spans: Sequence[Span], limits: Limits = LIMITS) -> Look:
    """Page `number` of a file; `text` is what was read of that page, `spans` what to mark of it.

    Blocks; raises UnreadableFile if the page cannot be shown.
    """
    from app.documents.sandbox.process import environment  # here: the process itself does without

    process = processes.start(WORKER, str(limits.megabytes), environment=environment(limits))
    timer = Timer(limits.seconds, process.kill)
    timer.start()
    with process:
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(json.dumps([str(path.absolute()), number, text, spans]).encode())
            process.stdin.close()
            return received(process.stdout)
        except (OSError, TypeError, ValueError, struct.error):
            raise UnreadableFile("the page cannot be drawn; the file may be damaged, or the page too large") from None
        finally:
            timer.cancel()
            process.kill()


def received(answer: IO[bytes]) -> Look:
    """What the process says, of which nothing is trusted; raises ValueError and struct.error."""
    data = answer.read(MAX_ANSWER)
    (length,) = _HEAD.unpack_from(data)
    boxes, written = json.loads(data[_HEAD.size : _HEAD.size + length])
    picture = data[_HEAD.size + length :]
    if not picture.startswith(b"\x89PNG"):
        raise ValueError("no picture")
    return Look(picture, tuple(_box(*box) for box in boxes), bool(written))


def _box(left: float, top: float, right: float, bottom: float) -> Box:
    if not 0 <= left <= right <= 1 or not 0 <= top <= bottom <= 1:
        raise ValueError("not on the page")
    return float(left), float(top), float(right), float(bottom)


def main() -> None:
    """Answer the one request on standard input."""
    processes.limit_memory(int(sys.argv[1]))
    path, number, text, spans = json.load(sys.stdin)
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints is no answer
    found = drawn(Path(path).read_bytes(), number, text, spans)
    head = json.dumps([found.boxes, found.written]).encode()
    out.write(_HEAD.pack(len(head)) + head + found.picture)
    out.flush()


def drawn(data: bytes, number: int, text: str, spans: Sequence[Span]) -> Look:
    """The same as `look`, here; raises what PDFium raises."""
    from pypdfium2 import PdfDocument

    with PdfDocument(data) as document:
        page = document[number - 1]
        width, height = page.get_size()
        bitmap = page.render(scale=min(WIDTH / width, math.sqrt(MAX_PIXELS / (width * height))), rev_byteorder=True)
        printed, boxes = _printed(page)
        where = bitmap.get_posconv(page)
        lines = _lines(printed, boxes, cited(text, spans, printed))
        seen = [_placed(line, where, bitmap.width, bitmap.height) for line in lines]
        visible = tuple(box for box in seen if box[0] < box[2] and box[1] < box[3])
        return Look(_png(bitmap), visible, any(map(str.isalnum, printed)))


def _printed(page: "PdfPage") -> tuple[str, list[Box]]:
    """Each character of the page, and the box of each, in the coordinates of the file."""
    from pypdfium2.raw import FPDFText_GetUnicode

    text = page.get_textpage()
    indices = range(text.count_chars())
    characters = "".join(chr(FPDFText_GetUnicode(text, index)) for index in indices)
    return characters, [text.get_charbox(index, loose=True) for index in indices]


def _placed(box: Box, where: "PdfPosConv", width: int, height: int) -> Box:
    """A box of the file as it is seen, for a page may be turned and cut."""
    xs, ys = zip(where.to_bitmap(*box[:2]), where.to_bitmap(*box[2:]), strict=True)
    left, right = (min(1.0, max(0.0, x / width)) for x in sorted(xs))
    top, bottom = (min(1.0, max(0.0, y / height)) for y in sorted(ys))
    return left, top, right, bottom


def _lines(printed: str, boxes: Sequence[Box], marked: frozenset[int]) -> Iterator[Box]:
    """Boxes around the marked letters and what stands between them, one for each line of them."""
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
                if line is not None and not _beside(line, box):
                    yield line
                    line = None
                first = line or box
                line = min(first[0], box[0]), min(first[1], box[1]), max(first[2], box[2]), max(first[3], box[3])
        between = []
    if line is not None:
        yield line


def _beside(line: Box, box: Box) -> bool:
    """Whether a box goes on with a line: at its height, and not in another column."""
    common = min(line[3], box[3]) - max(line[1], box[1])
    low = min(line[3] - line[1], box[3] - box[1])
    return common > low / 2 and -low < box[0] - line[2] < 2 * low


def _png(bitmap: "PdfBitmap") -> bytes:
    """Red, green and blue of each pixel as a file."""
    data, step = bytes(bitmap.buffer), bitmap.stride
    rows = b"".join(b"\0" + data[at : at + 3 * bitmap.width] for at in range(0, step * bitmap.height, step))
    head = struct.pack("!2I5B", bitmap.width, bitmap.height, 8, 2, 0, 0, 0)
    parts = (b"IHDR", head), (b"IDAT", zlib.compress(rows, 4)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack("!I", len(body)) + kind + body + struct.pack("!I", zlib.crc32(kind + body)) for kind, body in parts
    )


if __name__ == "__main__":
    main()
