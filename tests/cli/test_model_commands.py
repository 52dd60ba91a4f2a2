"""`escalator models`: what is shown for this machine, and what is downloaded and warmed up."""

import asyncio
import json
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from app.errors import ModelError
from app.models import catalogue
from app.models.catalogue import ModelInfo
from app.models.downloads import DownloadProgress
from app.models.memory import Machine
from app.settings import Settings
from tests.support import scripted
from tests.support.runtime import state_of
from tests.support.scripted import Script
from tests.support.terminal import escalator

TINY = Script(alias="qwen2.5-0.5b", say="Tiny.", size_mb=780)
SMALLER = Script(alias="qwen2.5-1.5b", say="Smaller.", size_mb=1_740)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The model cache of a laptop of 8 GB, into which downloads are written as scripted models."""
    cache = tmp_path / "cache"
    cache.mkdir()
    monkeypatch.setenv("ESCALATOR_MODEL_CACHE", str(cache))
    monkeypatch.setenv("ESCALATOR_STATE_DIR", str(state_of(cache)))
    laptop = Machine(8_000, 4_000, 200_000, 8)
    for name in ("cli.setup_commands.inspect_machine", "models.selection.inspect_machine"):
        monkeypatch.setattr(f"app.{name}", lambda folder: laptop)
    return cache


@pytest.fixture
def fetched(cache: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was downloaded."""
    names: list[str] = []

    class StubDownloader:
        def __init__(self, settings: Settings):
            assert settings.model_cache == cache

        async def update_catalogue(self) -> dict[str, ModelInfo]:
            await asyncio.to_thread(scripted.make, cache, TINY)
            return await asyncio.to_thread(catalogue.load_catalogue, cache)

        async def download(self, name: str) -> AsyncGenerator[DownloadProgress, None]:
            yield DownloadProgress(name, 400.0, 800.0, 20.0, 20.0)
            if name == "interrupted":
                raise KeyboardInterrupt
            if name == "blocked":
                raise ModelError("The public catalogue of models cannot be reached: no connection can be made.")
            await asyncio.to_thread(scripted.make, cache, {"qwen2.5-0.5b": TINY, "qwen2.5-1.5b": SMALLER}[name])
            names.append(name)

    monkeypatch.setattr("app.cli.setup_commands.Downloader", StubDownloader)
    return names


def test_a_laptop_is_shown_its_pairs_with_sizes_and_speed(cache: Path) -> None:
    scripted.make(cache, TINY)

    said = escalator("models").stdout

    assert "* tiny: qwen2.5-0.5b, then qwen2.5-1.5b, about 65 and about 25 tokens a second\n" in said
    assert "      Both stay loaded together, which needs " in said
    assert "      qwen2.5-0.5b: 0.8 GB, downloaded\n" in said
    assert "      Too large for this machine: gpt-oss-20b needs 15.6 GB of memory beside the system." in said
    assert "\n* recommended for this machine: `escalator models get tiny`\n" in said
    assert "\nChosen: qwen2.5-0.5b. Not downloaded: phi-4-mini, gpt-oss-20b. So " in said
    assert "qwen2.5-0.5b · CPU · 0.8 GB · downloaded · licence unknown · qwen2.5-0.5b-instruct-generic-cpu:1" in said


def test_where_a_role_has_its_model_elsewhere_none_is_missed_here(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = escalator("models")
    assert "There is no model on this machine" in said.output

    monkeypatch.setenv("LLM_ENDPOINT", "http://127.0.0.2:9")
    said = escalator("models")
    assert "There is no model on this machine" not in said.output
    assert " on 127.0.0.2:9." in said.output


def test_programs_read_the_same_as_json(cache: Path) -> None:
    scripted.make(cache, TINY)

    told = json.loads(escalator("models", "--json").stdout)

    assert set(told) == {"pair", "places", "standing_in", "recommended", "offers", "models"}
    assert told["recommended"] == "tiny"
    assert [offer["name"] for offer in told["offers"]] == ["tiny", "standard", "large"]
    (model,) = told["models"]
    assert {"id", "alias", "device", "size_mb", "here", "loaded", "licence"} <= set(model)
    assert (model["id"], model["here"], model["loaded"]) == (TINY.full_id, True, False)


def test_a_machine_without_models_is_shown_what_fits_from_the_table(cache: Path) -> None:
    result = escalator("models")

    assert result.exit_code == 0
    assert "There is no model on this machine" in result.stderr
    assert "Sizes are approximate until the online catalogue has been read." in result.stdout


def test_the_public_catalogue_is_asked_only_when_it_is_wanted(cache: Path, fetched: list[str]) -> None:
    assert json.loads(escalator("models", "--json").stdout)["models"] == []
    assert [it["alias"] for it in json.loads(escalator("models", "--look", "--json").stdout)["models"]] == [TINY.alias]


@pytest.mark.slow
def test_a_pair_is_downloaded_warmed_up_and_used_from_then_on(cache: Path, fetched: list[str]) -> None:
    result = escalator("models", "get", "tiny")

    assert (result.exit_code, fetched) == (0, ["qwen2.5-0.5b", "qwen2.5-1.5b"])
    for name in fetched:
        assert f"{name} answers: ready after " in result.stderr
    told = json.loads(escalator("models", "--json").stdout)
    assert (told["pair"], told["standing_in"]) == ({"small": "qwen2.5-0.5b", "large": "qwen2.5-1.5b"}, None)

    assert escalator("models", "get", "tiny").exit_code == 0
    assert len(fetched) == 2, "what is here is not downloaded again"


def test_one_model_is_downloaded_and_changes_no_pair(cache: Path, fetched: list[str]) -> None:
    assert escalator("models", "get", "qwen2.5-1.5b").exit_code == 0
    assert fetched == ["qwen2.5-1.5b"]
    assert not (state_of(cache) / "pair.json").exists()


def test_what_can_never_fit_is_not_downloaded(cache: Path, fetched: list[str]) -> None:
    result = escalator("models", "get", "large")

    assert (result.exit_code, fetched) == (1, [])
    assert result.stderr.startswith("Too large for this machine: gpt-oss-20b needs 15.6 GB of memory")
    assert "qwen2.5-0.5b and qwen2.5-1.5b fit: run `escalator models get tiny`." in result.stderr


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("interrupted", "Stopped. What has arrived is kept: `escalator models get interrupted` continues."),
        ("blocked", "The public catalogue of models cannot be reached: no connection can be made."),
    ],
)
def test_a_download_that_ends_early_is_a_sentence(name: str, said: str, fetched: list[str]) -> None:
    result = escalator("models", "get", name)

    assert result.exit_code == 1
    assert said in result.stderr
    assert "Traceback" not in result.output
