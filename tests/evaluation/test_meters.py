"""What a server takes of the machine, where the system tells it, and nothing where it does not."""

import os
import socket
import sys
from pathlib import Path

import pytest

from app.evaluation import recording


def test_the_memory_of_whoever_listens_at_an_address_of_this_machine_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        found = recording.server_memory(f"http://127.0.0.1:{server.getsockname()[1]}")

    if sys.platform == "darwin":
        assert found is None or found.now_mb > 10
    else:
        assert found is not None
        assert found.now_mb > 10
        assert found.peak_mb is not None
        assert found.peak_mb >= found.now_mb - 1


def test_the_memory_of_another_machine_or_of_nobody_is_not(unused_port: int) -> None:
    assert recording.server_memory("http://192.0.2.1:80") is None
    assert recording.server_memory(f"http://127.0.0.1:{unused_port}") is None


@pytest.fixture
def counters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which the system has the energy counters of one processor."""
    zone = tmp_path / "intel-rapl:0"
    zone.mkdir()
    (zone / "max_energy_range_uj").write_text("10000000", encoding="ascii")
    (zone / "energy_uj").write_text("9000000", encoding="ascii")
    (tmp_path / "intel-rapl:0:0").mkdir()  # a part of the processor, which is counted with it
    monkeypatch.setattr(recording, "RAPL", tmp_path)
    return zone / "energy_uj"


def test_energy_is_read_from_the_counters_of_the_processor_also_where_these_begin_anew(counters: Path) -> None:
    energy = recording.Energy()

    energy.start()
    counters.write_text("9500000", encoding="ascii")
    first = energy.joules()
    energy.start()
    counters.write_text("1500000", encoding="ascii")

    assert energy.source == "RAPL, the whole processor"
    assert first == 0.5
    assert energy.joules() == 2.0


@pytest.mark.skipif(os.name == "nt", reason="the tool is a shell script here")
def test_the_power_of_a_graphics_card_makes_an_estimate_that_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\nprintf '40.5\\n59.5\\n'\n", encoding="ascii")
    tool.chmod(0o755)
    monkeypatch.setattr(recording, "RAPL", tmp_path / "none")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    seconds = iter([10.0, 13.0])
    monkeypatch.setattr(recording.time, "perf_counter", lambda: next(seconds))

    energy = recording.Energy()
    energy.start()

    assert energy.joules() == 300.0
    assert "estimated" in energy.source


def test_a_machine_without_a_meter_has_no_figure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "RAPL", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))

    energy = recording.Energy()
    energy.start()

    assert (energy.source, energy.joules()) == ("", None)
