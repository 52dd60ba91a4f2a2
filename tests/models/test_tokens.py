"""Tokens are counted exactly only with a vocabulary that is certainly whole, and otherwise estimated from above."""

import asyncio
import hashlib
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import DownloadFailed
from app.models import tokens
from app.models.tokens import TokenCounter
from tests.support.store import VOCABULARIES, VOCABULARY, Store

NAME = hashlib.sha1(tokens.SOURCE.encode()).hexdigest()


@pytest.fixture
def _no_connection_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        pytest.fail("a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)


alone = pytest.mark.usefixtures("_no_connection_at_all")


@alone
def test_without_a_vocabulary_three_bytes_are_a_token(tmp_path: Path) -> None:
    counter = TokenCounter(tmp_path)
    assert [counter.count(text) for text in ("", "a", "abc", "abcd", "blåbær")] == [0, 1, 1, 2, 3]


@alone
def test_a_damaged_vocabulary_is_neither_used_nor_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    monkeypatch.delitem(sys.modules, "tiktoken", raising=False)
    (tmp_path / NAME).write_bytes(b"half of it")
    assert TokenCounter(tmp_path).count("abc") == 1
    assert (tmp_path / NAME).read_bytes() == b"half of it"
    assert "tiktoken" not in sys.modules


@alone
@pytest.mark.parametrize("place", ["TIKTOKEN_CACHE_DIR", "DATA_GYM_CACHE_DIR", "tiktoken", "data-gym-cache"])
def test_the_vocabulary_is_looked_for_in_our_folder_and_where_tiktoken_keeps_it(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / place
    folder.mkdir()
    if place.isupper():
        monkeypatch.setenv(place, str(folder))
    else:
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (folder / NAME).write_bytes(b"whole")
    monkeypatch.setattr(tokens, "SHA256", hashlib.sha256(b"whole").hexdigest())
    assert tokens.vocabulary_path(tmp_path) == folder / NAME


@alone
def test_a_cache_that_is_switched_off_holds_no_vocabulary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", "")
    assert tokens.vocabulary_path(tmp_path) is None
    assert tokens.vocabulary_folders(tmp_path) == []


@pytest.mark.slow
@given(st.text())
def test_any_text_can_be_counted(text: str) -> None:
    assert TokenCounter(Path()).count(text) >= len(text) / 3


def test_half_of_a_surrogate_pair_can_be_counted(tmp_path: Path) -> None:
    assert TokenCounter(tmp_path).count("\ud83d") == 1


# --- with a vocabulary, a small one of the true format ---------------------------------------------------------------


@pytest.fixture
def _expected(monkeypatch: pytest.MonkeyPatch) -> None:
    """The small vocabulary is the one that is expected, by us and by tiktoken, which has loaded no other one."""
    import tiktoken_ext.openai_public
    from tiktoken import registry
    from tiktoken.load import load_tiktoken_bpe

    digest = hashlib.sha256(VOCABULARY).hexdigest()
    monkeypatch.setattr(tokens, "SHA256", digest)
    monkeypatch.setattr(
        tiktoken_ext.openai_public, "load_tiktoken_bpe", lambda source, expected_hash: load_tiktoken_bpe(source, digest)
    )
    monkeypatch.setattr(registry, "ENCODINGS", {})
    monkeypatch.setenv(tokens.CACHE_VARIABLE, "as it was")  # so that it is unset after the test too
    monkeypatch.delenv(tokens.CACHE_VARIABLE)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    shop = Store(vocabulary=VOCABULARY)
    for name, value in shop.environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    yield shop
    shop.close()


@pytest.mark.slow
@pytest.mark.usefixtures("_expected")
def test_a_vocabulary_is_fetched_through_the_proxy_and_counts_exactly(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tokens.vocabulary_folders(tmp_path)[0]
    assert folder == tmp_path / "tiktoken"
    assert tokens.fetch_vocabulary(folder) == folder / NAME
    assert [path.name for path in folder.iterdir()] == [NAME]
    assert (folder / NAME).read_bytes() == VOCABULARY
    assert [line.strip() for line in store.asked] == [
        f"CONNECT {VOCABULARIES}:443",
        f"GET {VOCABULARIES}/encodings/o200k_base.tiktoken",
    ]
    assert tokens.fetch_vocabulary(folder) == folder / NAME, "it is there"
    assert len(store.asked) == 2

    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("a connection"))
    counter = TokenCounter(tmp_path)
    assert counter.count("the ferry") == 6  # "the", " f", "e", "r", "r", "y"
    assert counter.count("<|endoftext|>") > 1


@pytest.mark.usefixtures("_expected")
async def test_an_event_loop_does_not_wait_for_the_vocabulary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tiktoken").mkdir()
    (tmp_path / "tiktoken" / NAME).write_bytes(VOCABULARY)
    reading, path_of = threading.Event(), tokens.vocabulary_path
    monkeypatch.setattr(tokens, "vocabulary_path", lambda folder: path_of(folder) if reading.wait(10) else None)
    counter = TokenCounter(tmp_path)
    assert counter.count("the ferry") == 3, "an estimate"
    reading.set()
    assert await asyncio.to_thread(counter.count, "the ferry") == 6
    assert counter.count("the ferry") == 6


@pytest.mark.slow
@pytest.mark.parametrize("trouble", ["unplugged", "refused", "missing", "another one"])
def test_a_vocabulary_that_cannot_be_fetched_leaves_nothing(trouble: str, store: Store, tmp_path: Path) -> None:
    store.unplugged = trouble == "unplugged"
    store.refuses = 403 if trouble == "refused" else None
    store.vocabulary = None if trouble == "missing" else VOCABULARY
    with pytest.raises(DownloadFailed, match=r"could not be fetched \(.+\)\. Tokens are estimated without it"):
        tokens.fetch_vocabulary(tmp_path / "tiktoken")
    assert not (tmp_path / "tiktoken").exists()
