"""What `escalator doctor` looks at, what to do where something is missing, and the report of it."""

import asyncio
import importlib.metadata
import os
import platform
import re
import shutil
import socket
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from app.errors import CorpusError, IndexAway, ModelError
from app.files import load_json
from app.history import History
from app.models import discovery, presets
from app.models.catalogue import CATALOGUE, ModelInfo, load_catalogue
from app.models.chat import warm_up
from app.models.downloads import Downloader
from app.models.foundry import Foundry
from app.models.memory import Machine, MemoryFit, inspect_machine
from app.postgres import corpus_of
from app.retrieval.snapshot import notes, summary
from app.room import folders
from app.settings import Settings, is_loopback, origin
from app.translation import ago, count, gigabytes

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
    text = re.sub(r"//[^/@\s]+@", "//", settings.hidden(text))
    home = Path.home()
    names = {home.name, *(os.environ.get(variable, "") for variable in ("USER", "USERNAME", "LOGNAME"))}
    homes = {str(home), home.as_posix(), str(home.resolve())} - {home.anchor}
    for private, instead in ((homes, "~"), (names - {""}, "USER")):
        for word in private:
            text = re.sub(rf"(?<!\w){re.escape(word)}(?!\w)", instead, text, flags=re.IGNORECASE)
    return text


PACKAGES = ("chainlit", "openai", "rank-bm25", "pypdfium2", "PyStemmer", "py3langid", "psutil")
RUNTIME = ("foundry-local-sdk", "onnxruntime", "onnxruntime-genai-core")
OPTIONAL = {"tiktoken": "tokens are estimated"} | dict.fromkeys(RUNTIME, "set FOUNDRY_LOCAL_ENDPOINT instead")
"""Packages that do not exist for every system, and what happens without them."""

PROVIDERS = "import os; os.environ['CI'] = 'true'; import onnxruntime as it; print(*it.get_available_providers())"
"""Runs in a process of its own, whose telemetry CI switches off."""

OTHER_PROGRAM = (
    "Our own runtime is used, which needs no other program. An old Foundry Local is updated by `winget upgrade "
    "Microsoft.FoundryLocal`. Where a guide says `foundry model download`, run `escalator models get`."
)
"""What to do about a program named `foundry` that is of no use."""

LITTLE_DISK_MB = 3_600
"""Room for the tiny pair, and what a download leaves free."""


async def checks(settings: Settings, *, online: bool = False, named: bool = True) -> dict[str, Any]:
    """Make the whole report, without any document text, and unless `named` without the names of documents.

    Loads the pair of models; the public catalogue is asked only if `online`.
    """
    here = await asyncio.to_thread(inspect_machine, settings.model_cache)
    result = await asyncio.to_thread(lambda: [_python(), *_packages(), _port(), *_corpus(settings, named)])
    result += await asyncio.to_thread(lambda: [*_machine(here), _command_line(), _providers(), _catalogue(settings)])
    result += [await _public_catalogue(settings)] if online else []
    async with Foundry(settings) as foundry:
        result += await _server(foundry, here)
    remedy = f"Delete this folder to forget all state and caches; models are in {settings.model_cache}."
    result.append(Check("state", None, str(settings.state_dir), remedy))
    result.append(await asyncio.to_thread(_history, settings))
    return {
        "ok": all(check.ok is not False for check in result),
        "checks": [asdict(check) for check in result],
        "settings": await asyncio.to_thread(lambda: [*_given(settings)]),
    }


def _python() -> Check:
    good = (3, 11) <= sys.version_info < (3, 14)
    return Check("Python", good, f"{platform.python_version()} on {platform.platform()}", "Use Python 3.11 to 3.13.")


def _packages() -> Iterator[Check]:
    for name in (*PACKAGES, *OPTIONAL):
        try:
            yield Check(name, True, importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            missing = "not installed" + (f"; {OPTIONAL[name]}" if name in OPTIONAL else "")
            yield Check(name, None if name in OPTIONAL else False, missing, "Run: pip install -e .")


def _port() -> Check:
    given = os.environ.get("CHAINLIT_PORT", "8000")
    if not given.isdecimal() or not 0 < int(given) < 65_536:
        return Check("port", False, f"CHAINLIT_PORT is {given!r}", "Set it to a number from 1 to 65535, or unset it.")
    port = int(given)
    with socket.socket() as probe:
        taken = probe.connect_ex(("127.0.0.1", port)) == 0
    remedy = f"If that is not Escalator, start it on another port: chainlit run app/main.py --port {port % 65_535 + 1}"
    return Check("port", None if taken else True, f"{port} is {'in use' if taken else 'free'}", remedy)


def _corpus(settings: Settings, named: bool) -> Iterator[Check]:
    try:
        corpus = corpus_of(settings)
        snapshot = corpus.refresh()
        where = corpus.described()
    except IndexAway as error:
        yield Check("index", False, "in PostgreSQL", str(error))
        return
    except CorpusError as error:
        yield Check("corpus", False, str(settings.corpus), str(error))
        return
    remedy = str(corpus.notice or "")
    yield Check("index", not remedy, where, remedy)
    summed_up = f"{settings.corpus}: {'; '.join(summary(snapshot))}"
    remedy = "Put Markdown, text, PDF or Office files into this folder."
    yield Check("corpus", bool(snapshot.documents), summed_up, remedy)
    if not named:
        wrong = Counter((file.state, file.reason) for file in snapshot.files if file.reason)
        yield from (Check(count(number, "file"), False, state, why) for (state, why), number in wrong.items())
        return
    remarks = notes(snapshot)
    for file in snapshot.files:
        if file.reason:
            yield Check(file.name, False, file.state, file.reason)
        yield from (Check(file.name, None, note) for note in remarks.get(file.name, ()) if note != file.reason)


def _history(settings: Settings) -> Check:
    histories = [each for each in map(History, folders(settings.state_dir)) if each.path.is_file()]
    if not histories:
        return Check("conversations", None, "none are kept")
    number = sum(len(each.latest(most=-1)) for each in histories)
    notices = " ".join(each.notice for each in histories if each.notice)
    remedy = "`escalator history --wipe` deletes them all."
    return Check("conversations", not notices or None, notices or f"{settings.state_dir}: {number}", remedy)


def _machine(here: Machine) -> Iterator[Check]:
    yield Check("memory", True, f"{gigabytes(here.memory_mb)}, {gigabytes(here.free_mb)} free")
    yield Check("processor", True, count(here.cores, "core"))
    remedy = "Make room, or set ESCALATOR_MODEL_CACHE to a folder on another disk."
    enough = here.disk_free_mb >= LITTLE_DISK_MB or None
    yield Check("disk", enough, f"{gigabytes(here.disk_free_mb)} free for models", remedy)


def _command_line() -> Check:
    """Identify the first program named `foundry` on the PATH; it is asked, and never starts anything."""
    name, program = "foundry command line", shutil.which("foundry")
    if program is None:
        return Check(name, True, "not on the PATH, and not needed")
    if discovery.service_status(program) is not None:
        return Check(name, True, f"{program} is Foundry Local's, 0.10 or later")
    other = f"{program} is an old Foundry Local, up to 0.8, or not Foundry Local's: other tools have the same name"
    return Check(name, None, other, OTHER_PROGRAM)


def _providers() -> Check:
    names = (discovery.command_output(sys.executable, "-c", PROVIDERS, seconds=20) or "").split()
    shown = [name.removesuffix("ExecutionProvider") for name in names if name != "AzureExecutionProvider"]
    return Check("runtime's providers", None, ", ".join(shown) or "unknown")


def _catalogue(settings: Settings) -> Check:
    saved = (load_json(settings.model_cache / CATALOGUE) or {}).get("savedAtUnix")
    models, how = load_catalogue(settings.model_cache), "`escalator doctor --online` asks the public one."
    if not models:
        remedy = "`escalator models --look` fetches it, which needs the network."
        return Check("catalogue", None, f"none was saved. {how}", remedy)
    age = f", saved {ago(time.time() - saved)}" if isinstance(saved, int | float) else ""
    return Check("catalogue", True, f"{count(len(models), 'model')}{age}. {how}")


async def _public_catalogue(settings: Settings) -> Check:
    name = "public catalogue"
    try:
        return Check(name, True, f"reached, {count(len(await Downloader(settings).update_catalogue()), 'model')}")
    except ModelError as error:
        remedy = f"{error} Only downloads need it: models on the disk answer without it, and a kit brings models along."
        return Check(name, False, "cannot be reached", remedy)


async def _server(foundry: Foundry, here: Machine) -> list[Check]:
    try:
        service, (listed, loaded, models) = await foundry.find(), await foundry.offered()
    except ModelError as error:
        models = await asyncio.to_thread(load_catalogue, foundry.settings.model_cache)
        missing = Check("model server", None if foundry.endpoints else False, "none", str(error))
        return [_preset(here, models), missing, *[await _answers(foundry, role) for role in foundry.endpoints]]
    pair, here = foundry.pair, presets.without_loaded(here, loaded, models)
    result = [Check("model server", True, f"{service.root}, found as: {service.source}")]
    result += [_models(listed, loaded, models, here.free_mb), _preset(here, models)]
    if foundry.substitution:
        result.append(Check("pair", None, f"{pair.small}, {pair.large}", foundry.substitution))
    return result + [await _answers(foundry, role) for role in (("small",) if foundry.alone else ("small", "large"))]


def _preset(here: Machine, models: Mapping[str, ModelInfo]) -> Check:
    best = presets.recommended(presets.presets_for(here, models))
    if best is None:
        remedy = "Answers are quotes from your documents. Set FOUNDRY_LOCAL_ENDPOINT to a model server elsewhere."
        return Check("pair that fits", None, "none", remedy)
    description = f"{best.name}: {best.pair.small} and {best.pair.large}. {best.why}"
    remedy = f"`escalator models get {best.name}` downloads it."
    return Check("pair that fits", all(best.here) or None, description, remedy)


def _models(listed: list[str], loaded: list[str], models: Mapping[str, ModelInfo], free: int) -> Check:
    if not models:
        return Check("models", bool(listed), ", ".join(listed) or "none", "Load a model in this server.")
    shown = []
    for model, info in models.items():
        if info.here:
            needs = f", needs {gigabytes(MemoryFit(model, info.size_mb, free).needed_mb)}" if info.size_mb else ""
            shown.append(f"{model} ({info.device}{needs}{', loaded' if model in loaded else ''})")
    text = f"{'; '.join(shown) or 'none downloaded'}. {gigabytes(free)} of memory are free for them"
    return Check("models", bool(shown), text, "`escalator models get tiny` downloads a pair for every machine.")


async def _answers(foundry: Foundry, role: str) -> Check:
    alias, other = foundry.pair.of(role)
    try:
        warm = await warm_up(foundry, alias, other, role=role)
    except ModelError as error:
        return Check(f"{role} model", False, alias, str(error))
    place = "" if is_loopback(warm.model.service.root) else f" on {warm.model.service.host}, another machine"
    return Check(f"{role} model", True, f"{alias} is {warm.model.id}{place}; {warm}")


def _given(settings: Settings) -> Iterator[dict[str, str]]:
    """List every setting with its value and where that came from."""
    for field in type(settings).model_fields:
        (name, source), value = origin(field), getattr(settings, field)
        hidden = isinstance(value, SecretStr) and value.get_secret_value()
        yield {"name": name, "value": "hidden" if hidden else str(value), "source": source}
