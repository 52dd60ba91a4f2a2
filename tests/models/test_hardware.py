"""The description of a machine."""

from pathlib import Path

import pytest

from app.models import hardware
from app.models.hardware import bandwidth, inspect_machine, measured


def test_this_machine_has_memory_a_disk_and_cores(tmp_path: Path) -> None:
    here = measured(tmp_path / "not" / "yet" / "there")
    assert 0 < here.free_mb <= here.memory_mb
    assert here.disk_free_mb > 0
    assert here.cores >= 1
    assert here.gb_per_s is None or here.gb_per_s > 0.1


def test_a_quick_inspection_measures_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "bandwidth", lambda: pytest.fail("it was measured"))
    assert inspect_machine(tmp_path).gb_per_s is None


def test_memory_is_not_measured_when_it_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.models.memory.free_mb", lambda: 100)
    bandwidth.cache_clear()
    assert bandwidth() is None
    bandwidth.cache_clear()
