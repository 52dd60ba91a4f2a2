"""A coroutine that emits events, as the async generator that faces consume."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable

from app.answering.events import Event

Emit = Callable[[Event], None]


async def emitted(work: Callable[[Emit], Awaitable[None]]) -> AsyncGenerator[Event, None]:
    """What `work` emits, in order, then its exception if it ends in one.

    Closing the generator cancels the work and waits for its end, so that an upstream stream is closed by then.
    """
    events: asyncio.Queue[Event | None] = asyncio.Queue()
    task = asyncio.ensure_future(work(events.put_nowait))
    task.add_done_callback(lambda _: events.put_nowait(None))
    try:
        while (event := await events.get()) is not None:
            yield event
        await task
    finally:
        task.cancel()
        await asyncio.wait([task])
