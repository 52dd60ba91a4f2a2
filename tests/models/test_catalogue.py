"""The catalogue of a cache folder: aliases, sizes, and which models are downloaded."""

from pathlib import Path

from app.models import catalogue
from app.models.catalogue import ModelInfo
from tests.support.runtime import LARGE, SMALL
from tests.support.scripted import make


def test_the_saved_catalogue_gives_aliases_and_the_folders_show_what_is_downloaded(tmp_path: Path) -> None:
    make(tmp_path, SMALL, LARGE)
    assert catalogue.load_catalogue(tmp_path) == {
        SMALL.full_id: ModelInfo("phi-4-mini", 1, here=True),
        LARGE.full_id: ModelInfo("gpt-oss-20b", 1, here=True),
    }


def test_a_damaged_catalogue_is_empty(tmp_path: Path) -> None:
    (tmp_path / "foundry.modelinfo.json").write_text('{"models": [{"id": 1}]', encoding="utf-8")
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "inference_model.json").write_text("[]", encoding="utf-8")
    assert catalogue.load_catalogue(tmp_path) == {}


def test_sizes_are_in_megabytes_though_the_catalogue_counts_mebibytes(tmp_path: Path) -> None:
    make(tmp_path, SMALL)
    saved = tmp_path / "foundry.modelinfo.json"
    saved.write_text(
        saved.read_text(encoding="utf-8").replace('"fileSizeMb": 1', '"fileSizeMb": 3000'), encoding="utf-8"
    )
    assert catalogue.load_catalogue(tmp_path)[SMALL.full_id].size_mb == 3146


def test_a_model_that_is_being_downloaded_is_not_here(tmp_path: Path) -> None:
    make(tmp_path, SMALL)
    folder = tmp_path / "Microsoft" / SMALL.full_id.replace(":", "-")
    (folder / "v5").mkdir()
    (folder / "inference_model.json").rename(folder / "v5" / "inference_model.json")
    assert catalogue.load_catalogue(tmp_path)[SMALL.full_id].here
    (folder / "download.tmp").touch()
    assert not catalogue.load_catalogue(tmp_path)[SMALL.full_id].here
