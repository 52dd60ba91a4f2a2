"""A laptop is brought up from a kit, and nothing that was there is lost."""

import ast
import json
import os
import shutil
import socket
import subprocess
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from app.kit import Kit, KitError, use
from app.kit.use import platform_name, python_version
from app.models.catalogue import load_catalogue, model_folders
from app.settings import ROOT, load
from tests.support import scripted
from tests.support.runtime import LARGE, SMALL
from tests.support.scripted import Script
from tests.workshop.conftest import Making
from workshop.make import MAIN


def models_of(kit: Path, cache: Path) -> None:
    """The part of the work that is about models."""
    use.copy_models(Kit(str(kit)), cache)


def test_what_runs_before_anything_is_installed_needs_the_standard_library_alone(kit: Path) -> None:
    with zipfile.ZipFile(kit / "use.pyz") as archive:
        packed = set(archive.namelist())
    left, seen = ["app.kit.use"], set[str]()
    while left:
        module = left.pop()
        path = module.replace(".", "/")
        file = next(each for each in (f"{path}.py", f"{path}/__init__.py") if (ROOT / each).exists())
        assert file in packed
        seen.add(module)
        for node in ast.parse((ROOT / file).read_text(encoding="utf-8")).body:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module:
                from_app = [f"app.{alias.name}" for alias in node.names]
                names = from_app if node.module == "app" else [node.module]
            ours = {name for name in names if name.startswith("app.")}
            assert {name.split(".")[0] for name in set(names) - ours} <= sys.stdlib_module_names
            left += ours - seen
    assert {"app.files", "app.kit"} <= seen


def test_a_python_that_is_too_old_gets_a_sentence() -> None:
    ast.parse(MAIN, feature_version=(3, 4))
    code = MAIN.replace("sys.version_info", "(3, 6, 1)")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, encoding="utf-8", check=False)

    assert done.stderr.strip() == (
        "This is Python 3.6. Escalator needs 3.11, 3.12 or 3.13: install one, then run this again."
    )


def test_what_was_broken_off_or_is_not_a_kit_is_said(tmp_path: Path, kit: Path) -> None:
    with pytest.raises(KitError, match="There is no readable kit at"):
        Kit(str(tmp_path / "nowhere"))
    with pytest.raises(KitError, match=r"has the checksum [0-9a-f]{64}, not 1234"):
        Kit(str(kit), "1234")
    Kit(str(kit), Kit(str(kit)).digest[:12].upper())
    said = json.loads((kit / "kit.json").read_text(encoding="utf-8"))
    for change, words in (({"unfinished": True}, "is unfinished"), ({"format": 99}, "another version")):
        (kit / "kit.json").write_text(json.dumps(said | change), encoding="utf-8")
        with pytest.raises(KitError, match=words):
            Kit(str(kit))
    said["files"]["../../evil"] = {"size": 1, "sha256": "0"}
    (kit / "kit.json").write_text(json.dumps(said), encoding="utf-8")
    with pytest.raises(KitError, match="evil"):
        Kit(str(kit))


@pytest.mark.parametrize(
    ("system", "machine", "name"),
    [
        ("win32", "AMD64", "windows-x64"),
        ("win32", "ARM64", "windows-x64"),  # which runs there too
        ("darwin", "arm64", "macos-arm64"),
        ("darwin", "x86_64", "macos-x64"),
        ("linux", "x86_64", "linux-x64"),
        ("linux", "aarch64", "linux-arm64"),
    ],
)
def test_platforms_have_the_names_of_kits(system: str, machine: str, name: str) -> None:
    assert platform_name(system, machine) == name


def test_without_a_fitting_python_the_message_names_those_that_fit_and_the_one_that_runs(
    kit: Path, tmp_path: Path
) -> None:
    read = Kit(str(kit))
    read.data["wheels"] = {"windows-x64 3.10": []}

    with pytest.raises(KitError) as problem:
        use.install(read, tmp_path)
    message = str(problem.value)
    assert "It has packages for windows-x64 3.10" in message
    assert f"this is {platform_name()} with Python 3.{sys.version_info[1]}" in message
    assert "Install a Python that fits" in message


@pytest.mark.parametrize("fits", [True, False])
def test_the_python_that_runs_is_taken_if_the_kit_has_packages_for_it(fits: bool, kit: Path) -> None:
    read = Kit(str(kit))
    read.data["wheels"] = {f"{platform_name()} {version}": [] for version in ("3.10", python_version())[: 1 + fits]}
    arch = "aarch64" if platform_name().endswith("arm64") else "x86_64"

    request = sys.executable if fits else f"cpython-3.10-{platform_name().partition('-')[0]}-{arch}"
    assert [*use.pythons(read).values()] == [request]


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

    with pytest.raises(KitError, match=r"Damaged or missing in the kit at .*model\.onnx\. Copy these anew"):
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
    (kit / "project" / "app" / "errors.py").unlink()

    with pytest.raises(KitError) as problem:
        use.copy_project(Kit(str(kit)), tmp_path / "here", {})
    assert "project/README.md" in str(problem.value)
    assert "project/app/errors.py" in str(problem.value)


@pytest.mark.slow
def test_what_was_changed_or_deleted_here_stays_so_and_a_newer_kit_brings_the_rest(
    making: Making, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus, into = tmp_path / "corpus", tmp_path / "into"
    corpus.mkdir()
    for name in ("a.md", "b.md", "c.md"):
        (corpus / name).write_text("old", encoding="utf-8")
    had = use.copy_project(Kit(str(making(corpus=corpus))), into, {})
    (into / "corpus" / "a.md").write_text("mine", encoding="utf-8")
    (into / "corpus" / "b.md").unlink()
    (into / "README.md").unlink()
    for name in ("a.md", "b.md", "c.md"):
        (corpus / name).write_text("new", encoding="utf-8")

    use.copy_project(Kit(str(making(corpus=corpus))), into, had)

    texts = {path.name: path.read_text(encoding="utf-8") for path in (into / "corpus").iterdir()}
    assert texts == {"a.md": "mine", "c.md": "new"}
    assert (into / "README.md").exists()
    assert "left as they are: corpus/a.md" in capsys.readouterr().out


def test_a_folder_that_holds_something_else_is_left_alone(kit: Path, tmp_path: Path) -> None:
    (tmp_path / "into").mkdir()
    (tmp_path / "into" / "thesis.txt").write_text("mine", encoding="utf-8")

    with pytest.raises(KitError, match="holds something else"):
        use.use(str(kit), tmp_path / "into", start=False)
    assert [path.name for path in (tmp_path / "into").iterdir()] == ["thesis.txt"]


def test_a_folder_with_too_long_a_name_for_windows_is_refused(
    kit: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(use, "WINDOWS", True)

    with pytest.raises(KitError, match="has too long a name"):
        use.use(str(kit), tmp_path / ("x" * 120), start=False)
    longest = "\\.venv\\Lib\\site-packages\\onnxruntime\\tools\\ort_format_model\\ort_flatbuffers_py\\fbs\\"
    assert use.LONGEST_FOLDER + len(longest + "RuntimeOptimizationRecordContainerEntry.py") < 260


def test_a_step_that_fails_ends_with_what_it_said_last(tmp_path: Path) -> None:
    with pytest.raises(KitError, match=r"Counting failed:\nlast word\nRun this again"):
        use.run([sys.executable, "-c", "import sys; sys.exit('last word')"], "Counting", tmp_path)


def test_it_is_said_beforehand_why_installing_may_take_long(
    kit: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(use, "create_environment", lambda kit, into, uv: f"{platform_name()} {python_version()}")
    monkeypatch.setattr(use, "run", lambda *given: "")

    use.install(Kit(str(kit)), tmp_path)

    assert "Installing the packages ... An antivirus program may be checking" in capsys.readouterr().out


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
    assert done.stderr.startswith(b"There is no readable kit at ")
    assert b"Traceback" not in done.stderr


def test_nothing_is_begun_where_the_disk_has_no_room(
    kit: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1_000_000))

    with pytest.raises(KitError, match="has 1 MB free, and"):
        use.use(str(kit), tmp_path / "into", start=False)
    assert not (tmp_path / "into").exists()


def test_a_port_that_is_taken_is_not_chosen() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert not use._is_free(taken.getsockname()[1])


@pytest.mark.slow
def test_models_and_vocabulary_go_where_the_installed_app_says_that_it_looks(
    kit: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(use, "install", lambda kit, into: f"{platform_name()} {python_version()}")
    answer = subprocess.run([sys.executable, "-c", use.FOLDERS], cwd=ROOT, capture_output=True, check=True)
    home, cache = map(Path, answer.stdout.decode().splitlines())
    monkeypatch.setattr(use, "run", lambda *given: f"a warning\n{tmp_path / 'home'}\n{tmp_path / 'cache'}")

    use.use(str(kit), tmp_path / "into", start=False)

    given = load()
    assert (home, cache) == (given.state_dir, given.model_cache)
    assert (tmp_path / "home" / "tiktoken" / "vocabulary").read_bytes() == b"dG9rZW4= 0"
    assert set(load_catalogue(tmp_path / "cache")) == {SMALL.id}
    assert (tmp_path / "into" / "app" / "errors.py").exists()
