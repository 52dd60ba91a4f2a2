"""Packages for other platforms and Pythons than this one: resolved by uv, downloaded, asked for their licence."""

import email
import os
import re
import ssl
import subprocess
import sys
import tomllib
import urllib.request
import zipfile
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from app.kit.carry import Problem, bring, mb
from app.settings import ROOT

PYTHONS = ("3.11", "3.12", "3.13")
PLATFORMS = {
    "windows-x64": "x86_64-pc-windows-msvc",
    "windows-arm64": "aarch64-pc-windows-msvc",
    "macos-arm64": "aarch64-apple-darwin",
    "linux-x64": "x86_64-manylinux_2_28",
    "linux-arm64": "aarch64-manylinux_2_34",  # what foundry-local-sdk has wheels for
}
"""Platforms as people name them, and as uv does."""
MACOS = "14.0"  # what onnxruntime has wheels for
SUPPORTED = ("windows-x64", "macos-arm64", "linux-x64", "linux-arm64")
SOURCE_ONLY = ("literalai", "syncer", "cuid")
"""What Chainlit needs and there is only as source: pure Python, of which the kit makes wheels for every system."""


class Unresolved(Problem):
    """No set of wheels fits."""


@dataclass(frozen=True, slots=True)
class Pinned:
    """One file of a resolution, which is a source archive if no wheel fits."""

    url: str
    sha256: str
    size: int | None

    @property
    def name(self) -> str:
        """The file's name."""
        return urllib.request.url2pathname(self.url.rpartition("/")[2])

    @property
    def is_wheel(self) -> bool:
        """Whether it can be installed without being built."""
        return self.name.endswith(".whl")


def resolved(platform: str, python: str, *lacks: str) -> list[Pinned]:
    """The project's packages for a platform and a Python, as the registry has them today; raises Unresolved.

    Packages that are named in `lacks` may be without a wheel.
    """
    if missing := [tool for tool in ("certifi", "pip", "uv") if find_spec(tool) is None]:
        raise Problem(f'Packages for kits are got with {", ".join(missing)}, missing here: pip install -e ".[kit]"')
    project = ROOT / "pyproject.toml"
    if not project.is_file():
        raise Problem(f"There is no {project}. A kit is made from the project's folder: `pip install -e .` there.")
    build = tomllib.loads(project.read_text(encoding="utf-8"))["build-system"]["requires"]  # for an editable install
    command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--format", "pylock.toml", str(project), "-"]
    command += ["--python", sys.executable, "--python-platform", PLATFORMS[platform], "--python-version", python]
    command += ["--only-binary", ":all:", *(f"--no-binary={name}" for name in (*SOURCE_ONLY, *lacks))]
    done = _run(command, "\n".join(build))
    if done.returncode:
        way_on = " A Python for x64 works there: take windows-x64." if platform == "windows-arm64" else ""
        raise Unresolved(f"No packages for {platform} and Python {python}.{way_on}\n{done.stderr.strip()}")
    return [_pinned(entry) for entry in tomllib.loads(done.stdout)["packages"]]


def _pinned(entry: dict[str, Any]) -> Pinned:
    # uv lists only the wheels that fit: one for the system is better than one for all, the last one is the newest.
    wheels = sorted(entry.get("wheels", ()), key=lambda wheel: (not wheel["url"].endswith("-any.whl"), wheel["url"]))
    file = wheels[-1] if wheels else entry["sdist"]
    return Pinned(file["url"], file["hashes"]["sha256"], file.get("size"))


def checked(platform: str, python: str, *lacks: str) -> tuple[bool, str]:
    """Whether a kit can be made for a platform and a Python, and what it needs or lacks: uv names that in turn."""
    try:
        files = resolved(platform, python, *lacks)
    except Unresolved as problem:
        said = " ".join(str(problem).split())  # uv breaks its lines where it likes
        named = set(re.findall(r"Wheels are required for `([^`]+)`", said)) - {*lacks}
        return checked(platform, python, *lacks, *sorted(named)) if named else (False, str(problem))
    if lacks:
        return False, f"lacks {', '.join(lacks)}"
    source = ", ".join(each.name.partition("-")[0] for each in files if not each.is_wheel)
    return True, f"{len(files)} packages, {mb(sum(map(size_of, files)))}; from source, for every system: {source}"


@cache
def size_of(file: Pinned) -> int:
    """The bytes of a file, which not every registry tells."""
    if file.size is not None:
        return file.size
    with opener().open(urllib.request.Request(file.url, method="HEAD"), timeout=60) as answer:  # noqa: S310
        return int(answer.headers["Content-Length"])


@cache
def opener() -> urllib.request.OpenerDirector:
    """HTTPS with the system's certificates and those of certifi, through the proxy if there is one."""
    import certifi

    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return urllib.request.build_opener(urllib.request.HTTPSHandler(context=context))


def download(file: Pinned, folder: Path) -> Path:
    """A wheel in the folder: copied, or made of the source."""
    if file.is_wheel:
        bring(file.url, folder / file.name, size_of(file), file.sha256, opener())
        return folder / file.name
    name = file.name.removesuffix(".tar.gz") + "-py*-none-any.whl"
    if not any(map(zipfile.is_zipfile, folder.glob(name))):
        command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder)]
        done = _run([*command, f"{file.url}#sha256={file.sha256}"])
        if not list(folder.glob(name)):
            raise Problem(f"No wheel for every system could be made of {file.name}: {done.stderr.strip()[-500:]}")
    return next(folder.glob(name))


def about(wheel: Path) -> dict[str, Any]:
    """What a wheel says of itself: name, version and licence, and how much it is when unpacked."""
    with zipfile.ZipFile(wheel) as archive:
        inside = {file.filename: file.file_size for file in archive.infolist()}
        name = next(name for name in inside if re.fullmatch(r"[^/]+\.dist-info/METADATA", name))
        said = email.message_from_bytes(archive.read(name))
    kinds = [kind.rpartition(" :: ")[2] for kind in said.get_all("Classifier", ()) if kind.startswith("License ::")]
    short = (said["License"] or "").strip().partition("\n")[0][:80]
    texts = [f"see {name} in it" for name in inside if re.search(r"(?i)/licen[cs]e[^/]*$", name)]
    return {
        "name": said["Name"],
        "version": said["Version"],
        "licence": said["License-Expression"] or ", ".join(kinds) or short or (*texts, "not stated")[0],
        "unpacked": sum(inside.values()),
        "longest": max(map(len, inside)),
    }


def _run(command: list[str], given: str = "") -> "subprocess.CompletedProcess[str]":
    # A company's network may open what is encrypted, with a certificate that only the system knows.
    environment = {**os.environ, "MACOSX_DEPLOYMENT_TARGET": MACOS, "UV_SYSTEM_CERTS": "true"}
    return subprocess.run(  # noqa: S603
        command, input=given, env=environment, capture_output=True, check=False, encoding="utf-8", errors="replace"
    )
