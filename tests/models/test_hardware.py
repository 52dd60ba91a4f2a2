"""The description of a machine; other systems are imitated by their output."""

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from app.models import hardware
from app.models.hardware import accelerators, bandwidth, inspect_machine, measured


@pytest.fixture(autouse=True)
def _no_tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the programs of the test are on the PATH."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(hardware, "_linux", lambda devices, real=hardware._linux: real(tmp_path / "class"))


def nvidia_smi(folder: Path, script: str) -> None:
    path = folder / "nvidia-smi"
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def device(folder: Path, name: str, vendor: str) -> None:
    (folder / "class" / name / "device").mkdir(parents=True)
    (folder / "class" / name / "device" / "vendor").write_text(f"{vendor}\n", encoding="utf-8")


def test_this_machine_has_memory_a_disk_and_cores(tmp_path: Path) -> None:
    here = measured(tmp_path / "not" / "yet" / "there")
    assert 0 < here.free_mb <= here.memory_mb
    assert here.disk_free_mb > 0
    assert here.cores >= 1
    assert here.gb_per_s is None or here.gb_per_s > 0.1


def test_a_quick_inspection_measures_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "bandwidth", lambda: pytest.fail("it was measured"))
    assert inspect_machine(tmp_path).accelerators == ()


def test_memory_is_not_measured_when_it_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.models.memory.free_mb", lambda: 100)
    assert bandwidth() is None


def test_apple_silicon_has_metal_and_an_intel_mac_has_nothing_known() -> None:
    assert accelerators("darwin", "arm64") == ["Apple silicon GPU (Metal)"]
    assert accelerators("darwin", "x86_64") == []


@pytest.mark.skipif(os.name == "nt", reason="the program is a shell script")
def test_nvidia_lists_its_cards_and_their_memory(tmp_path: Path) -> None:
    nvidia_smi(tmp_path, "echo 'NVIDIA GeForce RTX 4060 Laptop GPU, 8188 MiB'")
    device(tmp_path, "drm/card1", "0x10de")
    device(tmp_path, "drm/card2", "0x8086")
    assert accelerators("linux", "x86_64") == ["NVIDIA GeForce RTX 4060 Laptop GPU, 8188 MiB", "Intel GPU"]


@pytest.mark.skipif(os.name == "nt", reason="the program is a shell script")
@pytest.mark.parametrize("script", ["echo 'NVIDIA-SMI has failed'; exit 9", "echo 'No devices were found'"])
def test_a_failing_driver_is_not_a_card(script: str, tmp_path: Path) -> None:
    nvidia_smi(tmp_path, script)
    assert accelerators("linux", "x86_64") == []


def test_linux_names_the_makers_of_cards_and_neural_processors(tmp_path: Path) -> None:
    device(tmp_path, "drm/card0", "0x1002")
    device(tmp_path, "drm/card1", "0x1234")
    device(tmp_path, "accel/accel0", "0x8086")
    assert accelerators("linux", "x86_64") == ["AMD GPU", "Intel NPU"]


def test_windows_names_them_in_its_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {
        ("{4d36e968-e325-11ce-bfc1-08002be10318}", "0000"): "Microsoft Basic Display Adapter",
        ("{4d36e968-e325-11ce-bfc1-08002be10318}", "0002"): "Qualcomm(R) Adreno(TM) X1-85 GPU",
        ("{f01a9d53-3ff6-48d2-9f97-c8a7004be10c}", "0000"): "Snapdragon(R) X Elite NPU",
    }

    @contextmanager
    def opened(parent: object, name: str) -> Iterator[tuple[str, str]]:
        key = (name.split("\\")[-2], name.split("\\")[-1])
        if key not in names:
            raise FileNotFoundError(name)
        yield key

    def value(key: tuple[str, str], name: str) -> tuple[str, int]:
        assert name == "DriverDesc"
        return names[key], 1

    registry = SimpleNamespace(HKEY_LOCAL_MACHINE=object(), OpenKey=opened, QueryValueEx=value)
    monkeypatch.setitem(sys.modules, "winreg", registry)
    assert accelerators("win32", "ARM64") == [
        "Qualcomm(R) Adreno(TM) X1-85 GPU (GPU)",
        "Snapdragon(R) X Elite NPU (NPU)",
    ]
