"""Downloads of models: what is still to come for all conversations, a model's download, its progress and its failures.

`download_worker` does the work in a process of its own and reports five times a second; this module starts and ends it.
"""

import asyncio
import difflib
import json
import logging
import re
import shutil
import tempfile
import time
from collections import deque
from collections.abc import AsyncGenerator, Coroutine, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app import processes
from app.errors import CatalogueBlocked, DamagedModel, DiskFull, DownloadFailed, ModelError, UnknownModel
from app.files import load_json, write_json
from app.models import selection
from app.models.catalogue import ModelInfo, ModelPair, downloaded, load_catalogue, match
from app.models.chat import warm_up
from app.models.foundry import Foundry
from app.models.memory import Machine, disk_free_mb, inspect_machine
from app.models.presets import DISK_RESERVE_MB, variants
from app.models.runtime import SDK_VARIABLES, last_line
from app.settings import Settings
from app.translation import _, figure, gigabytes, mark, time_left

log = logging.getLogger(__name__)

PLAN = "download.json"
"""The file of the state folder with the pairs that are still to be downloaded, in their order."""

SPEED_SAMPLES = 25  # five a second
CATALOGUE_SECONDS = 45.0
STALL_SECONDS = 90.0
END_SECONDS = 5.0

_FULL = re.compile(r"errno (28|27|122)\b|err (112|39)\b|[Nn]o space")
_UNREACHED = re.compile(r"region fallback|model registry|failed to list blobs|Fail to get a new connection")
_REASONS = {
    "Could not resolve": mark("its address is not found, perhaps because there is no network"),
    "SSL peer": mark("the server's certificate is not trusted on this machine"),
    "transport": mark("no connection can be made"),
    "new connection": mark("no connection can be made"),
}


@dataclass(frozen=True, slots=True)
class DownloadProgress:
    """How far a model's download is; speed and remaining time are None until they can be estimated."""

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
        done, total = gigabytes(self.done_mb), gigabytes(self.total_mb)
        text = _("{model}: {done} of {total}", model=self.alias, done=done, total=total)
        text += f", {figure(self.mb_per_s, 1)} MB/s" if self.mb_per_s else ""
        return f"{text}, {time_left(self.seconds_left)}" if self.seconds_left else text


class Downloader:
    """Downloads models into the settings' model cache."""

    def __init__(self, settings: Settings):
        self._cache = settings.model_cache.absolute()
        self._state_dir = settings.state_dir.absolute()

    async def update_catalogue(self) -> dict[str, ModelInfo]:
        """Save the public catalogue and return its models by id; raises CatalogueBlocked."""
        try:
            async with asyncio.timeout(CATALOGUE_SECONDS), aclosing(self._work()) as reports:
                async for report in reports:
                    if "failed" in report:
                        raise CatalogueBlocked(_reason(report["failed"]))
        except TimeoutError:
            seconds = f"{CATALOGUE_SECONDS:.0f}"
            raise CatalogueBlocked(_("it has not answered for {seconds} seconds", seconds=seconds)) from None
        return await self.saved()

    async def saved(self) -> dict[str, ModelInfo]:
        """Return the models of the saved catalogue by id."""
        return await asyncio.to_thread(load_catalogue, self._cache)

    async def download(self, name: str) -> AsyncGenerator[DownloadProgress, None]:
        """Download a model by its alias or id, yielding at most five reports a second; raises DownloadFailed.

        Continues an interrupted download, whoever started it, and waits for one that is running. Closing the generator
        ends the download and keeps what has arrived.
        """
        model_id, info = await self._identify(name)
        total = float(info.size_mb or 0)
        folder = await asyncio.to_thread(self._reserve, name, model_id, total)
        meter = _Meter(info.alias, total)
        async with aclosing(self._work(model_id)) as reports:
            async for report in reports:
                arrived, _ = await asyncio.to_thread(_sizes, folder)
                if "failed" in report:
                    raise await asyncio.to_thread(self._failure, name, report["failed"], total - arrived)
                yield meter.at(max(arrived, report.get("percent", 0) * total / 100), report)
                if meter.still > STALL_SECONDS and not report.get("reading"):
                    raise DownloadFailed(
                        "No data of {model} has arrived for {seconds} seconds. Check the network connection and try "
                        "again: what has arrived is kept.",
                        model=name,
                        seconds=f"{STALL_SECONDS:.0f}",
                    )
        if "damaged" in report:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
            raise DamagedModel(
                "{model} has arrived but cannot be loaded, so it must be damaged ({reason}). It was removed: download "
                "it again.",
                model=name,
                reason=_brief(report["damaged"]),
            )
        if "notice" in report:
            log.warning(report["notice"])
        yield meter.at(total, report)

    async def _identify(self, name: str) -> tuple[str, ModelInfo]:
        models = await self.saved()
        if match(name, models, models) is None:
            models = await self.update_catalogue()
        if model_id := next((model_id for model_id, _ in variants(models, name)), match(name, models, models)):
            return model_id, models[model_id]
        names = sorted({*models, *(info.alias for info in models.values())})
        if similar := difflib.get_close_matches(name, names, cutoff=0.5):
            raise UnknownModel(
                "The catalogue has no model {model} for this machine. Did you mean: {names}?",
                model=name,
                names=", ".join(similar),
            )
        raise UnknownModel(
            "The catalogue has no model {model} for this machine. It lists {names}.",
            model=name,
            names=", ".join(names[:20]),
        )

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
            "The download of {model} was interrupted ({reason}). Try again: what has arrived is kept.",
            model=name,
            reason=_brief(message),
        )

    async def _work(self, *model_id: str) -> AsyncGenerator[dict[str, Any], None]:
        """Run `download_worker` and yield its reports, the last of which says how it ended."""
        arguments = "app.models.download_worker", str(self._cache), str(self._state_dir), *model_id
        environment = processes.environment(None, **SDK_VARIABLES)  # with the user's proxy
        report: dict[str, Any] = {}
        # A file of its own: the SDK writes its log in pieces, between which a report would be torn apart.
        with tempfile.TemporaryFile() as log:
            start = asyncio.to_thread(processes.start, *arguments, environment=environment, stderr=log)
            starting = asyncio.create_task(start)
            try:
                process = await asyncio.shield(starting)
                assert process.stdout is not None
                while line := await asyncio.to_thread(process.stdout.readline):
                    with suppress(ValueError):  # the process was killed in the middle of a line
                        yield (report := json.loads(line))
            finally:
                with await starting as process:  # closes its output
                    await asyncio.shield(asyncio.to_thread(processes.end, process, END_SECONDS))
            if not report.keys() & {"done", "damaged", "failed"} and not report.get("updated"):
                empty, ended = _("it lists no model for this machine"), _("it ended without a reason")
                log.seek(0)
                reason = last_line(await asyncio.to_thread(log.read))
                yield {"failed": reason or (empty if "updated" in report else ended)}


class _Meter:
    """Measures a download's speed over the last seconds."""

    def __init__(self, alias: str, total: float):
        self._alias, self._total = alias, total
        self._samples: deque[tuple[float, float]] = deque(maxlen=SPEED_SAMPLES)
        self._last: tuple[float, dict[str, Any]] = 0.0, {}
        self._changed = time.monotonic()
        self.still = 0.0
        """Seconds since anything has changed."""

    def at(self, done: float, report: dict[str, Any]) -> DownloadProgress:
        """Add a sample of the megabytes that have arrived, and return the progress."""
        now, done = time.monotonic(), max(done, self._last[0])
        if self._last != (done, report):
            self._last, self._changed = (done, report), now
        self.still = now - self._changed
        self._samples.append((now, done))
        since, first = self._samples[0]
        speed = (done - first) / (now - since) if now - since >= 2 else None
        total = self._total or done
        left = 0.0 if done >= total else (total - done) / speed if speed else None
        return DownloadProgress(self._alias, min(done, total), total, speed, left)


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
        return _(reason)
    status = re.search(r"HTTP (\d{3})", message)
    return _("it answers with HTTP {status}", status=status[1]) if status else _brief(message)


def _brief(message: str) -> str:
    """Return the end of an SDK message, without the names of its functions."""
    return re.sub(r"^.*\) (?=\S)", "", message)[-300:].strip(" .\n")


class ModelManager:
    """Downloads pairs of models, one pair at a time, while questions go on being answered by `foundry`.

    `progress` is that of the model being downloaded, `error` a sentence about how the last download failed. `plan` are
    the pairs that are still to come; it stays when a download fails or the program ends, and goes when it is cancelled.
    """

    def __init__(self, foundry: Foundry):
        self.foundry = foundry
        self.progress: DownloadProgress | None = None
        self.error = ""
        self._downloader = Downloader(foundry.settings)
        self._file = foundry.settings.state_dir / PLAN
        self._plan: list[ModelPair] | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def busy(self) -> bool:
        """Whether a download or an update of the catalogue is running."""
        return self._task is not None and not self._task.done()

    async def inventory(self) -> tuple[Machine, Mapping[str, ModelInfo]]:
        """Return the machine as it is now, and what is known of models by id; asks no server."""
        cache = self.foundry.settings.model_cache
        return await asyncio.to_thread(lambda: (inspect_machine(cache), load_catalogue(cache)))

    def update_catalogue(self) -> None:
        """Start to ask the public catalogue, unless something is running."""
        self._start(self._downloader.update_catalogue())

    def download(self, *pairs: ModelPair) -> None:
        """Start to download what pairs lack, in turn; until a pair is whole, what has come of the first may answer."""
        self._start(self._download(list(pairs)))

    async def plan(self) -> list[ModelPair]:
        """Return the pairs that are still to be downloaded."""
        if self._plan is None:
            kept = await asyncio.to_thread(load_json, self._file) or {}
            self._plan = [ModelPair(str(it[0]), str(it[1])) for it in kept.get("pairs", ())]
        return self._plan

    async def cancel(self) -> None:
        """Cancel what is running, and what is still to come; what has arrived is kept."""
        await self.close()
        await self._keep_plan([])

    async def close(self) -> None:
        """End what is running, which the plan still has."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def _start(self, work: Coroutine[Any, Any, Any]) -> None:
        if self.busy:
            work.close()
        else:
            self.error = ""
            self._task = asyncio.create_task(self._run(work))

    async def _run(self, work: Coroutine[Any, Any, Any]) -> None:
        try:
            await work
        except ModelError as error:
            self.error = str(error)
        except OSError as error:
            log.exception("a download failed")
            self.error = _(
                "The download failed ({reason}). Check the disk and try again: what has arrived is kept.", reason=error
            )
        finally:
            self.progress = None

    async def _keep_plan(self, pairs: list[ModelPair]) -> None:
        self._plan = pairs
        await asyncio.to_thread(write_json, self._file, {"pairs": [it.both for it in pairs]})

    async def _download(self, pairs: list[ModelPair]) -> None:
        while pairs:
            await self._keep_plan(pairs)
            pair, here = pairs[0], await self._downloader.saved()
            complete = not self.foundry.pair.alone and all(downloaded(name, here) for name in self.foundry.pair.both)
            if not complete:  # else the pair in use answers until the new one is here
                await asyncio.to_thread(selection.save_choice, self.foundry.settings, pair)
            for name in [name for name in dict.fromkeys(pair.both) if not downloaded(name, here)]:
                async with aclosing(self._downloader.download(name)) as reports:
                    async for self.progress in reports:
                        pass
                self.progress = None
                here = await self._downloader.saved()
                if not complete or all(downloaded(each, here) for each in pair.both):
                    await self.foundry.refresh()
                    await self._warm_up()
            await self.foundry.use(pair)
            await self._warm_up()
            pairs = pairs[1:]
        await self._keep_plan([])

    async def _warm_up(self) -> None:
        """Load the model that answers first, so that no question waits for it."""
        with suppress(ModelError):  # reported with the first question
            await self.foundry.find()
            await warm_up(self.foundry, *self.foundry.pair.of("small"))
