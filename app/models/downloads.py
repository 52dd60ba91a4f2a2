"""Downloads of models: updates of the public catalogue, and a model's download with its progress and its failures.

`download_worker` does the work in a process of its own; this module starts it, reads its reports and ends it.
"""

import asyncio
import difflib
import json
import logging
import re
import shutil
import tempfile
import threading
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app import processes
from app.errors import CatalogueBlocked, DamagedModel, DiskFull, DownloadFailed, UnknownModel
from app.humanize import gigabytes, time_left
from app.models.catalogue import ModelInfo, load_catalogue, match
from app.models.hardware import disk_free_mb
from app.models.presets import DISK_RESERVE_MB, variants
from app.models.supervisor import SDK_VARIABLES
from app.settings import Settings

log = logging.getLogger(__name__)

SPEED_SAMPLES = 25  # five a second
CATALOGUE_SECONDS = 45.0
STALL_SECONDS = 90.0
REPORT_SECONDS = 0.2
END_SECONDS = 5.0

_FULL = re.compile(r"errno (28|27|122)\b|err (112|39)\b|[Nn]o space")
_UNREACHED = re.compile(r"region fallback|model registry|failed to list blobs|Fail to get a new connection")
_REASONS = {
    "Could not resolve": "its address cannot be resolved, as without a network",
    "SSL peer": "the server's certificate is not trusted on this machine",
    "transport": "no connection can be made",
    "new connection": "no connection can be made",
}


@dataclass(frozen=True, slots=True)
class DownloadProgress:
    """How far a model's download is; speed and remaining time are None until they can be estimated."""

    id: str
    alias: str
    done_mb: float
    total_mb: float
    mb_per_s: float | None
    seconds_left: float | None

    @property
    def percent(self) -> int:
        """The part that has arrived, in percent."""
        return round(100 * self.done_mb / self.total_mb) if self.total_mb else 0

    def __str__(self) -> str:
        text = f"{self.alias}: {gigabytes(self.done_mb)} of {gigabytes(self.total_mb)}"
        text += f", {self.mb_per_s:.1f} MB/s" if self.mb_per_s else ""
        return f"{text}, {time_left(self.seconds_left)}" if self.seconds_left else text


class Downloader:
    """Downloads models into the settings' model cache."""

    def __init__(self, settings: Settings):
        self._cache = settings.model_cache_path.absolute()
        self._state_dir = settings.state_dir.absolute()

    async def update_catalogue(self) -> dict[str, ModelInfo]:
        """Save the public catalogue and return its models by id; raises CatalogueBlocked."""
        end = time.monotonic() + CATALOGUE_SECONDS
        async with self._worker() as worker:
            while not (report := await asyncio.to_thread(worker.report)).get("updated"):
                if "failed" in report:
                    raise CatalogueBlocked(_reason(report["failed"]))
                if time.monotonic() > end:
                    raise CatalogueBlocked(f"it has not answered for {CATALOGUE_SECONDS:.0f} seconds")
        return await asyncio.to_thread(load_catalogue, self._cache)

    async def download(self, name: str) -> AsyncGenerator[DownloadProgress, None]:
        """Download a model by its alias or id, yielding at most five reports a second; raises DownloadFailed.

        Continues an interrupted download, whoever started it, and waits for one that is running. Closing the generator
        ends the download and keeps what has arrived. Damaged files of a downloaded model are downloaded again.
        """
        model_id, info = await self._identify(name)
        total = float(info.size_mb or 0)
        folder = await asyncio.to_thread(self._reserve, name, model_id, total)
        meter = _Meter(model_id, info.alias, total)
        async with self._worker(model_id) as worker:
            while "done" not in (report := await asyncio.to_thread(worker.report)):
                arrived, _ = await asyncio.to_thread(_sizes, folder)
                if "failed" in report:
                    raise await asyncio.to_thread(self._failure, name, report["failed"], total - arrived)
                if "damaged" in report:
                    break
                yield meter.at(max(arrived, report.get("percent", 0) * total / 100), report)
                if meter.still > STALL_SECONDS and not report.get("reading"):
                    raise DownloadFailed(
                        f"No data of {name} has arrived for {STALL_SECONDS:.0f} seconds. Check the network connection "
                        "and try again: what has arrived is kept."
                    )
        if "damaged" in report:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
            raise DamagedModel(
                f"{name} has arrived but cannot be loaded, so it must be damaged ({_brief(report['damaged'])}). "
                "It was removed: download it again."
            )
        if "notice" in report:
            log.warning(report["notice"])
        yield meter.at(total, report)

    async def _identify(self, name: str) -> tuple[str, ModelInfo]:
        models = await asyncio.to_thread(load_catalogue, self._cache)
        if match(name, models, models) is None:
            models = await self.update_catalogue()
        if model_id := next((model_id for model_id, _ in variants(models, name)), match(name, models, models)):
            return model_id, models[model_id]
        names = {*models, *(info.alias for info in models.values())}
        similar = difflib.get_close_matches(name, names, cutoff=0.5)
        hint = f"Did you mean {' or '.join(similar)}?" if similar else f"It lists {', '.join(sorted(names)[:20])}."
        raise UnknownModel(f"The catalogue has no model {name} for this machine. {hint}")

    def _reserve(self, name: str, model_id: str, total: float) -> Path:
        """Return the folder in which the model is, or will be; raises DiskFull."""
        own = model_id.replace(":", "-")
        folder = next((path for path in self._cache.glob(f"*/{own}") if path.is_dir()), self._cache / "Microsoft" / own)
        need, free = total + DISK_RESERVE_MB - _sizes(folder)[1], disk_free_mb(self._cache)
        if free < need and not any(folder.rglob("inference_model.json")):
            raise DiskFull(name, need, free, self._cache)
        return folder

    def _failure(self, name: str, message: str, missing_mb: float) -> DownloadFailed:
        free = disk_free_mb(self._cache)
        if _FULL.search(message) or free < min(missing_mb, DISK_RESERVE_MB / 10):
            return DiskFull(name, max(missing_mb, 0) + DISK_RESERVE_MB, free, self._cache)
        if _UNREACHED.search(message):
            return CatalogueBlocked(_reason(message))
        return DownloadFailed(
            f"The download of {name} was interrupted ({_brief(message)}). Try again: what has arrived is kept."
        )

    @asynccontextmanager
    async def _worker(self, *model_id: str) -> AsyncIterator["_Worker"]:
        arguments = str(self._cache), str(self._state_dir), *model_id
        starting = asyncio.create_task(asyncio.to_thread(_Worker, *arguments))
        try:
            yield await asyncio.shield(starting)
        finally:
            await asyncio.shield(asyncio.to_thread((await asyncio.shield(starting)).end))


class _Worker:
    """A running `download_worker`, whose output a thread reads. All methods block."""

    def __init__(self, *arguments: str):
        self._report: dict[str, Any] = {}
        self._ended = threading.Event()
        environment = processes.environment(None, **SDK_VARIABLES)  # with the user's proxy
        module = "app.models.download_worker"
        # A file of its own: the SDK writes its log in pieces, between which a report would be torn apart.
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed by the thread
        self._process = processes.start(module, *arguments, environment=environment, stderr=self._log)
        threading.Thread(target=self._read, name="downloads", daemon=True).start()

    def report(self) -> dict[str, Any]:
        """Wait a moment, and return the last value of each field that was reported."""
        self._ended.wait(REPORT_SECONDS)
        return dict(self._report)

    def end(self) -> None:
        """Let the process note what has arrived, and end it."""
        processes.end(self._process, END_SECONDS)
        self._ended.wait(END_SECONDS)

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                with suppress(ValueError, TypeError):  # not a report
                    self._report |= json.loads(line)
        self._process.wait()
        if not self._report.keys() & {"done", "damaged", "failed"} and not self._report.get("updated"):
            unnamed = "it lists no model for this machine" if "updated" in self._report else "it ended without a reason"
            self._log.seek(0)
            errors = self._log.read().decode("utf-8", errors="replace").split("\n")
            self._report |= {"failed": next((line.strip() for line in reversed(errors) if line.strip()), unnamed)}
        self._log.close()
        self._ended.set()


class _Meter:
    """Measures a download's speed over the last seconds, from its first byte on."""

    def __init__(self, model_id: str, alias: str, total: float):
        self._model, self._total = (model_id, alias), total
        self._samples: deque[tuple[float, float]] = deque(maxlen=SPEED_SAMPLES)
        self._last: tuple[float, dict[str, Any]] = 0.0, {}
        self._changed = time.monotonic()
        self._moving = False

    @property
    def still(self) -> float:
        """Seconds since anything has changed."""
        return time.monotonic() - self._changed

    def at(self, done: float, report: dict[str, Any]) -> DownloadProgress:
        """Add a sample of the megabytes that have arrived, and return the progress."""
        now, before = time.monotonic(), self._samples[-1][1] if self._samples else done
        done = max(done, before)
        if self._last != (done, report):
            self._last, self._changed = (done, report), now
        self._moving = self._moving or done > before
        if not self._moving:
            self._samples.clear()
        self._samples.append((now, done))
        since, first = self._samples[0]
        speed = (done - first) / (now - since) if now - since >= 2 else None
        total = self._total or done
        left = 0.0 if done >= total else (total - done) / speed if speed else None
        return DownloadProgress(*self._model, min(done, total), total, speed, left)


def _sizes(folder: Path) -> tuple[float, float]:
    """Return the MB of a model that have arrived and the MB its files take: the SDK creates them at full length."""
    arrived = held = 0
    for path in folder.rglob("*"):
        with suppress(OSError):
            stat = path.stat()
            blocks = getattr(stat, "st_blocks", None)  # not on Windows
            taken = stat.st_size if blocks is None else min(stat.st_size, blocks * 512)
            held += taken
            arrived += 0 if blocks is None and path.with_name(f"{path.name}.dlstate").exists() else taken
    return arrived / 1e6, held / 1e6


def _reason(message: str) -> str:
    if reason := next((reason for sign, reason in _REASONS.items() if sign in message), None):
        return reason
    status = re.search(r"HTTP (\d{3})", message)
    return f"it answers with HTTP {status[1]}" if status else _brief(message)


def _brief(message: str) -> str:
    """Return the end of an SDK message, without the names of its functions."""
    return re.sub(r"^.*\) (?=\S)", "", message)[-300:].strip(" .\n")
