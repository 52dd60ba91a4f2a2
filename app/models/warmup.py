"""Makes a model ready and has it write one token, so that the first question need not wait for it."""

import asyncio
from contextlib import aclosing
from typing import NamedTuple

from app.models.chat import complete
from app.models.foundry import Foundry, Model
from app.models.singleflight import Progress, silent


class Warm(NamedTuple):
    """A model that answers, the seconds until it was ready, and those of one token."""

    model: Model
    ready: float
    token: float

    def __str__(self) -> str:
        return f"ready after {self.ready:.1f} s, a token after {self.token:.1f} s"


async def warm_up(foundry: Foundry, alias: str, instead_of: str | None = None, tell: Progress = silent) -> Warm:
    """One token of a model, which is loaded first if need be; raises ModelError."""
    clock = asyncio.get_running_loop().time
    begun = clock()
    model = await foundry.ready(alias, tell, instead_of)
    async with foundry.slot(model):
        asked = clock()
        messages = [{"role": "user", "content": "Hello"}]
        async with aclosing(complete(foundry, model, messages, max_tokens=1)) as stream:
            async for _ in stream:
                pass
    return Warm(model, asked - begun, clock() - asked)
