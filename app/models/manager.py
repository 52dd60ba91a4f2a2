"""Downloads models in the background; one manager serves all conversations, and goes on after a restart if asked to."""

import asyncio
import logging
from collections.abc import Coroutine, Mapping
from contextlib import aclosing, suppress
from typing import Any

from app.errors import ModelError
from app.files import load_json, save_state
from app.models import selection
from app.models.catalogue import ModelInfo, ModelPair, downloaded, load_catalogue
from app.models.chat import warm_up
from app.models.downloads import Downloader, DownloadProgress
from app.models.foundry import Foundry
from app.models.memory import Machine, inspect_machine
from app.translation import _

log = logging.getLogger(__name__)

PLAN = "download.json"
"""The file of the state folder with the pairs that are still to be downloaded, in their order."""


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
        """Start to download what is missing of pairs, one after the other, and to answer with each when it is here.

        The smaller model of the first pair answers as soon as it is here.
        """
        self._start(self._download(list(pairs)))

    async def plan(self) -> list[ModelPair]:
        """Return the pairs that are still to be downloaded."""
        if self._plan is None:
            kept = await asyncio.to_thread(load_json, self.foundry.settings.state_dir / PLAN) or {}
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
        await asyncio.to_thread(
            save_state, self.foundry.settings.state_dir / PLAN, {"pairs": [it.both for it in pairs]}
        )

    async def _download(self, pairs: list[ModelPair]) -> None:
        settings = self.foundry.settings
        while pairs:
            await self._keep_plan(pairs)
            pair, here = pairs[0], await self._here()
            complete = not self.foundry.pair.alone and all(downloaded(name, here) for name in self.foundry.pair.both)
            if not complete:  # else the pair in use answers until the new one is here
                await asyncio.to_thread(selection.save_choice, settings, pair)
            for name in [name for name in dict.fromkeys(pair.both) if not downloaded(name, here)]:
                async with aclosing(self._downloader.download(name)) as reports:
                    async for self.progress in reports:
                        pass
                self.progress = None
                here = await self._here()
                if not complete or all(downloaded(each, here) for each in pair.both):
                    await self.foundry.refresh()
                    await self._warm_up()
            await self.foundry.use(pair)
            await self._warm_up()
            pairs = pairs[1:]
        await self._keep_plan([])

    async def _here(self) -> Mapping[str, ModelInfo]:
        return await asyncio.to_thread(load_catalogue, self.foundry.settings.model_cache)

    async def _warm_up(self) -> None:
        """Load the model that answers first, so that no question waits for it."""
        with suppress(ModelError):  # reported with the first question
            await self.foundry.find()
            await warm_up(self.foundry, *self.foundry.pair.of("small"))
