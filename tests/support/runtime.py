"""The genuine runtime for tests: model caches, settings that lead to them, and looks into the runtime's process."""

import json
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import app.settings
from app.models import runtime
from app.models.foundry import Foundry
from app.settings import Settings
from tests.support.scripted import Script
from tests.support.waiting import until

ANALYSIS = "<|channel|>analysis<|message|>"
FINAL = "<|end|><|start|>assistant<|channel|>final<|message|>"

SMALL = Script(
    alias="phi-4-mini",
    id="Phi-4-mini-instruct-generic-cpu:5",
    say="I do not know.",
    when={"ferry": "The ferry leaves at 9:30 [1].", "ticket": "Tickets are sold on board [1]."},
)
LARGE = Script(
    alias="gpt-oss-20b",
    id="gpt-oss-20b-generic-cpu:1",
    say=f"{ANALYSIS}The passages may help.{FINAL}The large model answers at length, from the passages [1].<|return|>",
    reasoning=(ANALYSIS, FINAL),
)


def state_of(cache: Path) -> Path:
    """The state folder that goes with a test's model cache, so that all who use the cache share one runtime."""
    return cache.with_name(cache.name + "-state")


def settings_for(cache: Path | None = None, corpus: Path | None = None, **over: Any) -> Settings:
    """Settings that lead to `cache` through the embedded runtime, and wait little; `over` by field name."""
    given: dict[str, Any] = {
        "corpus": corpus,
        "retry_backoff": 0.01,
        "first_token_seconds": 30.0,
        "stall_seconds": 10.0,
    }
    if cache is not None:
        given |= {"model_cache": cache, "state_dir": state_of(cache)}
    return app.settings.load(**(given | over))


@contextmanager
def held(cache: Path) -> Iterator[runtime.Lease]:
    """A lease on the runtime of a cache; the runtime has ended when this is left, if nobody else holds one."""
    lease = runtime.acquire(cache, state_of(cache))
    try:
        yield lease
    finally:
        lease.close()
        # Windows lets no folder be deleted while a process works in it.
        until(lambda: not running(lease.pid), 5)


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Foundry]:
    """A Foundry that is closed in the end."""
    foundry = Foundry(settings)
    try:
        yield foundry
    finally:
        await foundry.close()


def pid_of(cache: Path) -> int:
    """The process of the runtime that serves a cache."""
    (file,) = state_of(cache).glob("runtime/*/state.json")
    return int(json.loads(file.read_text(encoding="utf-8"))["pid"])


def running(pid: int) -> bool:
    """Whether a process runs; one that has ended and was not taken note of yet does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):  # the latter if it ends between opening and reading
        if Path("/proc/self").exists():
            return False
        try:
            os.kill(pid, 0)
        except OSError:
            return False
        return True
    fields = stat.rpartition(")")[2].split()
    # While other threads of a dead process are still being ended, its connections are open.
    return fields[0] != "Z" or int(fields[17]) > 1


def cpu_seconds(pid: int) -> float:
    """Processor time that a process has used; Linux only."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
