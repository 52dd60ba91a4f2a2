"""What `escalator doctor` looks at: every check says what it found and, where something is missing, what to do."""

import asyncio
import importlib.metadata
import os
import platform
import socket
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from app.doctor import Check, model_checks
from app.documents.folder import Folder
from app.errors import CorpusError
from app.humanize import count
from app.retrieval.corpus import Corpus
from app.retrieval.inventory import Inventory, notes, summary
from app.settings import Settings, origin

PACKAGES = ("chainlit", "openai", "rank-bm25", "pypdfium2", "PyStemmer", "py3langid", "psutil")
RUNTIME = ("foundry-local-sdk", "onnxruntime", "onnxruntime-genai-core")
OPTIONAL = {"tiktoken": "tokens are estimated"} | dict.fromkeys(RUNTIME, "set FOUNDRY_LOCAL_ENDPOINT instead")
"""Packages that do not exist for every system, and what happens without them."""


async def checks(settings: Settings, *, online: bool = False, named: bool = True) -> dict[str, Any]:
    """Make the whole report, without any document text, and unless `named` without the names of documents.

    The public catalogue is asked only if `online`.
    """
    result = await asyncio.to_thread(lambda: [_python(), *_packages(), _port(), *_corpus(settings, named)])
    result += await model_checks.checks(settings, online)
    remedy = f"Delete this folder to forget all state and caches; models are in {settings.model_cache_path}."
    result.append(Check("state", None, str(settings.state_dir), remedy))
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
        inventory = Inventory(Corpus(Folder.of(settings), settings.state_dir).refresh())
    except CorpusError as error:
        yield Check("corpus", False, str(settings.corpus), str(error))
        return
    summed_up = f"{settings.corpus}: {'; '.join(summary(inventory))}"
    remedy = "Put Markdown, text, PDF or Office files into this folder."
    yield Check("corpus", bool(inventory.snapshot.documents), summed_up, remedy)
    if not named:
        wrong = Counter((file.state, file.reason) for file in inventory.files if file.reason)
        yield from (Check(count(number, "file"), False, state, why) for (state, why), number in wrong.items())
        return
    remarks = notes(inventory)
    for file in inventory.files:
        if file.reason:
            yield Check(file.name, False, file.state, file.reason)
        yield from (Check(file.name, None, note) for note in remarks.get(file.name, ()) if note != file.reason)


def _given(settings: Settings) -> Iterator[dict[str, str]]:
    """List every setting with its value and where that came from."""
    for field in type(settings).model_fields:
        (name, source), value = origin(field), str(getattr(settings, field))
        hidden = field == "api_key" and value != "none"
        yield {"name": name, "value": "hidden" if hidden else value, "source": source}
