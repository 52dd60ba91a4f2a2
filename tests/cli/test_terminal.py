"""The line about work in steps: rewritten in a terminal, and a line for each step elsewhere."""

import sys

import pytest

from app.cli.terminal import Progress


def test_in_a_terminal_the_line_is_rewritten_within_its_width_and_removed_in_the_end(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "40")
    progress = Progress()

    progress.step("phi-4-mini: round 1 of 2", 0, 4, None)
    progress.step("gpt", 1, 4, 7200)
    progress.tell("Loading")

    shown = capsys.readouterr().err.split("\r")
    assert all(len(line) < 40 for line in shown)
    assert shown[2].startswith("phi-4-mini: round 1 of 2 (0 of 4 done)")
    assert shown[3] == f"{'gpt (1 of 4 done, about 2 h left)':{len(shown[2])}}"
    assert shown[5].isspace()
    assert shown[-1] == "Loading\n"


def test_elsewhere_each_step_is_a_line_with_the_time_left(capsys: pytest.CaptureFixture[str]) -> None:
    Progress().step("auto: round 2 of 2", 3, 4, 50)

    assert capsys.readouterr().err == "auto: round 2 of 2 (3 of 4 done, about 50 s left)\n"
