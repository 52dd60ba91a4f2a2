"""Damaged files of every format: each is read or named, and soon."""

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.documents.readers import SUFFIXES
from app.errors import UnreadableFile

FILES = Path(__file__).with_name("files")
WHOLE = sorted(
    path for path in FILES.iterdir() if path.suffix in SUFFIXES and path.name not in ("README.md", "secret.docx")
)


def damaged(data: bytes) -> Iterator[bytes]:
    chance = random.Random(5)
    for _ in range(10):
        yield data[: chance.randrange(1, len(data))]
    for _ in range(15):
        flipped = bytearray(data)
        for _ in range(chance.randint(1, 40)):
            flipped[chance.randrange(len(data))] = chance.randrange(256)
        yield bytes(flipped)


@pytest.mark.parametrize("path", WHOLE, ids=lambda path: path.name)
def test_a_damaged_file_raises_nothing_but_unreadable_file(path: Path) -> None:
    read = SUFFIXES[path.suffix].read
    assert read(path.read_bytes())
    began = time.monotonic()
    for data in damaged(path.read_bytes()):
        try:
            pages = read(data)
        except UnreadableFile:
            continue
        assert all("\0" not in page.text and "\f" not in page.text and page.place.label for page in pages)
    assert time.monotonic() - began < 60
