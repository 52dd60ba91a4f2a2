"""What the doctor says of models: each thing that can fail in a room, with a sentence and a way on."""

import json
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from app.cli.commands import cli
from app.errors import ModelError
from app.models.memory import Machine
from app.settings import Settings
from tests.models.test_discovery import OLD, program
from tests.support.runtime import state_of
from tests.support.scripted import Script

TINY = Script(alias="qwen2.5-0.5b", say="Tiny.", size_mb=780)
SMALLER = Script(alias="qwen2.5-1.5b", say="Smaller.", size_mb=1_740)
STANDARD = Script(alias="phi-4-mini", say="Standard.", size_mb=4_800)

Doctor = Callable[..., dict[str, dict[str, Any]]]


@pytest.fixture
def doctor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Doctor:
    """Asks the doctor of a laptop of 8 GB, on which only 4 are free; its checks by their names."""
    laptop = Machine(8_000, 4_000, 200_000, 8)
    for name in ("doctor.inspect_machine", "models.selection.inspect_machine"):
        monkeypatch.setattr(f"app.{name}", lambda folder: laptop)
    monkeypatch.setattr("app.models.memory.free_mb", lambda: 4_000)
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    (corpus / "ferry.md").write_text("The ferry leaves at noon.", encoding="utf-8")

    def checks(cache: Path, *options: str) -> dict[str, dict[str, Any]]:
        monkeypatch.setenv("ESCALATOR_MODEL_CACHE", str(cache))
        monkeypatch.setenv("ESCALATOR_STATE_DIR", str(state_of(cache)))
        result = CliRunner().invoke(cli, ["doctor", "--corpus", str(corpus), "--json", *options])
        assert result.exception is None, result.exception
        found = {check["name"]: check for check in json.loads(result.stdout)["checks"]}
        assert all(check["remedy"] for check in found.values() if check["ok"] is False)
        return found

    return checks


@pytest.mark.slow
def test_machine_models_and_a_token_of_each_are_told(doctor: Doctor, model_cache: Callable[..., Path]) -> None:
    found = doctor(model_cache(TINY, SMALLER))

    assert found["memory"]["found"] == "8 GB, 4 GB free"
    assert found["processor"]["found"] == "8 cores"
    assert found["onnxruntime"]["found"].startswith("1.")
    assert "CPU" in found["runtime's providers"]["found"]
    assert found["catalogue"]["found"].startswith("2 models, saved ")
    assert f"{TINY.full_id} (CPU, needs 1.4 GB)" in found["models"]["found"]
    assert found["pair that fits"]["found"].startswith("tiny: qwen2.5-0.5b and qwen2.5-1.5b. Both stay loaded together")
    assert found["pair that fits"]["ok"]
    assert found["pair"]["remedy"].startswith("Not downloaded: phi-4-mini, gpt-oss-20b. So qwen2.5-0.5b answers first")
    for role, script in (("small model", TINY), ("large model", SMALLER)):
        assert found[role]["ok"]
        assert found[role]["found"].startswith(f"{script.alias} is {script.full_id}; ready after ")
        assert " s, a token after " in found[role]["found"]
    assert "public catalogue" not in found


@pytest.mark.slow
def test_memory_too_small_is_said_with_the_pair_that_fits(
    doctor: Doctor, model_cache: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLM_ALIAS", "phi-4-mini")
    monkeypatch.setenv("LLM_ALIAS", "phi-4-mini")

    found = doctor(model_cache(STANDARD))

    assert not found["small model"]["ok"]
    assert found["small model"]["remedy"].startswith("phi-4-mini needs about 6")
    assert found["small model"]["remedy"].endswith(
        "qwen2.5-0.5b and qwen2.5-1.5b fit: run `escalator models get tiny`."
    )


@pytest.mark.skipif(sys.platform == "win32", reason="the programs are shell scripts")
@pytest.mark.parametrize("script", [OLD, "exit 1"], ids=["old", "stranger"])
def test_another_foundry_on_the_path_is_named_and_left_alone(
    script: str, doctor: Doctor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "asked"
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    path = Path(program(folder, f'echo "$*" >> {log}\n{script}'))
    assert path.stat().st_mode & stat.S_IXUSR

    check = doctor(tmp_path / "none")["foundry command line"]

    assert check["ok"] is None
    assert check["found"].startswith(f"{path} is an old Foundry Local, up to 0.8, or not Foundry Local's")
    assert check["remedy"].startswith("Our own runtime is used")
    assert set(log.read_text(encoding="utf-8").splitlines()) == {"server status -o json"}


@pytest.mark.slow
def test_a_blocked_catalogue_is_told_when_it_is_asked_for(
    doctor: Doctor, model_cache: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    class StubDownloader:
        def __init__(self, settings: Settings):
            pass

        async def update_catalogue(self) -> None:
            raise ModelError("The public catalogue of models cannot be reached: no connection can be made.")

    monkeypatch.setattr("app.doctor.Downloader", StubDownloader)

    found = doctor(model_cache(TINY), "--online")

    assert (found["public catalogue"]["ok"], found["public catalogue"]["found"]) == (False, "cannot be reached")
    assert found["public catalogue"]["remedy"] == (
        "The public catalogue of models cannot be reached: no connection can be made. Only downloads need it: models "
        "on the disk answer without it, and a kit brings models along."
    )
    assert found["small model"]["ok"], "what is on the disk answers all the same"


def test_without_models_it_is_said_how_to_get_some(doctor: Doctor, tmp_path: Path) -> None:
    found = doctor(tmp_path / "none")

    assert found["catalogue"]["ok"] is None
    assert found["catalogue"]["remedy"] == "`escalator models --look` fetches it, which needs the network."
    assert found["pair that fits"]["remedy"] == "`escalator models get tiny` downloads it."
    assert "escalator models get tiny" in found["model server"]["remedy"]
    assert found["foundry command line"]["ok"]
