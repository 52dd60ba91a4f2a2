"""The models that can be had on this machine, and those on their way to its disk; one for all conversations."""

import asyncio
import logging
from collections.abc import Coroutine, Mapping
from contextlib import aclosing, suppress
from dataclasses import replace
from typing import Any

from app.errors import ModelError
from app.models import catalogue, selection
from app.models.catalogue import Known
from app.models.downloads import Downloads, Fetched
from app.models.foundry import Foundry
from app.models.hardware import Machine, machine
from app.models.pair import Pair
from app.models.warmup import warm_up

log = logging.getLogger(__name__)


class Shelf:
    """Offers pairs and has them fetched, one pair at a time, while whoever asks goes on asking.

    `models` answer. `coming` is how far the model has come that is on its way, `said` a sentence about how that ended,
    if it did not end well.
    """

    def __init__(self, models: Foundry):
        self.coming: Fetched | None = None
        self.said = ""
        self.models = models
        self._downloads = Downloads(models.settings)
        self._machine: Machine | None = None
        self._work: asyncio.Task[None] | None = None

    @property
    def busy(self) -> bool:
        """Whether something is being fetched, or the catalogue asked."""
        return self._work is not None and not self._work.done()

    async def stock(self) -> tuple[Machine, Mapping[str, Known]]:
        """The machine at the moment, and what is known of models by their ids; asks nobody."""
        cache = self.models.settings.model_cache_path
        here = await asyncio.to_thread(machine, cache, closely=self._machine is None)
        if self._machine is not None:
            here = replace(here, accelerators=self._machine.accelerators, gb_per_s=self._machine.gb_per_s)
        self._machine = here
        return here, await asyncio.to_thread(catalogue.known, cache)

    def look(self) -> None:
        """Begin to ask the public catalogue, unless something is under way."""
        self._begin(self._downloads.look())

    def get(self, pair: Pair) -> None:
        """Begin to fetch what is missing of a pair, and to answer with it; the smaller model answers meanwhile."""
        self._begin(self._get(pair))

    async def cancel(self) -> None:
        """End what is under way; what has arrived is kept."""
        if self._work is not None:
            self._work.cancel()
            await asyncio.wait([self._work])

    def _begin(self, work: Coroutine[Any, Any, Any]) -> None:
        if self.busy:
            work.close()
        else:
            self.said = ""
            self._work = asyncio.create_task(self._ended_well(work))

    async def _ended_well(self, work: Coroutine[Any, Any, Any]) -> None:
        try:
            await work
        except ModelError as error:
            self.said = str(error)
        except OSError as error:
            log.exception("fetching a model failed")
            self.said = f"That did not work ({error}). Look after the disk, and try again: what has arrived is kept."
        finally:
            self.coming = None

    async def _get(self, pair: Pair) -> None:
        settings = self.models.settings
        await asyncio.to_thread(selection.choose, settings, pair)
        for name in pair.both:
            if catalogue.downloaded(name, await asyncio.to_thread(catalogue.known, settings.model_cache_path)):
                continue
            async with aclosing(self._downloads.fetch(name)) as told:
                async for self.coming in told:
                    pass
            self.coming = None
            await self.models.refresh()
            await self._warm()
        await self.models.use(pair)
        await self._warm()

    async def _warm(self) -> None:
        """Have the model loaded that answers first, so that no question waits for that."""
        with suppress(ModelError):  # said with the first question
            await self.models.find()
            await warm_up(self.models, *self.models.pair.of("small"))
