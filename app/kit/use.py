"""Brings a laptop up from a kit, without a network: project, packages and models in place, the chat started.

Packed with the modules it needs into the kit's `use.pyz`, it runs before anything is installed: with the standard
library of any Python from 3.9 on.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from app.kit.bundle import Kit
from app.kit.carry import WINDOWS, Problem, digest, mb, real, retried, room, say, write_json
from app.kit.environment import install, interpreter, python_of, too_long

CATALOGUE = "foundry.modelinfo.json"
UNFINISHED = "download.tmp"
"""While this lies in a model's folder or above it, the runtime takes it for a download that has not ended."""


def model_cache() -> Path:
    """The folder in which the app looks for models, by the rule of its settings."""
    given, home = os.environ.get, Path.home()
    shared = home / ".foundry" / "cache" / "models"
    if named := given("ESCALATOR_MODEL_CACHE"):
        return Path(named).expanduser()
    if shared.is_dir():
        return shared
    if state := given("ESCALATOR_STATE_DIR"):
        return Path(state).expanduser() / "models"
    if WINDOWS:
        data = given("LOCALAPPDATA") or home / "AppData" / "Local"
    elif sys.platform == "darwin":
        data = home / "Library" / "Application Support"
    else:
        data = given("XDG_STATE_HOME") or home / ".local" / "state"
    return Path(data) / "escalator" / "models"


def project(kit: Kit, folder: Path, had: dict[str, str]) -> dict[str, str]:
    """Copy the project's files, except over those that were changed here; their sums as the kit has them."""
    kept, wanted = [], {}
    for path, source in kit.below("project").items():
        target, now = real(folder / path), kit.files[source]["sha256"]
        if not target.exists() and path in had and path.startswith("corpus/"):
            continue  # a document that was deleted here stays deleted
        if target.exists() and digest(target) not in (now, had.get(path)):
            kept.append(path)
        else:
            wanted[path] = source
    kit.bring(wanted, folder)
    if kept:
        say(f"Changed here, and left as they are: {', '.join(kept)}")
    return {**had, **{path: kit.files[source]["sha256"] for path, source in wanted.items()}}


def absent(kit: Kit, cache: Path) -> list[dict[str, Any]]:
    """The kit's models that are not in the cache yet; one that is complete is never written over."""
    missing = []
    for model in kit.data["models"]:
        folder = real(cache / model["folder"])
        files = {folder / path: source for path, source in kit.below(f"models/{model['folder']}").items()}
        if not folder.exists() or any((each / UNFINISHED).exists() for each in (folder, folder.parent)):
            missing.append(model)
        elif any(not path.is_file() or path.stat().st_size != kit.size([files[path]]) for path in files):
            there = cache / model["folder"]
            say(
                f"{there} differs from the kit's and is left as it is. To have the kit's, delete it and run this again."
            )
    return missing


def models(kit: Kit, cache: Path, missing: list[dict[str, Any]]) -> None:
    """Copy models; the runtime does not see one before it is whole."""
    for model in missing:
        folder = real(cache / model["folder"])
        retried(folder.mkdir, parents=True, exist_ok=True)
        (folder / UNFINISHED).touch()
        say(f"Copying the model {model['id']}, {mb(model['size'])} ...")
        kit.bring(kit.below(f"models/{model['folder']}"), folder)
        for each in (folder, folder.parent):
            retried((each / UNFINISHED).unlink, missing_ok=True)


def merge(kit: Kit, cache: Path) -> None:
    """Add what the kit's catalogue has and this one lacks; entries that are there stay as they are."""
    path, ours = real(cache / CATALOGUE), kit.data["catalogue"]
    try:
        theirs = json.loads(path.read_text(encoding="utf-8-sig"))
        known = {entry["id"] for entry in theirs["models"]}
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        theirs, known = {**ours, "models": []}, set()
        if path.exists():
            aside = path.with_name(CATALOGUE + ".damaged")
            retried(path.replace, aside)
            say(f"The list of models {path} was damaged. It is {aside.name} now, and the kit's is in its place.")
    if new := [entry for entry in ours["models"] if entry["id"] not in known]:
        write_json(path, {**theirs, "models": theirs["models"] + new})


def use(where: str, into: Path, check: str | None = None, start: bool = True, headless: bool = False) -> None:
    """Bring this machine up from the kit at `where`, in the folder `into`; a second time, only what is missing."""
    kit = Kit(where, check)
    python, name = interpreter(kit)
    into, cache = into.expanduser().absolute(), model_cache().absolute()
    note = into / ".kit" / "note.json"
    if into.exists() and any(into.iterdir()) and not note.parent.exists():
        raise Problem(f"The folder {into} holds something else. Name a new one with --into.")
    if WINDOWS and too_long(str(into), kit.data["longest"]):
        raise Problem(f"The folder {into} has too long a name. Name a shorter one, as in --into C:\\escalator.")
    had: dict[str, Any] = json.loads(note.read_text(encoding="utf-8")) if note.exists() else {"project": {}}
    wheels, missing = kit.data["wheels"][name], absent(kit, cache)
    key = hashlib.sha256(json.dumps([name, wheels]).encode()).hexdigest()
    fresh = had.get("installed") != key or not python_of(into).exists()
    own, weights = kit.size(kit.below("project").values()), sum(model["size"] for model in missing)
    packages = kit.size(wheels) if fresh else 0
    unpacked = sum(kit.files[path]["unpacked"] for path in wheels) if fresh else 0
    room({into: own + packages + 2 * unpacked, cache: weights})
    kit.total = own + packages + weights

    retried(note.parent.mkdir, parents=True, exist_ok=True)
    had["project"] = project(kit, into, had["project"])
    write_json(note, had)
    if fresh:
        say(f"Copying {len(wheels)} packages for {name} ...")
        install(kit, python, name, into)
        write_json(note, {**had, "installed": key})
    models(kit, cache, missing)
    if kit.data["models"]:
        merge(kit, cache)
    say(f"Escalator is in {into}, its models are in {cache}.")
    if start:
        begin(into, headless)


def begin(folder: Path, headless: bool) -> None:
    """Start the chat on a port that is free, in place of this program where the system can."""
    port = next((port for port in range(8000, 8100) if _free(port)), 8000)
    command = [str(python_of(folder)), "-m", "chainlit", "run", "app/main.py", "--port", str(port)]
    say(f"The chat is at http://localhost:{port} in a moment. Ctrl+C ends it; run this again to have it back.")
    os.chdir(folder)
    command += ["--headless"] * headless
    if WINDOWS:
        sys.exit(subprocess.call(command))  # noqa: S603
    os.execv(command[0], command)  # noqa: S606


def _free(port: int) -> bool:
    try:
        with socket.create_server(("127.0.0.1", port)):
            return True
    except OSError:
        return False


def main(arguments: list[str] | None = None) -> None:
    """The command line of `use.pyz`, and of `escalator kit use`."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    parser = argparse.ArgumentParser(description="Bring this laptop up from a trainer's kit.")
    add, beside, home = parser.add_argument, Path(sys.argv[0]).absolute().parent, Path.home() / "escalator"
    add("kit", nargs="?", default=str(beside), help="the kit's folder or address (default: beside this file)")
    add("--into", type=Path, default=home, help="where to put it (default: %(default)s)")
    add("--sum", help="what kit.json's SHA-256 must be, or begin with")
    add("--no-start", action="store_true", help="do not start the chat")
    add("--headless", action="store_true", help="do not open a browser")
    given = parser.parse_args(arguments)
    try:
        use(given.kit, given.into, given.sum, not given.no_start, given.headless)
    except Problem as problem:
        sys.exit(str(problem))
    except OSError as error:
        sys.exit(f"{error}. Where it is another program that holds the file, run this again.")
    except KeyboardInterrupt:
        sys.exit("Stopped. Run this again; it goes on where it stopped.")
