"""Downloads models in the background; one manager serves all conversations."""

import asyncio
import logging
from collections.abc import Coroutine, Mapping
from contextlib import aclosing, suppress
from typing import Any

from app.errors import ModelError
from app.models import selection
from app.models.catalogue import ModelInfo, ModelPair, downloaded, load_catalogue
from app.models.chat import warm_up
from app.models.downloads import Downloader, DownloadProgress
from app.models.foundry import Foundry
from app.models.memory import Machine, inspect_machine

log = logging.getLogger(__name__)


class ModelManager:
    """Downloads pairs of models, one pair at a time, while questions go on being answered by `foundry`.

    `progress` is that of the model being downloaded, `error` a sentence about how the last download failed.
    """

    def __init__(self, foundry: Foundry):
        self.foundry = foundry
        self.progress: DownloadProgress | None = None
        self.error = ""
        self._downloader = Downloader(foundry.settings)
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

    def download(self, pair: ModelPair) -> None:
        """Start to download what is missing of a pair, and then answer with it; the smaller model answers meanwhile."""
        self._start(self._download(pair))

    async def cancel(self) -> None:
        """Cancel what is running; what has arrived is kept."""
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
            self.error = f"The download failed ({error}). Check the disk and try again: what has arrived is kept."
        finally:
            self.progress = None

    async def _download(self, pair: ModelPair) -> None:
        settings = self.foundry.settings
        await asyncio.to_thread(selection.save_choice, settings, pair)
        for name in pair.both:
            if downloaded(name, await asyncio.to_thread(load_catalogue, settings.model_cache)):
                continue
            async with aclosing(self._downloader.download(name)) as reports:
                async for self.progress in reports:
                    pass
            self.progress = None
            await self.foundry.refresh()
            await self._warm_up()
        await self.foundry.use(pair)
        await self._warm_up()

    async def _warm_up(self) -> None:
        """Load the model that answers first, so that no question waits for it."""
        with suppress(ModelError):  # reported with the first question
            await self.foundry.find()
            await warm_up(self.foundry, *self.foundry.pair.of("small"))
