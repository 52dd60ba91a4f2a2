"""Packages for other platforms and Pythons than this one: resolved by uv, downloaded, asked for their licence."""

import os
import re
import ssl
import subprocess
import sys
import tomllib
import urllib.request
import zipfile
from dataclasses import dataclass
from email import message_from_string
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from app.kit import KitError, copy
from app.settings import ROOT
from app.translation import size

PYTHONS = ("3.11", "3.12", "3.13")
PLATFORMS = {
    "windows-x64": "x86_64-pc-windows-msvc",
    "windows-arm64": "aarch64-pc-windows-msvc",
    "macos-arm64": "aarch64-apple-darwin",
    "linux-x64": "x86_64-manylinux_2_28",
    "linux-arm64": "aarch64-manylinux_2_34",  # what foundry-local-sdk has wheels for
}
"""uv's names of the platforms."""
MACOS = "14.0"  # what onnxruntime has wheels for
SUPPORTED = ("windows-x64", "macos-arm64", "linux-x64", "linux-arm64")
SOURCE_ONLY = ("literalai", "syncer", "cuid")
"""Dependencies of Chainlit that exist as source only: pure Python, of which the kit makes wheels for every system."""


class Unresolved(KitError):
    """No set of wheels fits a platform and a Python."""


@dataclass(frozen=True, slots=True)
class Pinned:
    """A file that a resolution chose: a wheel, or a source archive if no wheel fits; `size` in bytes."""

    url: str
    sha256: str
    size: int

    @property
    def name(self) -> str:
        """The file's name."""
        return urllib.request.url2pathname(self.url.rpartition("/")[2])

    @property
    def is_wheel(self) -> bool:
        """Whether it can be installed without being built."""
        return self.name.endswith(".whl")


def resolve(platform: str, python: str, *lacking: str) -> list[Pinned]:
    """Choose the project's packages, and uv, for a platform and a Python, as the registry has them today.

    Packages named in `lacking` need no wheel. Raises Unresolved.
    """
    if missing := [tool for tool in ("certifi", "pip", "uv") if find_spec(tool) is None]:
        raise KitError(f'Packages for kits are got with {", ".join(missing)}, missing here: pip install -e ".[kit]"')
    project = ROOT / "pyproject.toml"
    build = tomllib.loads(project.read_text(encoding="utf-8"))["build-system"]["requires"]  # for an editable install
    command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--format", "pylock.toml", str(project), "-"]
    command += ["--python", sys.executable, "--python-platform", PLATFORMS[platform], "--python-version", python]
    command += ["--only-binary", ":all:", *(f"--no-binary={name}" for name in (*SOURCE_ONLY, *lacking))]
    done = _run(command, "\n".join([*build, "uv"]))
    if done.returncode:
        hint = " Python for x64 runs there: take windows-x64." if platform == "windows-arm64" else ""
        raise Unresolved(f"No packages for {platform} and Python {python}.{hint}\n{done.stderr.strip()}")
    return [_pinned(entry) for entry in tomllib.loads(done.stdout)["packages"]]


def _pinned(entry: dict[str, Any]) -> Pinned:
    # uv lists only the wheels that fit: one for the system is better than one for all, the last one is the newest.
    wheels = sorted(entry.get("wheels", ()), key=lambda wheel: (not wheel["url"].endswith("-any.whl"), wheel["url"]))
    file = wheels[-1] if wheels else entry["sdist"]
    return Pinned(file["url"], file["hashes"]["sha256"], file.get("size", 0))


def report(platform: str, python: str, *lacking: str) -> tuple[bool, str]:
    """Say whether a kit can be made for a platform and a Python, and what it needs or lacks; uv names that in turn."""
    try:
        files = resolve(platform, python, *lacking)
    except Unresolved as problem:
        message = " ".join(str(problem).split())  # uv breaks its lines anywhere
        named = set(re.findall(r"Wheels are required for `([^`]+)`", message)) - {*lacking}
        return report(platform, python, *lacking, *sorted(named)) if named else (False, str(problem))
    if lacking:
        return False, f"lacks {', '.join(lacking)}"
    source = ", ".join(each.name.partition("-")[0] for each in files if not each.is_wheel)
    total = size(sum(each.size for each in files))
    return True, f"{len(files)} packages, {total}; from source, for every system: {source}"


def download(file: Pinned, folder: Path) -> Path:
    """Get a wheel into a folder, copied or made of the source; raises KitError."""
    if file.is_wheel:
        import certifi

        context = ssl.create_default_context()
        context.load_verify_locations(certifi.where())  # not every Python finds the system's
        opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context))
        copy(file.url, folder / file.name, file.size, file.sha256, opener)
        return folder / file.name
    name = file.name.removesuffix(".tar.gz") + "-py*-none-any.whl"
    if not any(map(zipfile.is_zipfile, folder.glob(name))):
        command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder)]
        done = _run([*command, f"{file.url}#sha256={file.sha256}"])
        if not list(folder.glob(name)):
            raise KitError(f"No wheel for every system could be made of {file.name}: {done.stderr.strip()[-500:]}")
    return next(folder.glob(name))


def licence(wheel: Path) -> dict[str, str]:
    """Read the name, the version and the licence that a wheel states."""
    with zipfile.ZipFile(wheel) as archive:
        (path,) = (name for name in archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", name))
        stated = message_from_string(archive.read(path).decode("utf-8"))
    classes = [each for each in stated.get_all("Classifier", ()) if each.startswith("License ::")]
    short = stated.get("License", "").strip().partition("\n")[0][:80]
    known = stated["License-Expression"] or ", ".join(each.rpartition(" :: ")[2] for each in classes) or short
    return {"name": stated["Name"], "version": stated["Version"], "licence": known or "not stated"}


def _run(command: list[str], given: str = "") -> "subprocess.CompletedProcess[str]":
    # A company's network may open what is encrypted, with a certificate that only the system knows.
    environment = {**os.environ, "MACOSX_DEPLOYMENT_TARGET": MACOS, "UV_SYSTEM_CERTS": "true"}
    return subprocess.run(  # noqa: S603
        command, input=given, env=environment, capture_output=True, check=False, encoding="utf-8", errors="replace"
    )
