"""Carries files from a kit to where they are used: whole, checked, and going on where it was broken off.

It runs before anything is installed, with the standard library of any Python from 3.9 on.
"""

from __future__ import annotations

import errno
import hashlib
import http.client
import json
import os
import re
import shutil
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from app.errors import EscalatorError

WINDOWS = os.name == "nt"
CHUNK = 1 << 20
SCAN = "An antivirus program may be checking the new files; this can take a minute the first time."
SCAN_AFTER, HELD_FOR = 3.0, 60.0
"""Seconds after which a file that another program holds is spoken of, and given up."""
HELD = (5, 32, 33)
"""What Windows calls a file that another program holds: access denied, sharing violation, lock violation."""
PAUSES = (1, 2, 4, 8)
"""Seconds before the further tries to reach a kit on the network."""
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""A kit is in the room, where no proxy needs to be asked."""

T = TypeVar("T")


class Problem(EscalatorError):
    """What a person is told of a kit, and what to do about it."""


class Damaged(Problem):
    """A file whose sum is not the one it should have."""


def say(text: str) -> None:
    """A line for the person who waits."""
    print(text, flush=True)  # noqa: T201


def mb(size: float) -> str:
    """Bytes for people."""
    return f"{size / 1e6:,.0f} MB"


def allowed(path: str) -> bool:
    """Whether a relative path stays in its folder and every system can hold it."""
    return all(
        part not in ("", ".", "..")
        and not re.search(r'[<>:"\\|?*\x00-\x1f]|[. ]$', part)
        and not re.match(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\.|$)", part)
        for part in path.split("/")
    )


def long_name(path: str) -> str:
    """An absolute path on Windows, which may then have more than 259 characters."""
    if path.startswith("\\\\?\\"):
        return path
    return f"\\\\?\\UNC{path[1:]}" if path.startswith("\\\\") else f"\\\\?\\{path}"


def real(path: Path) -> Path:
    """A path as the system's file functions should get it, however long."""
    return Path(long_name(str(path.absolute()))) if WINDOWS else path.absolute()


def retried(action: Callable[..., T], *given: Any, **named: Any) -> T:
    """Do what Windows refuses while another program holds a file, with patience."""
    begun, told = time.monotonic(), False
    while True:
        try:
            return action(*given, **named)
        except OSError as error:
            waited = time.monotonic() - begun
            if getattr(error, "winerror", None) not in HELD or waited > HELD_FOR:
                raise
            if waited >= SCAN_AFTER and not told:
                told = True
                say(SCAN)
            time.sleep(0.1)


def write_json(path: Path, value: Any) -> None:
    """Put a file in place at once, so that nobody reads half of it."""
    draft = path.with_name(path.name + ".new")
    draft.write_text(json.dumps(value, indent=1, ensure_ascii=False), encoding="utf-8")
    retried(draft.replace, path)


def digest(path: Path) -> str:
    """The SHA-256 of a file."""
    found = hashlib.sha256()
    with retried(lambda: path.open("rb")) as file:
        while data := file.read(CHUNK):
            found.update(data)
    return found.hexdigest()


def room(needs: dict[Path, int]) -> None:
    """Refuse to begin what no disk has room for; `needs` in bytes, by folder."""
    disks: Counter[int] = Counter()
    for folder, size in needs.items():
        there = next(parent for parent in (folder, *folder.parents) if parent.exists())
        disks[there.stat().st_dev] += size
        need, free = disks[there.stat().st_dev], shutil.disk_usage(there).free
        if need > free:
            raise Problem(f"The disk of {folder} has {mb(free)} free, and {mb(need)} are needed. Free some room there.")


def opened(source: str, start: int, opener: urllib.request.OpenerDirector = DIRECT) -> tuple[BinaryIO, int]:
    """A file or address from byte `start`, and the byte from which it really comes."""
    if "://" not in source:
        file = retried(lambda: real(Path(source)).open("rb"))
        return file, file.seek(start)
    request = urllib.request.Request(source, headers={"Range": f"bytes={start}-"} if start else {})  # noqa: S310
    answer = opener.open(request, timeout=30)
    return answer, start if answer.status == 206 else 0


def bring(
    source: str,
    target: Path,
    size: int,
    sha256: str,
    opener: urllib.request.OpenerDirector = DIRECT,
    done: Callable[[int], None] = lambda new: None,
) -> bool:
    """Copy a file unless it is there; a copy that was broken off goes on where it stopped. Whether it was copied."""
    target = real(target)
    if target.is_file() and target.stat().st_size == size and digest(target) == sha256:
        done(size)
        return False
    retried(target.parent.mkdir, parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    pauses = list(PAUSES) if "://" in source else []
    while True:
        have = part.stat().st_size if part.exists() else 0
        try:
            if not 0 < have == size:
                stream, start = opened(source, have if have < size else 0, opener)
                if not start:
                    retried(part.write_bytes, b"")
                with stream, retried(lambda: part.open("ab")) as file:
                    done(start)
                    while data := stream.read(CHUNK):
                        file.write(data)
                        done(len(data))
            if pauses and part.stat().st_size < size:
                raise ConnectionError("it ended too early")
        except (OSError, http.client.HTTPException) as error:
            if isinstance(error, FileNotFoundError) or 400 <= getattr(error, "code", 0) < 500:
                raise Damaged(f"{source} cannot be had: {error}") from None
            if getattr(error, "errno", None) in (errno.ENOSPC, errno.EFBIG):
                fat = " (or it is FAT32, which holds no file of 4 GB: use exFAT)" if size >> 32 else ""
                raise Problem(f"The disk of {target.parent} is full{fat}. Free some room, run this again.") from None
            if not pauses:
                raise Problem(f"{source} cannot be copied here: {error}. Run this again; it goes on there.") from None
            time.sleep(pauses.pop(0))
            continue
        if digest(part) == sha256:
            retried(part.replace, target)
            return True
        retried(part.unlink)
        if not have:
            raise Damaged(f"{source} is damaged: its sum is not {sha256}.")
