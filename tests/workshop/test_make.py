"""A kit holds what was asked for and says what it holds; gathering it can be broken off."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.cli.commands import cli
from app.errors import DownloadFailed
from app.kit import KitError
from app.models.catalogue import load_catalogue
from app.settings import ROOT
from tests.support import scripted
from tests.support.runtime import LARGE, SMALL
from tests.workshop.conftest import Making, wheel
from workshop import make as maker
from workshop import wheels
from workshop.make import program


def test_every_file_of_a_kit_has_its_sum(kit: Path) -> None:
    said = json.loads((kit / "kit.json").read_text(encoding="utf-8"))
    there = {path.relative_to(kit).as_posix(): path for path in kit.rglob("*") if path.is_file()}

    assert set(said["files"]) == set(there) - {"kit.json"}
    for name, about in said["files"].items():
        assert about["sha256"] == hashlib.sha256(there[name].read_bytes()).hexdigest()
        assert about["size"] == there[name].stat().st_size
    assert said["packages"] == [{"name": "harbour", "version": "1.0", "licence": "MIT"}]


def test_the_contents_are_told_to_people(kit: Path) -> None:
    text = (kit / "CONTENTS.md").read_text(encoding="utf-8")

    assert "| harbour | 1.0 | MIT |" in text
    assert f"| {SMALL.id} | CPU |" in text
    assert "start.cmd" in text
    assert f"{len([path for path in kit.rglob('*') if path.is_file()]) - 1} files" in text


@pytest.mark.slow
def test_only_the_chosen_models_are_in_it_and_its_folder_of_models_can_be_used_as_it_is(making: Making) -> None:
    kit = making((SMALL.id,))

    assert {key for key, model in load_catalogue(kit / "models").items() if model.here} == {SMALL.id}
    making((LARGE.alias,))
    assert set(load_catalogue(kit / "models")) == {LARGE.id}
    assert not [path for path in kit.rglob("*") if path.is_file() and "Phi" in path.as_posix()]


def test_without_a_word_the_pair_is_taken_as_far_as_it_is_here(making: Making, tmp_path: Path) -> None:
    making.cache = scripted.make(tmp_path / "half", SMALL)

    assert set(load_catalogue(making(None) / "models")) == {SMALL.id}
    assert f"Without {LARGE.alias}, which is not on this disk. Named with --models it is downloaded." in making.said


def test_the_project_is_what_git_tracks_and_without_git_what_is_nobodys_own(
    kit: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {path.relative_to(kit / "project").as_posix() for path in (kit / "project").rglob("*") if path.is_file()}
    if subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, check=False).returncode == 0:
        tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.decode()
        own = {name for name in names if name.startswith(("public/browser/runtime/", "public/models/"))}
        assert names - own == {name for name in tracked.split("\0") if name and (ROOT / name).exists()}

    for name in (
        "app/x.py",
        ".chainlit/config.toml",
        ".venv/lib/y.py",
        "app/__pycache__/x.pyc",
        ".env",
        "x.egg-info/z",
        "KIT/kit.json",
        "KIT/y",
        "public/models/m/config.json",
    ):
        (tmp_path / "clone" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "clone" / name).write_text("", encoding="utf-8")
    monkeypatch.setattr(maker, "ROOT", tmp_path / "clone")
    assert set(maker._project(None)) == {"app/x.py", ".chainlit/config.toml", "public/models/m/config.json"}


def test_the_vocabulary_for_counting_tokens_is_in_it_or_the_reason_is_given(
    making: Making, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (making() / "tiktoken" / "vocabulary").read_bytes() == b"dG9rZW4= 0"

    def fetch(folder: Path) -> Path:
        raise DownloadFailed("The vocabulary could not be fetched.")

    monkeypatch.setattr(maker, "fetch_vocabulary", fetch)
    assert not (making() / "tiktoken" / "vocabulary").exists()
    assert "The vocabulary could not be fetched." in making.said


def test_what_is_there_with_the_right_sum_is_not_copied_again(making: Making) -> None:
    kit = making()
    whole = {path: path.stat().st_mtime_ns for path in kit.rglob("*") if path.is_file() and path.parent != kit}
    damaged, gone = kit / "project" / "README.md", next(kit.glob("wheels/*"))
    damaged.write_bytes(b"x" * damaged.stat().st_size)
    gone.unlink()
    (kit / "project" / "LICENSE").rename(kit / "project" / "LICENSE.part")

    making()

    again = {path: path.stat().st_mtime_ns for path in kit.rglob("*") if path.is_file() and path.parent != kit}
    changed = {path.name for path in whole if again[path] != whole[path]}
    assert set(again) == set(whole)
    assert changed - {"foundry.modelinfo.json"} == {"README.md", gone.name}


def test_a_kit_that_is_being_made_says_so(making: Making, monkeypatch: pytest.MonkeyPatch) -> None:
    kit = making()
    monkeypatch.setattr(wheels, "download", lambda *given, **named: 1 / 0)

    with pytest.raises(ZeroDivisionError):
        making()
    assert json.loads((kit / "kit.json").read_text(encoding="utf-8"))["unfinished"]


def test_a_folder_of_other_things_is_refused(making: Making) -> None:
    making.folder.mkdir()
    (making.folder / "thesis.txt").write_text("mine", encoding="utf-8")

    with pytest.raises(KitError, match="holds something that is no kit"):
        making()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")
def test_a_folder_that_cannot_be_written_is_said_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder", encoding="utf-8")
    done = CliRunner().invoke(cli, ["kit", "make", str(tmp_path / "file" / "kit"), "--models", "none"])
    assert done.exit_code == 1
    assert done.stderr.startswith("The system refuses what this needs: ")
    assert "file" in done.stderr


def test_documents_that_windows_cannot_hold_are_named(making: Making, tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "what?.md").write_text("x", encoding="utf-8")

    with pytest.raises(KitError, match=r"rename them: project/corpus/what\?\.md"):
        making(corpus=tmp_path / "docs")


def test_the_program_is_the_same_whenever_it_is_packed() -> None:
    assert program() == program()


@pytest.mark.parametrize(
    ("said", "licence"),
    [
        (["License-Expression: Apache-2.0", "License: old"], "Apache-2.0"),
        (["Classifier: License :: OSI Approved :: MIT License", "License: something"], "MIT License"),
        (["License: BSD 3-Clause"], "BSD 3-Clause"),
        ([], "not stated"),
    ],
)
def test_the_licence_of_a_package_is_what_it_states(said: list[str], licence: str, tmp_path: Path) -> None:
    assert wheels.licence(wheel(tmp_path, "some", *said))["licence"] == licence


@pytest.mark.parametrize("given", [["--platform", "amiga"], ["--python", "3.9"]])
def test_a_kit_for_nothing_we_know_is_refused(given: list[str], tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["kit", "make", str(tmp_path / "kit"), *given])

    assert result.exit_code == 2
    assert "There is no kit for" in result.output


def test_the_best_of_the_wheels_that_fit_is_taken() -> None:
    def file(name: str) -> dict[str, object]:
        return {"url": f"https://host/{name}", "hashes": {"sha256": "0"}}

    entry = {"name": "x", "version": "1", "sdist": file("x-1.tar.gz")}
    fitting = ["x-1-cp311-cp311-macosx_11_0_arm64.whl", "x-1-cp311-cp311-macosx_14_0_arm64.whl", "x-1-py3-none-any.whl"]

    assert wheels._pinned(entry | {"wheels": [file(name) for name in fitting]}).name == fitting[1]
    assert wheels._pinned(entry | {"wheels": [file(fitting[2])]}).is_wheel
    assert not wheels._pinned(entry).is_wheel


def test_all_packages_that_lack_a_wheel_are_named_although_uv_names_one_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def resolve(platform: str, python: str, *lacks: str) -> list[wheels.Pinned]:
        if missing := [name for name in ("grpcio", "some") if name not in lacks]:
            raise wheels.Unresolved(f"hint: Wheels are required for `{missing[0]}` because building is disabled")
        return []

    monkeypatch.setattr(wheels, "resolve", resolve)
    assert wheels.report("windows-arm64", "3.12") == (False, "lacks grpcio, some")


@pytest.mark.slow
def test_why_there_is_no_kit_is_said_in_full_where_no_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(*given: str) -> list[wheels.Pinned]:
        raise wheels.Unresolved("The registry cannot be reached.")

    monkeypatch.setattr(wheels, "resolve", resolve)
    assert wheels.report("linux-x64", "3.12") == (False, "The registry cannot be reached.")
