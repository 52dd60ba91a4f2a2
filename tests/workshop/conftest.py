"""A small kit, made by the product itself of a package that is made here."""

import base64
import hashlib
import zipfile
from pathlib import Path

import pytest

from app.kit.use import platform_name, python_version
from tests.support.runtime import SMALL, settings_for
from workshop import make as maker
from workshop import wheels
from workshop.make import make
from workshop.wheels import Pinned


def wheel(folder: Path, name: str = "harbour", *said: str) -> Path:
    """A wheel with one module, that says so much of its licence."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-1.0-py3-none-any.whl"
    info = f"{name}-1.0.dist-info"
    files = {
        f"{name}.py": "FERRY = '9:30'\n",
        f"{info}/METADATA": "\n".join(["Metadata-Version: 2.1", f"Name: {name}", "Version: 1.0", *said, ""]),
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    sums = {each: base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()) for each, text in files.items()}
    record = [f"{each},sha256={sums[each].decode().rstrip('=')},{len(text)}" for each, text in files.items()]
    with zipfile.ZipFile(path, "w") as archive:
        for each, text in {**files, f"{info}/RECORD": "\n".join([*record, f"{info}/RECORD,,"])}.items():
            archive.writestr(zipfile.ZipInfo(each), text)
    return path


def pinned(path: Path) -> Pinned:
    return Pinned(path.as_uri(), hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_size)


class Making:
    """Makes a kit as `escalator kit make` does; only the registry's answer is ours."""

    def __init__(self, folder: Path, cache: Path, patch: pytest.MonkeyPatch):
        self.folder, self.cache = folder, cache
        self.packages = [wheel(folder.parent / "registry", "harbour", "License-Expression: MIT")]
        self.said: list[str] = []
        vocabulary = folder.parent / "vocabulary"
        vocabulary.write_bytes(b"dG9rZW4= 0")
        patch.setattr(maker, "fetch_vocabulary", lambda folder: vocabulary)
        patch.setattr(wheels, "resolve", lambda *pair: [pinned(path) for path in self.packages])

    def __call__(self, models: tuple[str, ...] | None = (SMALL.alias,), corpus: Path | None = None) -> Path:
        settings = settings_for(self.cache)
        make(self.folder, settings, self.said.append, models, [platform_name()], [python_version()], corpus)
        return self.folder


@pytest.fixture
def making(tmp_path: Path, models: Path, monkeypatch: pytest.MonkeyPatch) -> Making:
    return Making(tmp_path / "kit", models, monkeypatch)


@pytest.fixture
def kit(making: Making) -> Path:
    return making()
