"""The exercises on the genuine runtime: a start runs and lacks what is asked for, a solution has it."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.settings import ROOT
from tests.support.runtime import held, state_of
from tests.support.scripted import Script

pytestmark = pytest.mark.slow

EXERCISES = ROOT / "docs" / "exercises"
FOLDERS = sorted(path.name for path in EXERCISES.iterdir() if path.is_dir())
SCRIPTS = [f"{folder}/{name}" for folder in FOLDERS for name in ("start.py", "solution.py")]

LONG = "Word after word, and more of them. " * 3
SMALL = Script(alias="phi-4-mini", say=LONG, when={"retrieval-augmented": "It looks passages up [1]."}, work=20)
LARGE = Script(alias="gpt-oss-20b", say=LONG, work=40)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    from tests.support import scripted

    cache = scripted.make(tmp_path_factory.mktemp("exercises") / "cache", SMALL, LARGE)
    with held(cache):
        yield cache


@pytest.fixture
def begin(cache: Path, tmp_path: Path) -> Callable[..., "subprocess.Popen[bytes]"]:
    """Starts a script as a beginner does, in another folder and with a terminal that knows few letters."""

    def begin(script: str, *arguments: str, models: Path = cache) -> "subprocess.Popen[bytes]":
        variables = {
            "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "cp1252", "ESCALATOR_MODEL_CACHE": str(models),
            "ESCALATOR_STATE_DIR": str(state_of(models)), "COLUMNS": "80",
        }  # fmt: skip
        return subprocess.Popen(
            [sys.executable, str(EXERCISES / script), *arguments],
            cwd=tmp_path, env=os.environ | variables, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    return begin


@pytest.fixture
def run(begin: Callable[..., "subprocess.Popen[bytes]"]) -> Callable[..., str]:
    """What a script prints until its good end."""

    def run(script: str, *arguments: str) -> str:
        process = begin(script, *arguments)
        said, complaints = process.communicate(timeout=60)
        assert (process.returncode, complaints) == (0, b"")
        return said.decode("cp1252").replace("\r\n", "\n")

    return run


def test_three_exercises_have_a_page_a_start_and_a_solution_of_a_size_for_beginners() -> None:
    assert FOLDERS == ["1-streaming", "2-latency-chart", "3-reference-text"]
    index = (EXERCISES / "README.md").read_text(encoding="utf-8")
    for folder in FOLDERS:
        assert f"({folder}/README.md)" in index
        page = (EXERCISES / folder / "README.md").read_text(encoding="utf-8")
        for name in ("start.py", "solution.py"):
            assert f"python docs/exercises/{folder}/{name}" in page
            assert 20 <= len((EXERCISES / folder / name).read_text(encoding="utf-8").splitlines()) <= 62


@pytest.mark.parametrize("script", SCRIPTS)
def test_without_a_model_a_script_ends_with_a_sentence(
    begin: Callable[..., "subprocess.Popen[bytes]"], tmp_path: Path, script: str
) -> None:
    process = begin(script, models=tmp_path / "empty")

    _, complaints = process.communicate(timeout=60)

    assert process.returncode == 1
    assert complaints.startswith(b"There is no model on this machine: ")
    assert b"Traceback" not in complaints


def pieces(process: "subprocess.Popen[bytes]") -> list[bytes]:
    """What a process writes, in the pieces in which it comes."""
    assert process.stdout is not None
    with process.stdout as output:
        found = list(iter(lambda: os.read(output.fileno(), 65_536), b""))
    assert process.wait(60) == 0
    return found


@pytest.mark.slow
def test_the_start_of_exercise_1_shows_its_answer_at_once(begin: Callable[..., "subprocess.Popen[bytes]"]) -> None:
    with begin("1-streaming/start.py", "Why?") as process:
        said = pieces(process)

    assert sum(b"Word" in piece for piece in said) == 1
    assert b"first token" not in b"".join(said)


@pytest.mark.slow
def test_the_solution_of_exercise_1_streams_and_measures_the_first_token(
    begin: Callable[..., "subprocess.Popen[bytes]"],
) -> None:
    with begin("1-streaming/solution.py", "Why?") as process:
        said = pieces(process)

    text = b"".join(said).decode("cp1252")
    assert LONG.strip() in text
    assert len(said) > 5
    times = re.search(r"first token after (\d+\.\d\d) s, all after (\d+\.\d\d) s", text)
    assert times is not None
    assert 0 < float(times[1]) < float(times[2])


@pytest.mark.slow
def test_the_start_of_exercise_2_prints_figures_without_a_chart(run: Callable[..., str]) -> None:
    said = run("2-latency-chart/start.py")

    assert re.search(r"^phi-4-mini [\d.]+ [\d.]+$", said, re.M)
    assert re.search(r"^gpt-oss-20b [\d.]+ [\d.]+$", said, re.M)
    assert "#" not in said


@pytest.mark.slow
def test_the_solution_of_exercise_2_draws_first_token_and_total_on_one_scale(run: Callable[..., str]) -> None:
    said = run("2-latency-chart/solution.py")

    rows = {model: re.search(rf"{model} +\S (\.*)(#*) .*?([\d.]+) s.*?([\d.]+) s", said)
            for model in ("phi-4-mini", "gpt-oss-20b")}  # fmt: skip
    bars = {}
    for model, row in rows.items():
        assert row is not None, said
        assert float(row[3]) < float(row[4])
        bars[model] = len(row[1] + row[2]), float(row[4])
    assert max(length for length, _ in bars.values()) == 36
    (small, small_s), (large, large_s) = bars["phi-4-mini"], bars["gpt-oss-20b"]
    assert small / large == pytest.approx(small_s / large_s, abs=0.1)


@pytest.mark.slow
def test_the_start_of_exercise_3_finds_the_wrong_passages_for_its_own_question(run: Callable[..., str]) -> None:
    asked, nothing = run("3-reference-text/start.py"), run("3-reference-text/start.py", "storage")

    assert re.findall("^found: (.{13})", asked, re.M) == ["Foundry Local", "A small langu"]
    assert "It looks passages up" not in asked
    assert nothing.count("found:") == 2


@pytest.mark.slow
def test_the_solution_of_exercise_3_finds_the_right_one_and_cites_it(run: Callable[..., str]) -> None:
    asked, nothing = run("3-reference-text/solution.py"), run("3-reference-text/solution.py", "storage")

    assert "answer: It looks passages up [1].\n" in asked
    assert re.findall(r"^cited: (.{9})", asked, re.M) == ["[1] RAG m"]
    assert "Foundry Local" not in asked
    assert nothing == "No word of the question stands in the reference text. The model is not asked.\n"
