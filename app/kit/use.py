"""Brings a laptop up from a kit, without a network: project, packages and models in place, the chat started.

The start scripts run it out of the kit's `use.pyz`, before anything is installed: it needs the standard library alone.
"""

import argparse
import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import zipfile
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from app.errors import EscalatorError
from app.files import load_json, long, sha256, write_json
from app.kit import ANTIVIRUS, HELD_SECONDS, VOCABULARY, Kit, KitError, check_room, patiently, say
from app.translation import size as in_words

WINDOWS = os.name == "nt"
CATALOGUE = "foundry.modelinfo.json"
UNFINISHED = "download.tmp"
"""While this is in a model's folder or above it, the runtime takes the model for an unfinished download."""
UNPACKED = 5
"""Room that packages take, over the size of their wheels: the wheels, uv's cache and the environment."""
LONGEST_FOLDER = 120
"""Characters of a folder in which every path of the packages stays below Windows' limit of 260."""

FOLDERS = "from app.settings import load; it = load(); print(it.state_dir, it.model_cache, sep='\\n')"
"""Asks the installed app where it keeps its state and its models."""


def platform_name(system: str = sys.platform, machine: str = platform.machine()) -> str:
    """Name a platform as kits do; Windows on Arm runs what is made for x64."""
    if system == "win32":
        return "windows-x64"
    arm = machine.lower() in ("arm64", "aarch64")
    return f"{'macos' if system == 'darwin' else 'linux'}-{'arm64' if arm else 'x64'}"


def python_version() -> str:
    """Name the version of the Python that runs this, such as "3.11"."""
    return platform.python_version().rpartition(".")[0]


def python_of(folder: Path) -> Path:
    """Locate the Python of a folder's virtual environment."""
    return folder / ".venv" / ("Scripts/python.exe" if WINDOWS else "bin/python")


def run(command: list[Any], what: str, folder: Path) -> str:
    """Run a program to its end and return its output; raises KitError with the last lines of it."""
    kept = {name: value for name, value in os.environ.items() if not name.upper().startswith(("UV_", "PIP_", "PYTHON"))}
    kept |= {"UV_OFFLINE": "1", "UV_NO_CONFIG": "1", "UV_PYTHON_DOWNLOADS": "never", "PYTHONUTF8": "1"}
    done = subprocess.run(command, cwd=folder, env=kept, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)  # noqa: S603
    text = done.stdout.decode(errors="replace").strip()
    if done.returncode:
        last = "\n".join(text.splitlines()[-5:])
        raise KitError(f"{what} failed:\n{last}\nRun this again; what is done is not done twice.")
    return text


def pythons(kit: Kit) -> dict[str, str]:
    """Name the kit's sets of packages for this platform, with the Python that uv takes for each; our own if it fits."""
    here, own = platform_name(), f"{platform_name()} {python_version()}"
    if own in kit.data["wheels"]:
        return {own: sys.executable}
    system, arch = here.partition("-")[0], "aarch64" if here.endswith("arm64") else "x86_64"
    fitting = [name for name in kit.data["wheels"] if name.startswith(f"{here} ")]
    return {name: f"cpython-{name.split()[1]}-{system}-{arch}" for name in fitting}


def create_environment(kit: Kit, into: Path, uv: Path) -> str:
    """Create a virtual environment with the first fitting Python; return the name of the packages for it.

    Unpacks uv from its own wheel in the kit. Raises KitError.
    """
    for name, python in pythons(kit).items():
        (wheel,) = (path for path in kit.data["wheels"][name] if path.startswith("wheels/uv-"))
        kit.copy({"uv.whl": wheel}, uv.parent)
        with zipfile.ZipFile(uv.parent / "uv.whl") as archive:
            (packed,) = (each for each in archive.namelist() if each.endswith(f"/{uv.name}"))
            uv.write_bytes(archive.read(packed))
        uv.chmod(0o755)
        with suppress(KitError):
            run([uv, "venv", "--quiet", "--clear", "--python", python, ".venv"], "Creating the environment", into)
            return name
    extras = ", ".join(kit.source(path) for path in kit.below("extras").values())
    raise KitError(
        f"No Python was found that this kit is for. It has packages for {', '.join(kit.data['wheels'])}; this is "
        f"{platform_name()} with Python {platform.python_version()}. Install a Python that fits"
        f"{extras and f' ({extras})'}, then run this again. On Windows on Arm, take a Python for x64."
    )


def install(kit: Kit, into: Path) -> str:
    """Install the kit's packages and the project, editable, in a new virtual environment; return the packages' name."""
    folder, cache = into / ".kit" / "wheels", into / ".kit" / "cache"
    uv = into / ".kit" / ("uv.exe" if WINDOWS else "uv")
    name = create_environment(kit, into, uv)
    wheels = kit.data["wheels"][name]
    say(f"Copying {len(wheels)} packages for {name} ...")
    kit.copy({Path(path).name: path for path in wheels}, folder)
    say(f"Installing the packages ... {ANTIVIRUS}")
    options = ["--no-index", "--find-links", folder, "--cache-dir", cache, "--python", ".venv"]
    run([uv, "pip", "install", "--quiet", *options, "--editable", "."], "Installing the packages", into)
    for done in (folder, cache):
        shutil.rmtree(done, ignore_errors=True)
    return name


def copy_project(kit: Kit, into: Path, before: dict[str, str]) -> dict[str, str]:
    """Copy the project's files, except over those changed here; `before` and the result are checksums by path."""
    kept, wanted = [], {}
    for path, source in kit.below("project").items():
        target, now = long(into / path), kit.files[source]["sha256"]
        if not target.exists() and path in before and path.startswith("corpus/"):
            continue  # a document that was deleted here stays deleted
        if target.exists() and sha256(target) not in (now, before.get(path)):
            kept.append(path)
        else:
            wanted[path] = source
    kit.copy(wanted, into)
    if kept:
        say(f"Changed here, and left as they are: {', '.join(kept)}")
    return {**before, **{path: kit.files[source]["sha256"] for path, source in wanted.items()}}


def copy_models(kit: Kit, cache: Path) -> None:
    """Copy the models that the cache lacks, and add their entries to its catalogue.

    A model that is there is never overwritten, and the runtime sees none before it is whole.
    """
    for model in kit.data["models"]:
        folder, files = long(cache / model["folder"]), kit.below(f"models/{model['folder']}")
        marks = folder / UNFINISHED, folder.parent / UNFINISHED
        if folder.exists() and not any(mark.exists() for mark in marks):
            there = {path: (folder / path).stat().st_size for path in files if (folder / path).is_file()}
            if there != {path: kit.size([source]) for path, source in files.items()}:
                remedy = "To have the kit's, delete it, run this again."
                say(f"{folder} differs from the kit's and is left as it is. {remedy}")
            continue
        check_room(cache, model["size"])
        folder.mkdir(parents=True, exist_ok=True)
        marks[0].touch()
        say(f"Copying the model {model['id']}, {in_words(model['size'])} ...")
        kit.copy(files, folder)
        for mark in marks:
            patiently(partial(mark.unlink, missing_ok=True))
    if kit.data["models"]:
        merge_catalogue(kit.data["catalogue"], long(cache / CATALOGUE))


def merge_catalogue(ours: dict[str, Any], path: Path) -> None:
    """Add the kit's entries that a catalogue of models lacks; those that are there stay as they are."""
    try:
        theirs = json.loads(path.read_text(encoding="utf-8-sig"))
        known = {entry["id"] for entry in theirs["models"]}
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        theirs, known = {**ours, "models": []}, set()
        if path.exists():
            aside = path.with_name(CATALOGUE + ".damaged")
            patiently(lambda: path.replace(aside))
            say(f"The list of models {path} was damaged. It is {aside.name} now, and the kit's is in its place.")
    if new := [entry for entry in ours["models"] if entry["id"] not in known]:
        write_json(path, {**theirs, "models": theirs["models"] + new}, patience=HELD_SECONDS)


def use(where: str, into: Path, digest: str = "", start: bool = True, headless: bool = False) -> None:
    """Bring this machine up from the kit at `where`, in the folder `into`; a second time, only what is missing.

    Raises KitError, OSError.
    """
    kit = Kit(where, digest)
    into = into.expanduser().absolute()
    note = into / ".kit" / "note.json"
    if into.exists() and any(into.iterdir()) and not note.parent.exists():
        raise KitError(f"The folder {into} holds something else. Name a new one with --into.")
    if WINDOWS and len(str(into)) > LONGEST_FOLDER:
        raise KitError(f"The folder {into} has too long a name. Name a shorter one, as in --into C:\\escalator.")
    had = load_json(note) or {"project": {}}
    ready = python_of(into).exists() and had.get("installed") in kit.data["wheels"].values()
    packages: list[str] = [] if ready else next((kit.data["wheels"][name] for name in pythons(kit)), [])
    project = kit.below("project").values()
    check_room(into, kit.size(project) + UNPACKED * kit.size(packages))
    kit.total = kit.size([*project, *packages]) + sum(model["size"] for model in kit.data["models"])

    had["project"] = copy_project(kit, into, had["project"])
    write_json(note, had)
    if not ready:
        had["installed"] = kit.data["wheels"][install(kit, into)]
        write_json(note, had)
    *_, home, cache = map(Path, run([python_of(into), "-c", FOLDERS], "Reading the settings", into).splitlines())
    kit.copy(kit.below(VOCABULARY), into / home / VOCABULARY)
    copy_models(kit, into / cache)
    say(f"Escalator is in {into}, its models are in {into / cache}.")
    if start:
        begin(into, headless)


def begin(folder: Path, headless: bool) -> None:
    """Run the chat on the first free port from 8000 on, until it ends."""
    port = next((port for port in range(8000, 8100) if _is_free(port)), 8000)
    say(f"The chat is at http://localhost:{port} in a moment. Ctrl+C ends it; run this again to have it back.")
    command = [str(python_of(folder)), "-m", "chainlit", "run", "app/main.py", "--port", str(port)]
    sys.exit(subprocess.call([*command, *["--headless"] * headless], cwd=folder))  # noqa: S603


def _is_free(port: int) -> bool:
    with suppress(OSError), socket.create_server(("127.0.0.1", port)):
        return True
    return False


def main(arguments: list[str] | None = None) -> None:
    """Run the command line of `use.pyz` and of `escalator kit use`."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    parser = argparse.ArgumentParser(description="Bring this laptop up from a trainer's kit.")
    add, beside, home = parser.add_argument, Path(sys.argv[0]).absolute().parent, Path.home() / "escalator"
    add("kit", nargs="?", default=str(beside), help="the kit's folder or address (default: beside this file)")
    add("--into", type=Path, default=home, help="where to put it (default: %(default)s)")
    add("--sum", default="", help="what the SHA-256 of kit.json must be, or begin with")
    add("--no-start", action="store_true", help="do not start the chat")
    add("--headless", action="store_true", help="do not open a browser")
    given = parser.parse_args(arguments)
    try:
        use(given.kit, given.into, given.sum, not given.no_start, given.headless)
    except EscalatorError as error:
        sys.exit(str(error))
    except OSError as error:
        sys.exit(f"{error}. If another program holds the file, run this again.")
    except KeyboardInterrupt:
        sys.exit("Stopped. Run this again to continue.")
