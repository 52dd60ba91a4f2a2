"""A file of arrays: written once, then mapped into memory and never changed; it knows nothing of what they hold."""

import json
import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.errors import DamagedIndex

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

_MAGIC = b"escalator arrays 1\n"
_ALIGN = 64
_LENGTH, _CHECK = 8, 4
"""Bytes that tell how long the header is, and its checksum."""


def write(path: Path, arrays: Mapping[str, "Array"]) -> None:
    """Write the arrays into a new file and have the system keep them; raises OSError."""
    import numpy as np

    header, offset = {}, 0
    for name, array in arrays.items():
        header[name] = (array.dtype.str, len(array), offset)
        offset += -(-array.nbytes // _ALIGN) * _ALIGN
    head = json.dumps(header).encode("ascii")
    start = _start(len(head))
    with path.open("xb") as file:
        file.write(_MAGIC + len(head).to_bytes(_LENGTH, "little") + zlib.crc32(head).to_bytes(_CHECK, "little") + head)
        for name, array in arrays.items():
            file.seek(start + header[name][2])
            file.write(np.ascontiguousarray(array).view(np.uint8).data if array.nbytes else b"")
        file.truncate(start + offset)
        file.flush()
        os.fsync(file.fileno())


def read(path: Path) -> dict[str, "Array"]:
    """The arrays of a file, mapped and read-only; raises DamagedIndex, and FileNotFoundError if it is gone."""
    import numpy as np

    with path.open("rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            raise DamagedIndex(path)
        size = int.from_bytes(file.read(_LENGTH), "little")
        check = int.from_bytes(file.read(_CHECK), "little")
        start = _start(size)
        whole = os.fstat(file.fileno()).st_size
        head = file.read(min(size, whole))
        if not head or len(head) < size or zlib.crc32(head) != check:
            raise DamagedIndex(path)
        header: dict[str, tuple[str, int, int]] = json.loads(head)
    if whole < start + max((at + length * np.dtype(kind).itemsize for kind, length, at in header.values()), default=0):
        raise DamagedIndex(path)
    data = np.memmap(path, np.uint8, "r")
    plain: NDArray[np.uint8] = data.view(np.ndarray)  # a memmap object costs at every slice; a view keeps the map open
    return {
        name: plain[start + offset : start + offset + length * np.dtype(kind).itemsize].view(kind)
        for name, (kind, length, offset) in header.items()
    }


def _start(header: int) -> int:
    """Where the first array begins."""
    return -(-(len(_MAGIC) + _LENGTH + _CHECK + header) // _ALIGN) * _ALIGN
