"""The history on the disk: what is kept is found again, by several processes, and no damage costs a start."""

import json
import sqlite3
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from app.history import _TABLES, FILE, History, Item


def row(name: str, position: int, said: str = "", **data: Any) -> Item:
    return Item(name, "row", position, {"id": name, "output": said, **data}, said)


def held(folder: Path) -> bytes:
    """Return the bytes of all files of the history."""
    return b"".join(path.read_bytes() for path in folder.glob("history*"))


def test_what_was_kept_is_found_by_the_next_process(tmp_path: Path) -> None:
    first = History(tmp_path)
    first.title("a", "When does\n the ferry leave?")
    first.write([("a", [row("2", 2, "At 9:30."), row("1", 1, "When?")], {"mode": "small"})])
    first.write([("a", [row("2", 2, "At 9:45."), Item("1", "row", 1, None)], {"mode": "large"})])
    first.close()

    second = History(tmp_path)

    found = second.find("a")
    assert found is not None
    assert (found.title, found.choices) == ("When does the ferry leave?", {"mode": "large"})
    assert second.items("a") == [Item("2", "row", 2, {"id": "2", "output": "At 9:45."})]
    assert second.find("b") is None


def test_two_processes_write_at_a_time(tmp_path: Path) -> None:
    histories = [History(tmp_path), History(tmp_path)]
    for number in range(50):
        for history, name in zip(histories, "ab", strict=True):
            history.title(name, name)
            history.write([(name, [row(str(number), number)], {})])

    assert [len(histories[0].items(name)) for name in "ab"] == [50, 50]


def test_the_list_has_the_latest_first_page_by_page_and_can_be_searched(tmp_path: Path) -> None:
    history = History(tmp_path)
    for name in "abc":
        history.title(name, f"Question {name}")
    history.write([("a", [row("1", 1, "Die FÄHRE geht um halb zehn.")], {})])

    assert [kept.id for kept in history.latest()] == ["a", "c", "b"]
    assert [kept.id for kept in history.latest(most=2)] == ["a", "c"]
    assert [kept.id for kept in history.latest(after="c")] == ["b"]
    assert [kept.id for kept in history.latest("fähre")] == ["a"]
    assert [kept.id for kept in history.latest("QUESTION  B")] == ["b"]
    assert history.latest("output") == []  # a word of the format alone


def test_what_was_deleted_is_in_no_file_any_more(tmp_path: Path) -> None:
    history = History(tmp_path)
    for name in "abc":
        history.title(name, f"Question {name}")
        history.write([(name, [row("1", 1, f"secret {name}")], {})])
    history.note({"id": "1", "value": 1})

    history.delete("a")

    assert b"secret a" not in held(tmp_path)
    assert b"secret b" in held(tmp_path)
    assert history.write([("a", [row("2", 2)], {})]) == ["a"]
    assert history.wipe() == 2
    assert b"secret" not in held(tmp_path)
    assert not history.thumbs.exists()
    assert history.latest() == []


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    history = History(tmp_path)
    history.title("a", "A")
    history.note({"value": 0})

    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir() if path.is_file()} == {0o600}


def test_a_database_of_an_older_version_is_brought_to_the_present_one_with_all_it_holds(tmp_path: Path) -> None:
    old = sqlite3.connect(tmp_path / FILE)
    for statement in _TABLES:
        old.execute(statement)
    old.execute("insert into conversations values ('a', 'Old', 5)")
    old.execute("insert into items values ('a', '1', 'row', 1, '{}', 'old words')")
    old.execute("pragma user_version = 1")
    old.commit()
    old.close()

    history = History(tmp_path)

    assert [(kept.title, kept.changed, kept.choices) for kept in history.latest("old words")] == [("Old", 5, {})]
    history.write([("a", [row("2", 2)], {"mode": "small"})])
    assert len(history.items("a")) == 2
    assert history.notice == ""


@pytest.mark.parametrize("damage", ["garbage", "middle"])
def test_a_damaged_database_is_set_aside_with_a_notice(tmp_path: Path, damage: str) -> None:
    history = History(tmp_path)
    history.title("a", "A")
    history.write([("a", [row(str(number), number, "words " * 200) for number in range(50)], {})])
    history.close()
    path = tmp_path / FILE
    whole = path.read_bytes()
    path.write_bytes(b"garbage" if damage == "garbage" else whole[:8192] + bytes(8192) + whole[16384:])

    again = History(tmp_path)

    assert again.latest() == []
    assert "damaged" in again.notice
    [aside] = tmp_path.glob(f"damaged-*-{FILE}")
    assert str(aside) in again.notice
    again.title("b", "B")
    assert [kept.id for kept in History(tmp_path).latest()] == ["b"]


@pytest.mark.slow
def test_the_database_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    newer = sqlite3.connect(tmp_path / FILE)
    newer.execute("create table anything (x)")
    newer.execute("pragma user_version = 99")
    newer.close()

    history = History(tmp_path)
    history.title("a", "A")

    assert [kept.id for kept in history.latest()] == ["a"]  # as long as the app runs
    assert "Conversations are not kept now" in history.notice
    assert "newer version" in history.notice
    assert sqlite3.connect(tmp_path / FILE).execute("select count(*) from anything").fetchone() == (0,)


def test_where_nothing_can_be_written_nothing_is_kept_and_that_is_said(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file", encoding="utf-8")

    history = History(tmp_path / "state")
    history.title("a", "A")

    assert "Conversations are not kept now" in history.notice


def test_thumbs_are_lines_of_json(tmp_path: Path) -> None:
    history = History(tmp_path / "new")
    history.note({"id": "1", "value": 1, "comment": "gut\nso"})
    history.note({"id": "1", "value": None})

    lines = history.thumbs.read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["value"] for line in lines] == [1, None]


def file(folder: Path, name: str = "plan.txt", text: str = "The plan.") -> Item:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return Item(f"file-{name}", "file", 1, {"path": str(path), "name": name})


def test_a_dropped_file_is_copied_for_its_owner_alone_and_found_by_the_next_process(tmp_path: Path) -> None:
    dropped, history = file(tmp_path), History(tmp_path / "state")
    history.title("../../a", "A")
    history.write([("../../a", [dropped], {})])
    Path((dropped.data or {})["path"]).unlink()  # it ends with its tab
    history.write([("../../a", [dropped], {})])

    [found] = History(tmp_path / "state").items("../../a")

    copy = Path((found.data or {})["path"])
    assert copy.read_text(encoding="utf-8") == "The plan."
    assert copy.is_relative_to(history.dropped)
    assert history.files() == [9]
    if sys.platform != "win32":
        assert stat.S_IMODE(copy.stat().st_mode) == 0o600


def test_files_go_with_their_conversation_and_with_all(tmp_path: Path) -> None:
    history = History(tmp_path / "state")
    for name in "ab":
        history.title(name, name)
        history.write([(name, [file(tmp_path, f"{name}.txt")], {})])

    history.delete("a")
    assert len(history.files()) == 1
    assert history.write([("a", [file(tmp_path, "a.txt")], {})]) == ["a"]
    assert len(history.files()) == 1
    history.wipe()
    assert not history.dropped.exists()


def test_a_file_that_is_gone_is_no_item(tmp_path: Path) -> None:
    history = History(tmp_path / "state")
    history.title("a", "A")
    history.write([("a", [Item("file-x", "file", 1, {"path": str(tmp_path / "gone.txt"), "name": "gone.txt"})], {})])

    assert history.items("a") == []
