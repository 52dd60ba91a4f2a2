"""Tokens are counted exactly only with a vocabulary that is certainly whole, and otherwise from above."""

import hashlib
import socket
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.models import tokens
from app.models.tokens import TokenCounter

NAME = hashlib.sha1(tokens.SOURCE.encode()).hexdigest()


@pytest.fixture(autouse=True)
def _no_connection_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        pytest.fail("a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def test_without_a_vocabulary_three_bytes_are_a_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    counter = TokenCounter()
    assert [counter.count(text) for text in ("", "a", "abc", "abcd", "blåbær")] == [0, 1, 1, 2, 3]


def test_a_damaged_vocabulary_is_neither_used_nor_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    monkeypatch.delitem(sys.modules, "tiktoken", raising=False)
    (tmp_path / NAME).write_bytes(b"half of it")
    assert TokenCounter().count("abc") == 1
    assert (tmp_path / NAME).read_bytes() == b"half of it"
    assert "tiktoken" not in sys.modules


@pytest.mark.parametrize("name", ["TIKTOKEN_CACHE_DIR", "DATA_GYM_CACHE_DIR", None])
def test_the_vocabulary_is_looked_for_where_tiktoken_keeps_it(
    name: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path if name else tmp_path / "data-gym-cache"
    folder.mkdir(exist_ok=True)
    if name:
        monkeypatch.setenv(name, str(folder))
    else:
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (folder / NAME).write_bytes(b"whole")
    monkeypatch.setattr(tokens, "SHA256", hashlib.sha256(b"whole").hexdigest())
    assert tokens.vocabulary() == folder / NAME


def test_a_cache_that_is_switched_off_holds_no_vocabulary(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", "")
    assert tokens.vocabulary() is None


@given(st.text())
def test_any_text_can_be_counted(text: str) -> None:
    assert TokenCounter().count(text) >= len(text) / 3


def test_half_of_a_surrogate_pair_can_be_counted() -> None:
    assert TokenCounter().count("\ud83d") == 1
