"""Where a model server may be, by the word of Foundry Local's command line; asks no server."""

import json
import re
import subprocess
import tempfile
from contextlib import suppress
from typing import Literal

COMMAND_SECONDS = 5.0

Generation = Literal["current", "old", "stranger"]
"""Foundry Local since 0.10, up to 0.8, or another program: Ethereum's tools and GNOME's have this name too."""

_ADDRESS = re.compile(r"https?://[\w.\-\[\]:]*:\d+")


def root_of(url: str) -> str:
    """An address as it was given, without trailing slashes and `/v1`."""
    return url.strip().rstrip("/").removesuffix("/v1").rstrip("/")


def address(program: str) -> str | None:
    """The address that the command line tells of a running service; blocks for up to ten seconds."""
    said = run(program, "server", "status", "-o", "json") or run(program, "service", "status")  # the latter to 0.8
    return address_in(said or "")


def generation(program: str) -> Generation:
    """Which program of the name `foundry` it is, by what it says of a status; starts nothing, blocks as `address`."""
    if '"running"' in (run(program, "server", "status", "-o", "json", strict=False) or ""):
        return "current"
    said = (run(program, "service", "status", strict=False) or "").casefold()
    if "unknown command: 'service'" in said:  # what 0.10 says, whose status of a server has failed
        return "current"
    return "old" if "model management service" in said or "foundry service" in said else "stranger"


def address_in(said: str) -> str | None:
    """The address in a status, as JSON or as text; None when the service does not run."""
    try:
        status = json.loads(said[said.index("{") : said.rindex("}") + 1])
        return root_of(str(status["webUrls"][0])) if status.get("running") else None
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        found = _ADDRESS.search(said)
        return found[0] if found else None


def run(*line: str, seconds: float | None = None, strict: bool = True) -> str | None:
    """What a command printed, None when it took too long or, if `strict`, failed; else with what it complained of."""
    # A file, not a pipe: a grandchild that outlives the command would hold a pipe open for ever.
    with tempfile.TemporaryFile() as output, suppress(OSError, subprocess.SubprocessError):
        subprocess.run(  # noqa: S603 - found on PATH, fixed arguments
            line,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.DEVNULL if strict else output,
            timeout=seconds or COMMAND_SECONDS,
            check=strict,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
        output.seek(0)
        return output.read(100_000).decode("utf-8", errors="replace")
    return None
