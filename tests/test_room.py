"""Who comes into a room, and under which name."""

import stat
import sys
from pathlib import Path

import pytest
from starlette.exceptions import HTTPException

from app import room as rooms
from app.room import MAX_NAME, MAX_WRONG, Member, Room, cookie, folder_of


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room(tmp_path, ["trainer.local"], organised=True)


def status(room: Room, name: str, code: str, cookies: dict[str, str] | None = None, address: str = "a") -> int:
    """The status of what is refused; 200 for what is not."""
    try:
        room.admit(name, code, cookies or {}, address)
    except HTTPException as error:
        return error.status_code
    return 200


def secret(member: Member) -> dict[str, str]:
    return {cookie(member.name): member.secret}


def test_the_first_browser_with_a_name_has_it_and_nobody_else_without_its_secret(room: Room) -> None:
    anna = room.admit("Anna", room.code, {}, "a")

    assert room.admit("Anna", room.code, secret(anna), "b") == Member("Anna", anna.proof)
    for name in ("Anna", "anna", " ANNA ", "Ａｎｎａ"):
        assert status(room, name, room.code) == 409
        assert status(room, name, room.organiser_code) == 409
        assert status(room, name, room.code, {cookie("Anna"): anna.proof}) == 409
    assert room.knows("Anna", anna.proof)
    assert not room.knows("Anna", "")
    assert not room.knows("Ben", "")


def test_a_secret_that_was_put_into_a_browser_before_is_not_the_one_of_its_name(room: Room) -> None:
    planted = {cookie("Anna"): "planted"}
    anna = room.admit("Anna", room.code, planted, "a")

    assert anna.secret != "planted"
    assert status(room, "Anna", room.code, planted) == 409


@pytest.mark.parametrize(
    ("name", "answer"),
    [("you", 409), ("YOU", 409), ("", 400), ("  ", 400), ("a\u202eb", 400), ("a\nb", 200), ("x" * (MAX_NAME + 1), 400)],
)
def test_a_name_can_be_shown_and_is_not_the_one_of_whoever_sits_at_the_machine(
    room: Room, name: str, answer: int
) -> None:
    assert status(room, name, room.code) == answer


def test_a_code_is_known_however_it_is_typed_and_new_at_each_start(room: Room, tmp_path: Path) -> None:
    assert status(room, "Anna", room.code.upper().replace("-", " ")) == 200
    assert room.admit("Ben", room.organiser_code, {}, "a").organiser
    assert not room.admit("Carl", room.code, {}, "a").organiser
    assert status(Room(tmp_path, []), "Dora", room.code) == 401
    assert status(Room(tmp_path, []), "Dora", "") == 401


def test_a_password_takes_the_place_of_the_code_and_is_typed_as_it_is(tmp_path: Path) -> None:
    room = Room(tmp_path, [], "Open-Sesame")

    said = [status(room, "Anna", code) for code in ("open-sesame", "OpenSesame", "", "Open-Sesame")]
    assert said == [401, 401, 401, 200]


def test_after_too_many_wrong_codes_an_address_waits_and_others_do_not(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [status(room, "Anna", "wrong") for _ in range(MAX_WRONG)] == [401] * MAX_WRONG
    assert status(room, "Anna", room.code) == 429
    assert status(room, "Ben", room.code, address="b") == 200
    monkeypatch.setattr(rooms, "WRONG_SECONDS", 0.0)
    assert status(room, "Anna", room.code) == 200


def test_a_room_gives_so_many_names_away_and_no_more(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    room.admit("Anna", room.code, {}, "a")
    monkeypatch.setattr(rooms, "MAX_PEOPLE", 0)

    assert status(room, "Ben", room.code) == 503


def test_people_stay_logged_in_when_the_server_is_started_again_and_a_forgotten_name_is_free(tmp_path: Path) -> None:
    before, after = Room(tmp_path, []), Room(tmp_path, [])
    anna = before.admit("Anna", before.code, {}, "a")

    assert before.signing_key() == after.signing_key()
    assert after.knows("Anna", anna.proof)
    (folder_of(tmp_path, "Anna") / "account.json").unlink()
    assert not Room(tmp_path, []).knows("Anna", anna.proof)
    assert after.admit("Anna", after.code, {}, "b").proof != anna.proof
    assert not after.knows("Anna", anna.proof)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other rights")
def test_only_the_owner_of_the_state_folder_reads_what_proves_a_name(room: Room, tmp_path: Path) -> None:
    room.signing_key()
    room.admit("Anna", room.code, {}, "a")

    for path in (tmp_path / "people").rglob("*.json"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "people").stat().st_mode) == 0o700
