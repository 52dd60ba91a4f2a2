"""Models on their way to this disk: what the public catalogue offers, and a download with its progress."""

import asyncio
import difflib
import math
import re
import shutil
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.errors import CatalogueBlocked, DamagedModel, DiskFull, DownloadFailed, UnknownModel
from app.humanize import gigabytes, time_left
from app.models import catalogue
from app.models.catalogue import Known, among
from app.models.errand import Errand
from app.models.hardware import disk_free_mb
from app.models.presets import ROOM_MB, variants
from app.settings import Settings

SPEED_SECONDS = 5.0
LOOK_SECONDS = 45.0
STALL_SECONDS = 90.0

_FULL = re.compile(r"errno (28|27|122)\b|err (112|39)\b|[Nn]o space")
_UNREACHED = re.compile(r"region fallback|model registry|failed to list blobs|Fail to get a new connection")
_WHY = {
    "Could not resolve": "its address is not known here, as without a network",
    "SSL peer": "what answers has no certificate that this machine trusts",
    "transport": "no connection comes about",
    "new connection": "no connection comes about",
}


@dataclass(frozen=True, slots=True)
class Fetched:
    """How far a download has come; speed and time are None until they can be told."""

    id: str
    alias: str
    done_mb: float
    total_mb: float
    mb_per_s: float | None
    seconds_left: float | None

    @property
    def percent(self) -> int:
        """How much of it has arrived."""
        return round(100 * self.done_mb / self.total_mb) if self.total_mb else 0

    def __str__(self) -> str:
        said = f"{self.alias}: {gigabytes(self.done_mb)} of {gigabytes(self.total_mb)}"
        said += f", {self.mb_per_s:.1f} MB/s" if self.mb_per_s else ""
        return f"{said}, {time_left(self.seconds_left)}" if self.seconds_left else said


class Downloads:
    """What can be downloaded into the settings' model cache, and its download."""

    def __init__(self, settings: Settings):
        self._cache = settings.model_cache_path.absolute()
        self._data = settings.state_dir.absolute() / "fetcher"

    async def look(self) -> dict[str, Known]:
        """Ask the public catalogue, which is saved; raises CatalogueBlocked."""
        end = time.monotonic() + LOOK_SECONDS
        async with self._asked("look") as fetcher:
            while not (said := await asyncio.to_thread(fetcher.hear)).get("looked"):
                if "failed" in said:
                    raise CatalogueBlocked(_why(said["failed"]))
                if time.monotonic() > end:
                    raise CatalogueBlocked(f"it has given no answer for {LOOK_SECONDS:.0f} seconds")
        return await asyncio.to_thread(catalogue.known, self._cache)

    async def fetch(self, name: str) -> AsyncGenerator[Fetched, None]:
        """Download a model by its alias or id, with a report at most five times a second; raises DownloadFailed.

        Goes on where an earlier download was interrupted, by whomever, and waits for one that is at work; closing ends
        it and keeps what has arrived. Of a model that is here, what is damaged is fetched anew.
        """
        model_id, model = await self._named(name)
        total = float(model.size_mb or 0)
        folder = await asyncio.to_thread(self._room, name, model_id, total)
        meter = _Meter(model_id, model.alias, total)
        async with self._asked("get", model_id) as fetcher:
            while "done" not in (said := await asyncio.to_thread(fetcher.hear)):
                arrived, _ = await asyncio.to_thread(_sizes, folder)
                if "failed" in said:
                    raise await asyncio.to_thread(self._failure, name, said["failed"], total - arrived)
                if "damaged" in said:
                    break
                yield meter.at(max(arrived, said.get("percent", 0) * total / 100), said)
                if meter.still > STALL_SECONDS and not said.get("reading"):
                    raise DownloadFailed(
                        f"Nothing of {name} has arrived for {STALL_SECONDS:.0f} seconds. Look after the network and "
                        "try again: what has arrived is kept."
                    )
        if "damaged" in said:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
            raise DamagedModel(
                f"{name} has arrived and cannot be loaded, so it must be damaged ({_short(said['damaged'])}). "
                "It was removed: download it again."
            )
        yield meter.at(total, said)

    async def _named(self, name: str) -> tuple[str, Known]:
        known = await asyncio.to_thread(catalogue.known, self._cache)
        if among(name, known, known) is None:
            known = await self.look()
        if found := next((model for model, _ in variants(known, name)), among(name, known, known)):
            return found, known[found]
        names = {*known, *(one.alias for one in known.values())}
        near = difflib.get_close_matches(name, names, cutoff=0.5)
        meant = f"Did you mean {' or '.join(near)}?" if near else f"It names {', '.join(sorted(names)[:20])}."
        raise UnknownModel(f"The catalogue names no model {name} for this machine. {meant}")

    def _room(self, name: str, model_id: str, total: float) -> Path:
        """The folder in which the model lies, or will; raises DiskFull."""
        own = model_id.replace(":", "-")
        folder = next((path for path in self._cache.glob(f"*/{own}") if path.is_dir()), self._cache / "Microsoft" / own)
        need, free = total + ROOM_MB - _sizes(folder)[1], disk_free_mb(self._cache)
        if free < need and not any(folder.rglob("inference_model.json")):
            raise DiskFull(name, need, free, self._cache)
        return folder

    def _failure(self, name: str, words: str, left: float) -> DownloadFailed:
        free = disk_free_mb(self._cache)
        if _FULL.search(words) or free < min(left, ROOM_MB / 10):
            return DiskFull(name, max(left, 0) + ROOM_MB, free, self._cache)
        if _UNREACHED.search(words):
            return CatalogueBlocked(_why(words))
        return DownloadFailed(
            f"The download of {name} was interrupted ({_short(words)}). What has arrived is kept: try again."
        )

    @asynccontextmanager
    async def _asked(self, *what: str) -> AsyncIterator[Errand]:
        fetcher = asyncio.create_task(asyncio.to_thread(Errand, str(self._cache), str(self._data), *what))
        try:
            yield await asyncio.shield(fetcher)
        finally:
            await asyncio.shield(asyncio.to_thread((await asyncio.shield(fetcher)).end))


class _Meter:
    """How fast it goes, over the last seconds."""

    def __init__(self, model_id: str, alias: str, total: float):
        self._model, self._total = (model_id, alias), total
        self._seen: list[tuple[float, float]] = []
        self._first = math.inf  # what was here before, until the first byte of which no time is measured
        self._moved: tuple[object, float] = (None, 0.0)

    @property
    def still(self) -> float:
        """Seconds since anything has changed."""
        return time.monotonic() - self._moved[1]

    def at(self, done: float, said: dict[str, Any]) -> Fetched:
        now, done = time.monotonic(), max([done, *(mb for _, mb in self._seen)])
        self._first = min(self._first, done)
        if self._moved[0] != (done, said):
            self._moved = (done, said), now
        kept = [one for one in self._seen if now - one[0] <= SPEED_SECONDS] if done > self._first else []
        self._seen = [*kept, (now, done)]
        since, before = self._seen[0]
        speed = (done - before) / (now - since) if now - since >= 2 else None
        total = self._total or done
        left = 0.0 if done >= total else (total - done) / speed if speed else None
        return Fetched(*self._model, min(done, total), total, speed, left)


def _sizes(folder: Path) -> tuple[float, float]:
    """Megabytes of a model that have arrived, and that its files take: the SDK makes them in full length first."""
    arrived = held = 0
    for path in folder.rglob("*"):
        with suppress(OSError):
            told = path.stat()
            blocks = getattr(told, "st_blocks", None)  # Windows does not tell them
            taken = told.st_size if blocks is None else min(told.st_size, blocks * 512)
            held += taken
            arrived += 0 if blocks is None and path.with_name(f"{path.name}.dlstate").exists() else taken
    return arrived / 1e6, held / 1e6


def _why(words: str) -> str:
    if told := next((why for sign, why in _WHY.items() if sign in words), None):
        return told
    status = re.search(r"HTTP (\d{3})", words)
    return f"it answers with HTTP {status[1]}" if status else _short(words)


def _short(words: str) -> str:
    """The end of what the SDK says, without the names of its functions."""
    return re.sub(r"^.*\) (?=\S)", "", words)[-300:].strip(" .\n")
