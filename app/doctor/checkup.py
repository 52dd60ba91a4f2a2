"""What `escalator doctor` looks at: each check says what was found and, where something is missing, what to do."""

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

from app.doctor import model_checks
from app.doctor.check import Check
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
    """The whole report, without any document text, and unless `named` without the names of documents.

    The public catalogue is asked only if `online`.
    """
    found = await asyncio.to_thread(lambda: [_python(), *_packages(), _port(), *_corpus(settings, named)])
    found += await model_checks.checks(settings, online)
    remedy = f"Delete this folder to forget all state and caches; models lie in {settings.model_cache_path}."
    found.append(Check("state", None, str(settings.state_dir), remedy))
    return {
        "ok": all(check.ok is not False for check in found),
        "checks": [asdict(check) for check in found],
        "settings": await asyncio.to_thread(lambda: [*_given(settings)]),
    }


def _python() -> Check:
    good, found = (3, 11) <= sys.version_info < (3, 14), f"{platform.python_version()} on {platform.platform()}"
    return Check("Python", good, found, "" if good else "Use Python 3.11, 3.12 or 3.13.")


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


def _corpus(settings: Settings, named: bool) -> Iterator[Check]:
    try:
        health = Inventory(Corpus(Folder.of(settings), settings.state_dir).refresh())
    except CorpusError as error:
        yield Check("corpus", False, str(settings.corpus), str(error))
        return
    what = f"{settings.corpus}: {'; '.join(summary(health))}"
    yield Check(
        "corpus", bool(health.snapshot.documents), what, "Put Markdown, text, PDF or Office files into this folder."
    )
    if not named:
        wrong = Counter((file.state, file.reason) for file in health.files if file.reason)
        yield from (Check(count(number, "file"), False, state, why) for (state, why), number in wrong.items())
        return
    said = notes(health)
    for file in health.files:
        if file.reason:
            yield Check(file.name, False, file.state, file.reason)
        yield from (Check(file.name, None, note) for note in said.get(file.name, ()) if note != file.reason)


def _given(settings: Settings) -> Iterator[dict[str, str]]:
    """Every setting with its value and where that came from."""
    for field in type(settings).model_fields:
        (name, source), value = origin(field), str(getattr(settings, field))
        hidden = field == "api_key" and value != "none"
        yield {"name": name, "value": "hidden" if hidden else value, "source": source}
