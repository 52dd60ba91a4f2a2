"""A laptop is brought up from a kit, and nothing that was there is lost."""

import ast
import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import sysconfig
from pathlib import Path
from types import SimpleNamespace

import pytest

from app.kit import environment, use
from app.kit.bundle import Kit
from app.kit.carry import Problem
from app.kit.environment import interpreter, named, too_long
from app.kit.scripts import MAIN, MODULES
from app.models.catalogue import load_catalogue, model_folders
from app.settings import ROOT
from tests.kit.conftest import Making
from tests.support import scripted
from tests.support.runtime import LARGE, SMALL
from tests.support.scripted import Script


def models_of(kit: Path, cache: Path) -> None:
    """The part of the work that is about models."""
    cache.mkdir(parents=True, exist_ok=True)
    read = Kit(str(kit))
    use.models(read, cache, use.absent(read, cache))
    use.merge(read, cache)


def test_what_runs_before_anything_is_installed_needs_the_standard_library_of_an_old_python_alone() -> None:
    for module in MODULES:
        tree = ast.parse((ROOT / "app" / f"{module}.py").read_text(encoding="utf-8"), feature_version=(3, 9))
        names = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        names |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        ours = {name for name in names if name.startswith("app.")}

        assert {name.replace(".", "/") for name in ours} <= {f"app/{each}" for each in MODULES}
        assert {name.split(".")[0] for name in names - ours} <= sys.stdlib_module_names
    assert "import" in MAIN.splitlines()[0]
    ast.parse(MAIN, feature_version=(3, 4))


def test_a_python_that_is_too_old_gets_a_sentence() -> None:
    code = MAIN.replace("sys.version_info", "(3, 6, 1)")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, encoding="utf-8", check=False)

    assert done.stderr.strip() == (
        "This is Python 3.6. Escalator needs 3.11, 3.12 or 3.13: install one, then run this again."
    )


def test_what_was_broken_off_or_is_not_a_kit_is_said(tmp_path: Path, kit: Path) -> None:
    with pytest.raises(Problem, match="There is no kit at"):
        Kit(str(tmp_path / "nowhere"))
    with pytest.raises(Problem, match=r"has the sum [0-9a-f]{64}, not 1234"):
        Kit(str(kit), "1234")
    Kit(str(kit), Kit(str(kit)).sum[:12].upper())
    said = json.loads((kit / "kit.json").read_text(encoding="utf-8"))
    for change, words in (({"unfinished": True}, "is unfinished"), ({"format": 99}, "another version")):
        (kit / "kit.json").write_text(json.dumps(said | change), encoding="utf-8")
        with pytest.raises(Problem, match=words):
            Kit(str(kit))
    said["files"]["../../evil"] = {"size": 1, "sha256": "0"}
    (kit / "kit.json").write_text(json.dumps(said), encoding="utf-8")
    with pytest.raises(Problem, match="evil"):
        Kit(str(kit))


@pytest.mark.parametrize(
    ("system", "machine", "name"),
    [
        ("win-amd64", "AMD64", "windows-x64"),
        ("win-amd64", "ARM64", "windows-x64"),  # an x64 Python on Windows Arm
        ("win-arm64", "ARM64", "windows-arm64"),
        ("macosx-10.13-universal2", "arm64", "macos-arm64"),
        ("macosx-10.13-universal2", "x86_64", "macos-x64"),
        ("linux-x86_64", "x86_64", "linux-x64"),
        ("linux-aarch64", "aarch64", "linux-arm64"),
    ],
)
def test_platforms_by_what_a_python_was_built_for(system: str, machine: str, name: str) -> None:
    assert named(system, machine) == name


def test_where_no_python_fits_it_is_said_which_do_and_what_was_found(kit: Path) -> None:
    read = Kit(str(kit))
    read.data["wheels"] = {"windows-x64 3.10": []}

    with pytest.raises(Problem) as problem:
        interpreter(read)
    said = str(problem.value)
    assert "It has packages for windows-x64 3.10" in said
    assert f"{named(sysconfig.get_platform(), platform.machine())} 3.{sys.version_info[1]}" in said
    assert "Install a Python that fits" in said


@pytest.mark.parametrize("given", ["cache", "state", "shared", "nothing"])
def test_models_go_where_the_app_looks_for_them(given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    if given != "state":
        monkeypatch.delenv("ESCALATOR_STATE_DIR")
    if given == "cache":
        monkeypatch.setenv("ESCALATOR_MODEL_CACHE", "~/mine")
    if given == "shared":
        (tmp_path / ".foundry" / "cache" / "models").mkdir(parents=True)
    # The default of the setting was taken when its module was imported, in the environment of that time.
    default = subprocess.run(
        [sys.executable, "-c", "from app.settings import load; print(load().model_cache_path)"],
        cwd=ROOT, capture_output=True, text=True, encoding="utf-8", check=True,
    )  # fmt: skip

    assert use.model_cache() == Path(default.stdout.strip())


def test_models_arrive_with_their_entries_beside_those_that_are_there(making: Making, tmp_path: Path) -> None:
    kit = making((SMALL.alias, LARGE.alias))
    cache = scripted.make(tmp_path / "mine", Script(alias="own", say="Mine."))

    models_of(kit, cache)

    assert {model.alias for model in load_catalogue(cache).values() if model.here} == {"own", SMALL.alias, LARGE.alias}
    before = (cache / use.CATALOGUE).read_bytes()
    models_of(kit, cache)
    assert (cache / use.CATALOGUE).read_bytes() == before


def test_a_model_that_is_there_is_never_written_over(
    kit: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cache = scripted.make(tmp_path / "mine", Script(alias=SMALL.alias, id=SMALL.id, say="My own words.", size_mb=7))
    before = {path: path.read_bytes() for path in cache.rglob("*") if path.is_file()}

    models_of(kit, cache)

    assert {path: path.read_bytes() for path in cache.rglob("*") if path.is_file()} == before
    assert "is left as it is" in " ".join(capsys.readouterr().out.split())


def test_a_model_that_is_not_whole_is_not_seen_by_the_runtime_and_goes_on(kit: Path, tmp_path: Path) -> None:
    cache, damaged = tmp_path / "mine", next(kit.glob("models/*/*/model.onnx"))
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[:-1] + b"?")

    with pytest.raises(Problem, match=r"Damaged or missing in the kit at .*model\.onnx\. Copy these anew"):
        models_of(kit, cache)
    assert model_folders(cache) == {}

    damaged.write_bytes(whole)
    models_of(kit, cache)
    assert set(model_folders(cache)) == {SMALL.id}


def test_a_list_of_models_that_is_damaged_is_kept_aside(kit: Path, tmp_path: Path) -> None:
    cache = tmp_path / "mine"
    cache.mkdir()
    (cache / use.CATALOGUE).write_text("{half", encoding="utf-8")

    models_of(kit, cache)

    assert set(load_catalogue(cache)) == {SMALL.id}
    assert (cache / f"{use.CATALOGUE}.damaged").read_text(encoding="utf-8") == "{half"


def test_all_damaged_files_are_named_at_once(kit: Path, tmp_path: Path) -> None:
    (kit / "project" / "README.md").write_text("half", encoding="utf-8")
    (kit / "project" / "app" / "cli.py").unlink()

    with pytest.raises(Problem) as problem:
        use.project(Kit(str(kit)), tmp_path / "here", {})
    assert "project/README.md" in str(problem.value)
    assert "project/app/cli.py" in str(problem.value)


def test_what_was_changed_or_deleted_here_stays_so_and_a_newer_kit_brings_the_rest(
    making: Making, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus, into = tmp_path / "corpus", tmp_path / "into"
    corpus.mkdir()
    for name in ("a.md", "b.md", "c.md"):
        (corpus / name).write_text("old", encoding="utf-8")
    had = use.project(Kit(str(making(corpus=corpus))), into, {})
    (into / "corpus" / "a.md").write_text("mine", encoding="utf-8")
    (into / "corpus" / "b.md").unlink()
    (into / "README.md").unlink()
    for name in ("a.md", "b.md", "c.md"):
        (corpus / name).write_text("new", encoding="utf-8")

    use.project(Kit(str(making(corpus=corpus))), into, had)

    texts = {path.name: path.read_text(encoding="utf-8") for path in (into / "corpus").iterdir()}
    assert texts == {"a.md": "mine", "c.md": "new"}
    assert (into / "README.md").exists()
    assert "left as they are: corpus/a.md" in capsys.readouterr().out


def test_a_folder_that_holds_something_else_is_left_alone(kit: Path, tmp_path: Path) -> None:
    (tmp_path / "into").mkdir()
    (tmp_path / "into" / "thesis.txt").write_text("mine", encoding="utf-8")

    with pytest.raises(Problem, match="holds something else"):
        use.use(str(kit), tmp_path / "into", start=False)
    assert [path.name for path in (tmp_path / "into").iterdir()] == ["thesis.txt"]


def test_a_folder_whose_name_is_too_long_for_windows_is_known() -> None:
    assert too_long("C:\\" + "x" * 100, 140)
    assert not too_long("C:\\escalator", 140)


def test_a_step_that_fails_ends_with_what_it_said_last(tmp_path: Path) -> None:
    with pytest.raises(Problem, match=r"Counting failed:\nlast word\nRun this again"):
        environment.run([sys.executable, "-c", "import sys; sys.exit('last word')"], "Counting", tmp_path)


def test_a_step_that_takes_long_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(environment, "SCAN_AFTER", 0.1)

    environment.run([sys.executable, "-c", "import time; time.sleep(0.5)"], "Installing", tmp_path)

    assert "Installing is still running. An antivirus program may be checking" in capsys.readouterr().out


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_a_terminal_that_lacks_letters_gets_others(encoding: str, kit: Path, tmp_path: Path) -> None:
    moved = tmp_path / "Комплект"
    shutil.move(kit, moved)
    (moved / "kit.json").unlink()
    done = subprocess.run(
        [sys.executable, str(moved / "use.pyz")],
        env={**os.environ, "PYTHONIOENCODING": encoding},
        capture_output=True,
        check=False,
    )

    assert done.returncode == 1
    assert done.stderr.startswith(b"There is no kit at ")
    assert b"Traceback" not in done.stderr


def test_nothing_is_begun_where_the_disk_has_no_room(
    kit: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1_000_000))

    with pytest.raises(Problem, match="has 1 MB free, and"):
        use.use(str(kit), tmp_path / "into", start=False)
    assert not (tmp_path / "into").exists()


def test_a_port_that_is_taken_is_not_chosen() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert not use._free(taken.getsockname()[1])
