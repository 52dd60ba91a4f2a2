"""One line of the doctor's report, and what the lines look like to a person, with and without what is private."""

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
    """`ok` is None where it is neither good nor bad; `remedy` says what to do if it is not True."""

    name: str
    ok: bool | None
    found: str
    remedy: str = ""


def lines(report: dict[str, Any]) -> Iterator[str]:
    """The report for the person at this machine."""
    for check in report["checks"]:
        yield f"{MARKS[check['ok']]}  {check['name']}: {check['found']}"
        if check["remedy"] and check["ok"] is not True:
            yield f"      {check['remedy']}"
    yield "\nSettings that were given:"
    given = [it for it in report["settings"] if it["source"] != "default"]
    said = [f"      {it['name']}={it['value']}  ({it['source']})" for it in given]
    yield from said or ["      none; all have their defaults"]


def markdown(report: dict[str, Any], settings: Settings) -> Iterator[str]:
    """The report for others, as Markdown: without key, home folder and name of the user."""
    yield from ("### Escalator's doctor\n", "```text", *(_public(line, settings) for line in lines(report)), "```")


def _public(text: str, settings: Settings) -> str:
    """The text without what is private."""
    text = re.sub(r"//[^/@\s]+@", "//", text)
    home = Path.home()
    names = {home.name, *(os.environ.get(variable, "") for variable in ("USER", "USERNAME", "LOGNAME"))}
    homes = {str(home), home.as_posix(), str(home.resolve())} - {home.anchor}
    key = {settings.api_key} - {"none"}
    for private, instead in ((key, "hidden"), (homes, "~"), (names - {""}, "USER")):
        for word in private:
            text = re.sub(rf"(?<!\w){re.escape(word)}(?!\w)", instead, text, flags=re.IGNORECASE)
    return text
