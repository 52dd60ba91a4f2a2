"""A corpus that several processes share, and what happens when the server is away, slow or restarted."""

import asyncio
import logging
import os
import secrets
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.answering.context import Retriever
from app.answering.turn import Turn
from app.cli.commands import cli
from app.documents.folder import Folder
from app.errors import CorpusError, IndexAway, SettingsError
from app.models.tokens import TokenCounter
from app.postgres import SharedCorpus, corpus_of
from app.retrieval.corpus import Corpus, Watcher
from app.retrieval.snapshot import Snapshot
from app.settings import load
from tests.support.corpora import FERRY
from tests.support.postgres import Postgres

PASSWORD = "secret-word"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / secrets.token_hex(4)
    folder.mkdir()
    (folder / "ferry.md").write_text(FERRY, encoding="utf-8")
    return folder


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    from app.postgres import connection

    monkeypatch.setattr(connection, "PAUSE_SECONDS", 0.3)
    monkeypatch.setattr(connection.Connection, "seconds", 1.0)


@pytest.fixture
def stopped(server: Postgres) -> Iterator[Callable[[], None]]:
    """Stops the server, which runs again after the test."""
    yield server.stop
    if server.process is None:
        server.start()


def corpus(server: Postgres, folder: Path, state: Path, address: str = "") -> SharedCorpus:
    return SharedCorpus(Folder(folder, 1_000_000), state, address or server.address)


def until(done: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not (found := done()) and time.monotonic() < end:
        time.sleep(0.05)
    return found


def test_a_document_that_one_process_gets_is_found_by_another(server: Postgres, folder: Path, tmp_path: Path) -> None:
    """The one that follows the folder keeps the right to write; when it ends, another one has it."""
    one, two = (corpus(server, folder, tmp_path / name) for name in "ab")
    watcher = Watcher(one)
    watcher.current()
    assert list(two.refresh().documents) == ["ferry.md"]

    (folder / "crane.md").write_text("The crane lifts forty tonnes.", encoding="utf-8")
    assert until(lambda: bool(two.search("crane").hits), 2.0)
    assert until(lambda: bool(one.search("crane").hits), 1.0)

    watcher.close()
    (folder / "gull.md").write_text("The gull sings.", encoding="utf-8")
    assert not two.search("gull").hits
    one.shared._release()
    assert two.search("gull").hits


def test_a_process_without_the_folder_only_reads(server: Postgres, folder: Path, tmp_path: Path) -> None:
    corpus(server, folder, tmp_path / "a").refresh()
    without = corpus(server, folder, tmp_path / "b")
    folder.rename(tmp_path / "elsewhere")
    assert without.search("ferry").hits
    with pytest.raises(CorpusError, match="does not exist"):
        corpus(server, tmp_path / "none", tmp_path / "c").refresh()


def test_a_server_that_is_away_is_named_and_asked_again(
    server: Postgres, folder: Path, tmp_path: Path, stopped: Callable[[], None], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    shared = corpus(server, folder, tmp_path / "state")
    assert shared.search("ferry").hits
    stopped()
    for _ in range(2):
        started = time.monotonic()
        with pytest.raises(IndexAway) as caught:
            shared.search("ferry")
        assert time.monotonic() - started < 2
    said = str(caught.value)
    assert said.startswith(f"The index in PostgreSQL at 127.0.0.1:{server.port}/postgres cannot be used (connection")
    assert "ESCALATOR_INDEX" in said
    assert PASSWORD not in said + caplog.text

    server.start()
    assert until(lambda: _finds(shared, "ferry"), 3.0)


def _finds(shared: Corpus, word: str) -> bool:
    try:
        return bool(shared.search(word).hits)
    except IndexAway:
        return False


@pytest.fixture
def retriever(server: Postgres, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Retriever]:
    """A retriever of the folder in PostgreSQL, with an index on this machine beside it."""
    monkeypatch.setenv("ESCALATOR_INDEX", server.address)
    settings = load(corpus=folder, state_dir=tmp_path / "state")
    Corpus(Folder.of(settings), settings.state_dir).refresh()
    retriever = Retriever(settings, TokenCounter(tmp_path), live=False)
    yield retriever
    retriever.close()


def test_the_local_index_takes_over_until_the_server_is_back(
    server: Postgres, folder: Path, retriever: Retriever, stopped: Callable[[], None]
) -> None:
    """What is new meanwhile is found."""
    before = retriever.retrieve(Turn("When does the ferry leave?"))
    assert (len(before.evidence), retriever.notice) == (1, "")

    stopped()
    (folder / "crane.md").write_text("The crane lifts forty tonnes.", encoding="utf-8")
    assert retriever.retrieve(Turn("When does the ferry leave?")).evidence == before.evidence
    assert retriever.notice.startswith("Answered from the index on this machine. The index in PostgreSQL at 127.0.0.1")
    assert retriever.retrieve(Turn("crane")).evidence

    server.start()
    assert until(lambda: bool(retriever.retrieve(Turn("crane")).evidence) and not retriever.notice, 3.0)


def test_a_server_that_stops_in_the_middle_of_a_question_costs_no_answer(
    retriever: Retriever, stopped: Callable[[], None]
) -> None:
    def ask() -> int:
        index = retriever.refresh().index
        stopped()
        return len(index.top_k(index.terms(index.words("ferry")), 1))

    assert asyncio.run(retriever.run(ask)) == 1
    assert retriever.notice


def test_a_question_whose_index_is_replaced_meanwhile_is_asked_again(
    server: Postgres, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ESCALATOR_INDEX", server.address)
    retriever = Retriever(load(corpus=folder, state_dir=tmp_path / "state"), TokenCounter(tmp_path), live=False)
    other = corpus(server, folder, tmp_path / "b")
    seen: list[Snapshot] = []

    def ask() -> str:
        seen.append(retriever.refresh())
        if len(seen) == 1:  # now everything that this snapshot has not loaded yet is replaced
            (folder / "ferry.md").write_text(FERRY.replace("9:30", "10:45"), encoding="utf-8")
            other.forget()
            other.refresh()
        index = seen[-1].index
        return index.passages(index.top_k(index.terms(index.words("ferry")), 1))[0].text

    assert "10:45" in asyncio.run(retriever.run(ask))
    assert len(seen) == 2
    retriever.close()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows stops no process")
def test_a_server_that_hangs_keeps_nobody_waiting(server: Postgres, folder: Path, tmp_path: Path) -> None:
    shared = corpus(server, folder, tmp_path / "state")
    shared.refresh()
    assert server.process is not None
    pids = [server.process.pid, *server.children()]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        started = time.monotonic()
        with pytest.raises(IndexAway):
            shared.refresh()
        assert time.monotonic() - started < 5
    finally:
        for pid in pids:
            with suppress(ProcessLookupError):  # the process of a connection that was closed
                os.kill(pid, signal.SIGCONT)
    assert until(lambda: _finds(shared, "ferry"), 5.0)


def test_of_several_addresses_those_that_answer_are_asked(server: Postgres, folder: Path, tmp_path: Path) -> None:
    dead = "postgresql://postgres:secret-word@127.0.0.1:9/postgres"
    first = server.address.replace("@", "@127.0.0.1:9,")
    for address in (f"{server.address},{dead}", f"{dead},{server.address}", first):
        shared = corpus(server, folder, tmp_path / "state", address)
        assert shared.search("ferry").hits
        assert PASSWORD not in shared.described()


def test_a_process_that_has_written_reads_from_a_replica_while_the_primary_is_away(
    server: Postgres, folder: Path, tmp_path: Path
) -> None:
    from app.postgres.connection import Server

    shared = corpus(server, folder, tmp_path / "state")
    shared.refresh()
    store = shared.shared
    store._primary = Server("postgresql://127.0.0.1:9/none", store._nearest.schema, writes=True)
    (folder / "crane.md").write_text("The crane lifts forty tonnes.", encoding="utf-8")
    assert shared.search("ferry").hits
    assert not shared.search("crane").hits


@pytest.mark.slow
def test_the_doctor_says_how_the_index_is_without_the_password(
    server: Postgres, folder: Path, monkeypatch: pytest.MonkeyPatch, stopped: Callable[[], None]
) -> None:
    monkeypatch.setenv("ESCALATOR_INDEX", server.address)
    monkeypatch.setenv("FOUNDRY_LOCAL_ENDPOINT", "http://127.0.0.1:9")
    said = CliRunner().invoke(cli, ["doctor", "--corpus", str(folder)]).output
    assert "ok    index: PostgreSQL 1" in said
    assert f"at 127.0.0.1:{server.port}/postgres, plain SQL" in said
    stopped()
    report = CliRunner().invoke(cli, ["doctor", "--report", "--corpus", str(folder)]).output
    assert "FAIL  index: in PostgreSQL" in report
    assert PASSWORD not in said + report


def test_a_wrong_address_is_refused_without_the_password(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    for wrong in ("mysql://root:secret-word@host/db", "postgresql://u:secret-word@b@host/db", "secret-word"):
        monkeypatch.setenv("ESCALATOR_INDEX", wrong)
        with pytest.raises(SettingsError) as caught:
            load()
        assert "ESCALATOR_INDEX" in str(caught.value)
        assert "secret-word" not in str(caught.value)
    monkeypatch.setenv("ESCALATOR_INDEX", "postgresql://u:secret-word%zz@127.0.0.1:9/db")
    with pytest.raises(IndexAway) as away:
        corpus_of(load(corpus=folder)).refresh()
    assert "secret-word" not in str(away.value)


def test_without_its_package_the_setting_says_what_to_install(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "app.postgres.writing", None)
    with pytest.raises(IndexAway, match=r'pip install -e "\.\[postgres\]"'):
        SharedCorpus(Folder(folder, 1_000_000), tmp_path, "postgresql://host/db").refresh()
