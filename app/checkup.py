"""What `escalator doctor` looks at: each check says what was found and, where something is missing, what to do."""

import asyncio
import importlib.metadata
import os
import platform
import socket
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from app.documents.folder import Folder
from app.documents.language import name as name_of
from app.errors import CorpusError, ModelError
from app.models.foundry import Foundry
from app.retrieval.health import Health
from app.retrieval.retriever import Retriever
from app.settings import Settings, origin

PACKAGES = ("chainlit", "openai", "rank-bm25", "pypdfium2", "PyStemmer", "py3langid", "psutil")
OPTIONAL = {"tiktoken": "tokens are estimated", "foundry-local-sdk": "set FOUNDRY_LOCAL_ENDPOINT instead"}
"""Packages that do not exist for every system, and what happens without them."""

UNITS = {".pdf": "page", ".tif": "page", ".tiff": "page", ".pptx": "slide", ".odp": "slide"}
"""What a person counts in a file; the readers' pages of other formats are sections, groups of rows and the like."""

NAMED = 3
"""Files of the same text that are named beside one of them."""


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the report; `ok` is None where it is neither good nor bad."""

    name: str
    ok: bool | None
    found: str
    remedy: str = ""


async def checks(settings: Settings) -> dict[str, Any]:
    """The whole report, without any document text."""
    found = await asyncio.to_thread(lambda: [_python(), *_packages(), _port(), *_corpus(settings)])
    found += await _models(settings)
    found.append(Check("state", None, str(settings.state_dir), "Delete this folder to forget all state and caches."))
    return {
        "ok": all(check.ok is not False for check in found),
        "checks": [asdict(check) for check in found],
        "settings": await asyncio.to_thread(_given, settings),
    }


def lines(report: dict[str, Any]) -> Iterator[str]:
    """The report for a person."""
    for check in report["checks"]:
        mark = {True: "ok  ", False: "FAIL", None: "    "}[check["ok"]]
        yield f"{mark}  {check['name']}: {check['found']}"
        if check["remedy"] and check["ok"] is not True:
            yield f"      {check['remedy']}"
    yield "\nSettings that were given:"
    given = [item for item in report["settings"] if item["source"] != "default"]
    yield from (f"      {item['name']}={item['value']}  ({item['source']})" for item in given)
    if not given:
        yield "      none; all have their defaults"


def _python() -> Check:
    version = platform.python_version()
    good = (3, 11) <= sys.version_info < (3, 14)
    return Check(
        "Python", good, f"{version} on {platform.platform()}", "" if good else "Use Python 3.11, 3.12 or 3.13."
    )


def _packages() -> Iterator[Check]:
    for name in (*PACKAGES, *OPTIONAL):
        try:
            yield Check(name, True, importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            if name in OPTIONAL:
                yield Check(name, None, f"not installed; {OPTIONAL[name]}")
            else:
                yield Check(name, False, "not installed", "Run: pip install -e .")


def _port() -> Check:
    given = os.environ.get("CHAINLIT_PORT", "8000")
    if not given.isdecimal() or not 0 < int(given) < 65_536:
        return Check("port", False, f"CHAINLIT_PORT is {given!r}", "Set it to a number from 1 to 65535, or unset it.")
    port = int(given)
    with socket.socket() as probe:
        taken = probe.connect_ex(("127.0.0.1", port)) == 0
    remedy = f"If that is not Escalator, start it on another port: chainlit run app/main.py --port {port % 65_535 + 1}"
    return Check("port", None if taken else True, f"{port} is {'in use' if taken else 'free'}", remedy if taken else "")


def _corpus(settings: Settings) -> Iterator[Check]:
    try:
        health = Health(Retriever(Folder.of(settings), settings.state_dir).refresh())
    except CorpusError as error:
        yield Check("corpus", False, str(settings.corpus), str(error))
        return
    what = f"{settings.corpus}: {'; '.join(summary(health))}"
    yield Check(
        "corpus", bool(health.snapshot.documents), what, "Put Markdown, text, PDF or Office files into this folder."
    )
    said = notes(health)
    for file in health.files:
        if file.reason:
            yield Check(file.name, False, file.state, file.reason)
        yield from (Check(file.name, None, note) for note in said.get(file.name, ()) if note != file.reason)


def summary(health: Health) -> list[str]:
    """Of the corpus: how much it holds, in which languages, what is wrong with it, how old the index is."""
    languages = ", ".join(f"{name_of(code)} {number:,}" for code, number in health.languages.most_common())
    wrong = Counter(file.state for file in health.files if file.reason)
    return [
        f"{count(len(health.snapshot.documents), 'document')}, {count(health.passages, 'passage')}",
        *([f"languages: {languages}"] if languages else []),
        *(f"{count(number, 'file')} {state}" for state, number in wrong.items()),
        *([f"index changed {ago(time.time() - health.made)}"] if health.made else []),
    ]


def notes(health: Health) -> dict[str, list[str]]:
    """What is to be said of files: why one was not read, which pages hold no text, which others hold the same."""
    twins = {name: names for names in health.duplicates for name in names}
    found = {}
    for file in health.files:
        said = [file.reason] if file.reason else []
        if file.entry is not None and file.entry.silent:
            said.append(silence(file.entry.silent))
        if same := twins.get(file.name):
            others = [name for name in same[: NAMED + 1] if name != file.name][:NAMED]
            further = f" and {len(same) - 1 - len(others):,} more" if len(same) - 1 > len(others) else ""
            said.append(f"the same text as {', '.join(others)}{further}")
        if said:
            found[file.name] = said
    return found


def count(number: int, noun: str) -> str:
    """So many of something."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def extent(file: str, pages: int, passages: int) -> str:
    """How much there is in a file."""
    unit = UNITS.get(Path(file).suffix.lower())
    return f"{f'{count(pages, unit)}, ' if unit else ''}{count(passages, 'passage')}"


def ago(seconds: float) -> str:
    """How long ago something was, in one unit."""
    for unit, length in (("day", 86_400), ("hour", 3600), ("minute", 60)):
        if seconds >= length:
            return f"{count(int(seconds // length), unit)} ago"
    return "just now"


def silence(numbers: Sequence[int]) -> str:
    """Pages without text, by their numbers in order; those that follow each other as "3-7"."""
    spans: list[tuple[int, int]] = []
    for number in numbers:
        if spans and number == spans[-1][1] + 1:
            spans[-1] = spans[-1][0], number
        else:
            spans.append((number, number))
    named = ", ".join(f"{first}-{last}" if first < last else f"{first}" for first, last in spans)
    return f"no text on page{'' if len(numbers) == 1 else 's'} {named}"


async def _models(settings: Settings) -> list[Check]:
    foundry = Foundry(settings)
    try:
        try:
            service, (listed, _) = await foundry.find(), await foundry.offered()
        except ModelError as error:
            return [Check("model server", False, "none", str(error))]
        found = [
            Check("model server", True, f"{service.root}, found as: {service.how}"),
            Check("catalogue", None, ", ".join(listed) or "empty"),
        ]
        pair = (settings.small, settings.large)
        for role, alias, other in (("small model", *pair), ("large model", *pair[::-1])):
            try:
                model = await foundry.ready(alias, instead_of=other)
                found.append(Check(role, True, f"{alias} is {model.id}"))
            except ModelError as error:
                found.append(Check(role, False, alias, str(error)))
        return found
    finally:
        await foundry.close()


def _given(settings: Settings) -> list[dict[str, str]]:
    """Every setting with its value and where that came from."""
    given = []
    for field in type(settings).model_fields:
        name, source = origin(field)
        given.append({"name": name, "value": _shown(settings, field), "source": source})
    return given


def _shown(settings: Settings, field: str) -> str:
    value = getattr(settings, field)
    return "hidden" if field == "api_key" and value != "none" else str(value)
