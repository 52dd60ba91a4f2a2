"""Runs Chainlit as its command does, and measures its loop: `python -m benchmarks.monitored FILE run app/main.py`.

Once a second the figures so far are written to the file: how late timers were, and the longest calls of the loop.
"""

import asyncio
import sys
import threading
import time
import traceback
from collections import deque
from pathlib import Path
from statistics import quantiles
from typing import Any

from app.files import load_json, write_json

TICK, LONG = 0.02, 0.04
"""Seconds between two looks at how late a timer is, and of a call that is looked into."""

LATEST = 20_000
"""As many looks count for the percentiles."""

FRAMES = 6
"""Calls of the stack that are named where the loop is held up."""


class Monitor:
    """The figures of the event loop of the main thread."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._began = 0.0
        self._seen = ""
        self.forget()

    def forget(self) -> None:
        """Begin anew."""
        self._late = deque[float](maxlen=LATEST)
        self._longest: dict[str, Any] = {"ms": 0.0, "what": "", "where": ""}

    def install(self) -> None:
        """Measure each call of a loop from now on, by the clock alone: measuring must cost next to nothing."""
        run, wall = asyncio.Handle._run, time.perf_counter

        def measured(handle: asyncio.Handle) -> None:
            self._began = began = wall()
            run(handle)
            self._began, took = 0.0, wall() - began
            if took > TICK:
                self._note(handle, 1_000 * took)

        asyncio.Handle._run = measured  # type: ignore[method-assign,assignment]
        threading.Thread(target=self._look, args=(threading.get_ident(),), daemon=True).start()

    async def watch(self) -> None:
        """Look how late timers are, and write the figures; they begin anew when the file says so."""
        written = time.monotonic()
        while True:
            due = time.monotonic() + TICK
            await asyncio.sleep(TICK)
            self._late.append(1_000 * (time.monotonic() - due))
            if due > written + 1:
                written = due
                if (load_json(self._file) or {}).get("forget"):
                    self.forget()
                write_json(self._file, self._figures())

    def _look(self, thread: int) -> None:
        """Note where the loop is, once for each call that takes long."""
        noted = 0.0
        while True:
            time.sleep(TICK)
            if (began := self._began) not in (0.0, noted) and time.perf_counter() - began > LONG:
                noted = began
                frames = traceback.extract_stack(sys._current_frames()[thread])[-FRAMES:]
                self._seen = " > ".join(f"{Path(each.filename).name}:{each.lineno} {each.name}" for each in frames)

    def _note(self, handle: asyncio.Handle, took: float) -> None:
        callback: Any = handle._callback  # type: ignore[attr-defined]
        task = getattr(callback, "__self__", None)
        what = repr(task.get_coro() if isinstance(task, asyncio.Task) else callback)[:120]
        if took > self._longest["ms"]:
            self._longest = {"ms": round(took, 1), "what": what, "where": self._seen}

    def _figures(self) -> dict[str, Any]:
        late = quantiles(self._late, n=100) if len(self._late) > 1 else [0.0] * 99
        figures = {"late_p50_ms": late[49], "late_p99_ms": late[98], "late_max_ms": max(self._late, default=0.0)}
        return {name: round(value, 1) for name, value in figures.items()} | {"longest": self._longest}


def main(file: str, *arguments: str) -> None:
    """Run Chainlit's command line with these arguments, monitored."""
    import uvicorn
    from chainlit.cli import cli

    monitor = Monitor(Path(file))
    monitor.install()
    start = uvicorn.Server.startup

    async def startup(server: uvicorn.Server, **given: Any) -> None:
        await start(server, **given)
        server.monitoring = asyncio.create_task(monitor.watch())  # type: ignore[attr-defined]

    uvicorn.Server.startup = startup  # type: ignore[method-assign,assignment]
    sys.argv = ["chainlit", *arguments]
    cli()


if __name__ == "__main__":
    main(*sys.argv[1:])
