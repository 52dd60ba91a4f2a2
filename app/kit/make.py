"""Gathers a kit: packages, models, the project, and what tells of them; goes on where it was broken off."""

import asyncio
import json
import subprocess
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, suppress
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from app.kit import wheels
from app.kit.bundle import FORMAT
from app.kit.carry import Problem, allowed, bring, digest, mb, room, write_json
from app.kit.scripts import contents, scripts
from app.models.catalogue import CATALOGUES, load_catalogue, model_folders
from app.models.selection import configured_pair
from app.settings import ROOT, Settings

Tell = Callable[[str], Any]

NOT_OURS = {"__pycache__", "build", "dist"}
DOTTED = {".chainlit", ".ci", ".github", ".gitignore", ".python-version"}
"""What belongs to a project without git although its name begins with a dot."""


def make(
    folder: Path,
    settings: Settings,
    tell: Tell,
    models: Sequence[str] | None,
    platforms: Sequence[str],
    pythons: Sequence[str],
    corpus: Path | None = None,
    extras: Sequence[Path] = (),
) -> dict[str, Any]:
    """Gather a kit in a folder, with the pair's models that are here if none are named; what its kit.json says.

    Raises Problem.
    """
    before = _begin(folder)
    tell("Looking up packages ...")
    pairs = [(platform, python) for platform in platforms for python in pythons]
    with ThreadPoolExecutor(4) as pool:
        locks = dict(zip(pairs, pool.map(lambda pair: wheels.resolved(*pair), pairs), strict=True))
    packages = sorted({each for lock in locks.values() for each in lock}, key=lambda each: each.name)
    chosen, entries = _chosen(settings, models, tell)
    parts = {f"project/{path}": source for path, source in _project(corpus).items()}
    for model in chosen:
        found = _files(settings.model_cache_path / model["folder"])
        parts |= {f"models/{model['folder']}/{path}": source for path, source in found.items()}
    parts |= {f"extras/{path.name}": path for path in extras}
    if bad := [path for path in parts if not allowed(path)]:
        raise Problem(f"Not every system can hold files of these names; rename them: {', '.join(bad)}")

    sizes = {path: source.stat().st_size for path, source in parts.items()}
    there = {name: path.stat().st_size for name, path in _files(folder).items()}
    (folder / "wheels").mkdir(exist_ok=True)
    with ThreadPoolExecutor(8) as pool:
        sizes |= zip((f"wheels/{each.name}" for each in packages), pool.map(wheels.size_of, packages), strict=True)
        room({folder: sum(size for path, size in sizes.items() if there.get(path) != size)})
        tell(f"Copying {len(packages)} packages, {len(chosen)} models and the project, {mb(sum(sizes.values()))} ...")
        got = dict(zip(packages, pool.map(partial(wheels.download, folder=folder / "wheels"), packages), strict=True))
    said = {f"wheels/{path.name}": wheels.about(path) for path in got.values()}
    files = {name: {**_sum(folder / name), "unpacked": about["unpacked"]} for name, about in said.items()}
    for name, source in parts.items():
        files[name] = _sum(source)
        bring(str(source), folder / name, **files[name])
    kit = {
        "format": FORMAT,
        "version": version("escalator-chat"),
        "made": datetime.now(UTC).date().isoformat(),
        "wheels": {" ".join(pair): [f"wheels/{got[each].name}" for each in lock] for pair, lock in locks.items()},
        "longest": max(about["longest"] for about in said.values()),
        "models": chosen,
        "catalogue": {"version": 1, "savedAtUnix": int(datetime.now(UTC).timestamp()), "models": entries},
        "packages": [
            {key: said[name][key] for key in ("name", "version", "licence")} for name in sorted(said, key=str.lower)
        ],
        "files": files,
    }
    return _finish(folder, kit, before)


def _begin(folder: Path) -> dict[str, Any]:
    """Mark a folder as a kit in the making; the files of the one that it holds."""
    note = folder / "kit.json"
    before: dict[str, Any] = json.loads(note.read_text(encoding="utf-8")) if note.exists() else {}
    if folder.exists() and any(folder.iterdir()) and before.get("format") != FORMAT:
        raise Problem(f"The folder {folder} holds something that is no kit. Name a new or an empty one.")
    folder.mkdir(parents=True, exist_ok=True)
    write_json(note, {"format": FORMAT, "unfinished": True, "files": before.get("files", {})})
    return dict(before.get("files", {}))


def _finish(folder: Path, kit: dict[str, Any], before: dict[str, Any]) -> dict[str, Any]:
    """Write what lies open, then kit.json, and remove what an earlier kit had besides."""

    def put(name: str, data: bytes) -> None:
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
        path.chmod(0o755 if name.startswith("start") else 0o644)
        kit["files"][name] = _sum(path)

    put(f"models/{CATALOGUES[0]}", json.dumps(kit["catalogue"], indent=1).encode())
    for name, data in scripts().items():
        put(name, data)
    put("CONTENTS.md", contents(kit).encode())
    for name in before.keys() - kit["files"].keys():
        if allowed(name):
            (folder / name).unlink(missing_ok=True)
    write_json(folder / "kit.json", kit)
    return kit


def _project(corpus: Path | None) -> dict[str, Path]:
    """The project's files by their names: what git tracks, else all that is not somebody's own."""
    names: list[str] = []
    with suppress(OSError):  # no git here
        done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)  # noqa: S607
        names = done.stdout.decode().split("\0")
    tracked = {name: ROOT / name for name in names if (ROOT / name).is_file()}
    files = tracked or {name: path for name, path in _files(ROOT).items() if _ours(name.split("/"))}
    if corpus is not None:
        files = {name: path for name, path in files.items() if not name.startswith("corpus/")}
        files |= {f"corpus/{name}": path for name, path in _files(corpus).items()}
    return files


def _ours(parts: list[str]) -> bool:
    return not (ROOT / parts[0] / "kit.json").exists() and not any(
        part in NOT_OURS or part.endswith(".egg-info") or (part.startswith(".") and part not in DOTTED)
        for part in parts
    )


def _chosen(settings: Settings, names: Sequence[str] | None, tell: Tell) -> tuple[list[dict[str, Any]], list[Any]]:
    """The models by alias or id, downloaded if need be, and their entries; of an alias every variant on this disk."""
    cache = settings.model_cache_path
    here = {name for key, model in load_catalogue(cache).items() if model.here for name in (key, model.alias)}
    if names is None:
        pair = (configured_pair(settings).small, configured_pair(settings).large)
        names = [name for name in pair if name in here]
        if left := ", ".join(name for name in pair if name not in here):
            tell(f"Without {left}, which is not on this disk. Named with --models it is downloaded.")
    for name in names:
        if name not in here:
            asyncio.run(_download(settings, name, tell))
    folders = model_folders(cache)
    chosen: list[dict[str, Any]] = []
    for key, model in load_catalogue(cache).items():
        if model.here and not {key, model.alias}.isdisjoint(names):
            chosen.append({
                "id": key,
                "device": model.device,
                "licence": model.licence or "not stated",
                "size": sum(path.stat().st_size for path in _files(folders[key]).values()),
                "folder": folders[key].relative_to(cache).as_posix(),
            })  # fmt: skip
            if model.device != "CPU":
                tell(f"{key} runs on machines with such a {model.device} only. For the others, name a CPU variant too.")
    chosen.sort(key=lambda model: model["size"])
    ids = {model["id"] for model in chosen}
    entries = json.loads((cache / CATALOGUES[0]).read_text(encoding="utf-8"))["models"] if chosen else []
    return chosen, [entry for entry in entries if entry["id"] in ids]


async def _download(settings: Settings, name: str, tell: Tell) -> None:
    from app.models.downloads import Downloader

    said = -10.0
    async with aclosing(Downloader(settings).download(name)) as progress:
        async for step in progress:
            if step.done_mb >= said + max(50, step.total_mb / 20):
                said = step.done_mb
                tell(f"Downloading {step.alias}: {step.done_mb:,.0f} of {step.total_mb:,.0f} MB")


def _files(folder: Path) -> dict[str, Path]:
    """All files below a folder, by their names in it."""
    return {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}


def _sum(path: Path) -> dict[str, Any]:
    return {"size": path.stat().st_size, "sha256": digest(path)}
