"""Gathers a kit: packages, models, the project, and the files that start it; continues where it was interrupted."""

import io
import json
import subprocess
import zipfile
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from string import Template
from typing import Any

from app.errors import DownloadFailed
from app.files import is_portable, load_json, sha256, write_json
from app.kit import FORMAT, VOCABULARY, KitError, check_room, copy
from app.models.catalogue import CATALOGUE, downloaded, load_catalogue, model_folders
from app.models.selection import configured_pair
from app.models.tokens import fetch_vocabulary
from app.settings import ROOT, Settings
from app.translation import size as in_words
from workshop import wheels

TEXTS = Path(__file__).parent / "texts"
NOT_OURS = {"__pycache__", "build", "dist"}
DOTTED = {".chainlit", ".ci", ".github", ".gitignore", ".python-version"}
"""What belongs to a project without git although its name begins with a dot."""
MAIN = """import sys
if sys.version_info < (3, 11):
    sys.exit("This is Python %d.%d. Escalator needs 3.11, 3.12 or 3.13: install one, then run this again." %
             sys.version_info[:2])
from app.kit.use import main
main()
"""
"""`__main__.py` of `use.pyz`, which any Python can read."""


def make(
    folder: Path,
    settings: Settings,
    tell: Callable[[str], Any],
    models: Sequence[str] | None,
    platforms: Sequence[str],
    pythons: Sequence[str],
    corpus: Path | None = None,
    extras: Sequence[Path] = (),
) -> dict[str, Any]:
    """Gather a kit in a folder, with the named models of the cache, else the pair; return its kit.json.

    Raises KitError.
    """
    before = _begin(folder)
    tell("Looking up packages ...")
    pairs = [(platform, python) for platform in platforms for python in pythons]
    with ThreadPoolExecutor(4) as pool:
        locks = dict(zip(pairs, pool.map(lambda pair: wheels.resolve(*pair), pairs), strict=True))
    packages = sorted({each for lock in locks.values() for each in lock}, key=lambda each: each.name)
    chosen = _chosen(settings.model_cache, configured_pair(settings).both if models is None else models, tell)
    parts = {f"project/{path}": source for path, source in _project(corpus).items()}
    for model in chosen:
        found = _files(settings.model_cache / model["folder"])
        parts |= {f"models/{model['folder']}/{path}": source for path, source in found.items()}
    parts |= {f"extras/{path.name}": path for path in extras}
    try:
        vocabulary = fetch_vocabulary(settings.state_dir / VOCABULARY)
        parts[f"{VOCABULARY}/{vocabulary.name}"] = vocabulary
    except DownloadFailed as error:  # tokens can be estimated
        tell(str(error))
    if bad := [path for path in parts if not is_portable(path)]:
        raise KitError(f"Not every system can hold files of these names; rename them: {', '.join(bad)}")

    sizes = {path: source.stat().st_size for path, source in parts.items()}
    sizes |= {f"wheels/{each.name}": each.size for each in packages}
    there = {name: path.stat().st_size for name, path in _files(folder).items()}
    check_room(folder, sum(size for path, size in sizes.items() if there.get(path) != size))
    tell(f"Copying {len(packages)} packages, {len(chosen)} models and the project, {in_words(sum(sizes.values()))} ...")
    with ThreadPoolExecutor(8) as pool:
        got = dict(zip(packages, pool.map(partial(wheels.download, folder=folder / "wheels"), packages), strict=True))
    files = {f"wheels/{path.name}": _sum(path) for path in got.values()}
    for name, source in parts.items():
        files[name] = _sum(source)
        copy(str(source), folder / name, **files[name])
    kit = {
        "format": FORMAT,
        "version": version("escalator-chat"),
        "made": datetime.now(UTC).date().isoformat(),
        "wheels": {" ".join(pair): [f"wheels/{got[each].name}" for each in lock] for pair, lock in locks.items()},
        "models": chosen,
        "catalogue": _catalogue(settings.model_cache, chosen),
        "packages": sorted(map(wheels.licence, {*got.values()}), key=lambda each: each["name"].lower()),
        "files": files,
    }
    return _finish(folder, kit, before)


def program() -> bytes:
    """Pack `use.pyz`, what brings a laptop up; the bytes depend on the modules alone."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted([*(ROOT / "app").glob("*.py"), *(ROOT / "app" / "kit").glob("*.py")]):
            archive.writestr(zipfile.ZipInfo(path.relative_to(ROOT).as_posix()), path.read_bytes())
        archive.writestr(zipfile.ZipInfo("__main__.py"), MAIN)
    return packed.getvalue()


def _begin(folder: Path) -> dict[str, Any]:
    """Mark a folder as a kit in the making, and return the files of the kit that it holds."""
    note = folder / "kit.json"
    before = load_json(note) or {}
    if folder.exists() and any(folder.iterdir()) and "format" not in before:
        raise KitError(f"The folder {folder} holds something that is no kit. Name a new or an empty one.")
    files: dict[str, Any] = before.get("files", {})
    write_json(note, {"format": FORMAT, "unfinished": True, "files": files}, shared=True)
    return files


def _finish(folder: Path, kit: dict[str, Any], before: dict[str, Any]) -> dict[str, Any]:
    """Write the files that start the kit, then kit.json, and delete what an earlier kit had besides."""
    shell = (TEXTS / "start.sh").read_bytes()
    texts = {
        f"models/{CATALOGUE}": json.dumps(kit["catalogue"], indent=1).encode(),
        "start.sh": shell,
        "start.command": shell,
        "start.cmd": (TEXTS / "start.cmd").read_bytes().replace(b"\n", b"\r\n"),
        "use.pyz": program(),
    }
    for name in (*texts, "CONTENTS.md"):
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(texts.get(name) or _contents(kit).encode())
        path.chmod(0o755 if name.startswith("start") else 0o644)
        kit["files"][name] = _sum(path)
    for name in filter(is_portable, before.keys() - kit["files"].keys()):
        (folder / name).unlink(missing_ok=True)
    write_json(folder / "kit.json", kit, shared=True)
    return kit


def _contents(kit: dict[str, Any]) -> str:
    """Fill in CONTENTS.md: what the kit holds, how it is used, and under which licences."""
    models = [(each["id"], each["device"], in_words(each["size"]), each["licence"]) for each in kit["models"]]
    return Template((TEXTS / "CONTENTS.md").read_text(encoding="utf-8")).substitute(
        kit,
        count=len(kit["files"]) + 1,
        size=in_words(sum(file["size"] for file in kit["files"].values())),
        wheels=", ".join(kit["wheels"]),
        models=_rows(models or [("none", "", "", "")]),
        packages=_rows(each.values() for each in kit["packages"]),
    )


def _rows(rows: Iterable[Iterable[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _project(corpus: Path | None) -> dict[str, Path]:
    """List the project's files by name: what git tracks; without git, what is nobody's own."""
    names = list[str]()
    with suppress(OSError):  # no git here
        done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)  # noqa: S607
        names = done.stdout.decode().split("\0")[:-1]
    files = {name: ROOT / name for name in names or filter(_is_ours, _files(ROOT)) if (ROOT / name).is_file()}
    for own in ("public/browser/runtime", "public/models"):  # of the page /browser, where they are
        files |= {f"{own}/{name}": path for name, path in _files(ROOT / own).items()}
    if corpus is not None:
        files = {name: path for name, path in files.items() if not name.startswith("corpus/")}
        files |= {f"corpus/{name}": path for name, path in _files(corpus).items()}
    return files


def _is_ours(name: str) -> bool:
    parts = name.split("/")
    hidden = {part for part in parts if part.startswith(".")} - DOTTED
    made = NOT_OURS.intersection(parts) or any(part.endswith(".egg-info") for part in parts)
    return not hidden and not made and not (ROOT / parts[0] / "kit.json").exists()


def _chosen(cache: Path, names: Sequence[str], tell: Callable[[str], Any]) -> list[dict[str, Any]]:
    """Describe the models of these aliases and ids, smallest first; of an alias, every variant on this disk."""
    folders = model_folders(cache)
    chosen = [
        {
            "id": key,
            "device": model.device,
            "licence": model.licence or "not stated",
            "size": sum(path.stat().st_size for path in _files(folders[key]).values()),
            "folder": folders[key].relative_to(cache).as_posix(),
        }
        for key, model in load_catalogue(cache).items()
        if model.here and not {key, model.alias}.isdisjoint(names)
    ]
    if left := ", ".join(name for name in names if not downloaded(name, load_catalogue(cache))):
        tell(f"Without {left}, which is not on this disk. Named with --models it is downloaded.")
    for model in chosen:
        if model["device"] != "CPU":
            tell(f"{model['id']} runs on machines with such a {model['device']} only. For others, add a CPU variant.")
    return sorted(chosen, key=lambda model: model["size"])


def _catalogue(cache: Path, chosen: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Make a catalogue of the chosen models, with their entries as the cache has them."""
    ids = {model["id"] for model in chosen}
    entries = json.loads((cache / CATALOGUE).read_text(encoding="utf-8"))["models"] if chosen else []
    models = [entry for entry in entries if entry["id"] in ids]
    return {"version": 1, "savedAtUnix": int(datetime.now(UTC).timestamp()), "models": models}


def _files(folder: Path) -> dict[str, Path]:
    """List all files below a folder, by their names in it."""
    return {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}


def _sum(path: Path) -> dict[str, Any]:
    return {"size": path.stat().st_size, "sha256": sha256(path)}
