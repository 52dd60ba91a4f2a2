"""The doctor's report: one check a line, for the person at this machine, and as Markdown without what is private."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.settings import Settings

MARKS = {True: "ok  ", False: "FAIL", None: "    "}


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at; `ok` is None where it is neither good nor bad, `remedy` says what to do then."""

    name: str
    ok: bool | None
    found: str
    remedy: str = ""


def lines(report: dict[str, Any]) -> Iterator[str]:
    """Format a report for the person at this machine."""
    for check in report["checks"]:
        yield f"{MARKS[check['ok']]}  {check['name']}: {check['found']}"
        if check["remedy"] and check["ok"] is not True:
            yield f"      {check['remedy']}"
    yield "\nSettings that are not the defaults:"
    given = [it for it in report["settings"] if it["source"] != "default"]
    yield from [f"      {it['name']}={it['value']}  ({it['source']})" for it in given] or ["      none"]


def markdown(report: dict[str, Any], settings: Settings) -> Iterator[str]:
    """Format a report to send on, as Markdown: without the key, the home folder and the name of the user."""
    yield from ("### Escalator's doctor\n", "```text", *(_public(line, settings) for line in lines(report)), "```")


def _public(text: str, settings: Settings) -> str:
    """Replace what is private in a text."""
    text = re.sub(r"//[^/@\s]+@", "//", text)
    home = Path.home()
    names = {home.name, *(os.environ.get(variable, "") for variable in ("USER", "USERNAME", "LOGNAME"))}
    homes = {str(home), home.as_posix(), str(home.resolve())} - {home.anchor}
    for private, instead in ((settings.secrets, "hidden"), (homes, "~"), (names - {""}, "USER")):
        for word in private:
            text = re.sub(rf"(?<!\w){re.escape(word)}(?!\w)", instead, text, flags=re.IGNORECASE)
    return text
