"""The command line: what it prints where, its exit codes, and the keys that programs read."""

import json
import os
import re
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from app import settings
from app.history import PREFERENCE, History, Item
from app.room import folder_of
from app.settings import ROOT
from tests.support.chat import START_SECONDS, environment, free_port, served
from tests.support.corpora import FERRY, prose
from tests.support.scripted import Script
from tests.support.servers import Fault, FaultProxy
from tests.support.terminal import escalator

LONG = prose(6)

METRICS = {
    "retrieve_ms", "prompt_ms", "sent_ms", "first_token_ms", "gap_ms", "total_ms",
    "prompt_tokens", "completion_tokens", "tokens_per_s",
}  # fmt: skip


def process(cwd: Path, *arguments: object, **variables: str) -> "subprocess.CompletedProcess[bytes]":
    """The same in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", "from app.cli.commands import main; main()", *map(str, arguments)],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=60,
    )


def test_an_answer_comes_with_its_sources_and_the_rest_goes_to_stderr(
    models: Path, runtime: str, use: Callable[[Path], None], corpus: Path
) -> None:
    use(models)

    result = escalator("ask", "When does the ferry leave?", "--corpus", corpus)

    assert result.exit_code == 0
    assert result.stdout == "The ferry leaves at 9:30 [1].\n[1] ferry.md, The ferry\n"
    assert re.search(r"^phi-4-mini · first token [\d.]+ s · .*all [\d.]+ s$", result.stderr, re.M)


def test_what_there_is_to_note_about_an_answer_goes_to_stderr_once(
    model_cache: Callable[..., Path], use: Callable[[Path], None], corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = "ask", "When does the ferry leave?", "--corpus", corpus
    use(model_cache(Script(alias="phi-4-mini", say="I do not know.")))
    failed = escalator(*arguments)
    use(model_cache(Script(alias="gpt-oss-20b", say=LONG)))
    monkeypatch.setenv("ESCALATOR_LARGE_MAX_TOKENS", "16")
    cut = escalator(*arguments)

    assert cut.stderr.count("The answer of gpt-oss-20b breaks off") == 1
    assert failed.stderr.count("escalator models get gpt-oss-20b") == 1


def test_a_question_needs_no_quotation_marks(corpus: Path) -> None:
    marked = escalator("search", "When does the ferry leave", "--corpus", corpus)
    plain = escalator("search", "When", "does", "the", "ferry", "leave", "--corpus", corpus)
    asked = escalator("ask", "When", "does", "the", "ferry", "leave", "--corpus", corpus)

    assert plain.stdout == marked.stdout
    assert plain.stdout.startswith(" 1. ferry.md")
    assert "The ferry leaves at 9:30" in asked.stdout
    assert escalator("ask").exit_code == escalator("search").exit_code == 2


@pytest.mark.slow
def test_while_a_slow_model_reads_the_best_sentence_goes_to_stderr(
    models: Path, runtime: str, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with served(FaultProxy(runtime, Fault(delay=1.5))) as slow:
        monkeypatch.setenv("FOUNDRY_LOCAL_ENDPOINT", slow.url)
        result = escalator("ask", "When does the ferry leave?", "--corpus", corpus)
        as_json = escalator("ask", "When does the ferry leave?", "--corpus", corpus, "--json")

    sentence = "Until the answer comes, from ferry.md:\n> The ferry leaves at 9:30 from the old harbour.\n"
    assert sentence in result.stderr
    assert result.stdout == "The ferry leaves at 9:30 [1].\n[1] ferry.md, The ferry\n"
    assert sentence not in as_json.stderr
    assert json.loads(as_json.stdout)["answer"] == "The ferry leaves at 9:30 [1]."


def test_a_question_is_asked_of_the_folders_named(corpus: Path) -> None:
    for folder in ("north", "south"):
        (corpus / folder).mkdir()
        text = f"# Tickets\n\nTickets of the {folder}ern line cost 5 euros.\n"
        (corpus / folder / "tickets.md").write_text(text, encoding="utf-8")
    arguments = "ask", "What do tickets cost?", "--corpus", corpus

    result = escalator(*arguments, "--in", "south")
    both = json.loads(escalator(*arguments, "--in", "north/", "--in", "south/tickets.md", "--json").stdout)
    unknown = escalator(*arguments, "--in", "east/")

    assert "Searched in south/ only." in result.stderr
    assert "southern line" in result.stdout
    assert "northern line" not in result.stdout
    assert both["scope"] == ["north/", "south/tickets.md"]
    assert {item["file"] for item in both["evidence"]} == {"north/tickets.md", "south/tickets.md"}
    assert unknown.exit_code == 2
    assert "There are: north/ (1), south/ (1)." in unknown.stderr


@pytest.mark.slow
def test_sentences_whose_marks_were_not_streamed_are_listed_below_their_source_and_those_without_one_last(
    model_cache: Callable[..., Path], use: Callable[[Path], None], corpus: Path
) -> None:
    said = "The ferry leaves at 9:30. The ferry leaves at 10:45 from the old harbour. Whales sing every night → ever."
    use(model_cache(Script(alias="phi-4-mini", say=said), Script(alias="gpt-oss-20b", say=said)))

    arguments = "ask", "When does the ferry leave?", "--corpus", corpus, "--mode", "small"
    result = escalator(*arguments)
    piped = process(corpus, *arguments, PYTHONIOENCODING="cp1252", PYTHONUTF8="0")

    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        said,
        "[1] ferry.md, The ferry",
        "    The ferry leaves at 9:30.",
        "    The ferry leaves at 10:45 from the old harbour. (not in [1]: 10:45)",
        "Not found in the sources:",
        "    Whales sing every night → ever.",
    ]
    assert piped.stdout.decode("cp1252").splitlines()[-1] == "    Whales sing every night ? ever."


def test_a_rejected_draft_that_no_large_model_replaces_is_followed_by_the_best_sentence(
    model_cache: Callable[..., Path], use: Callable[[Path], None], corpus: Path
) -> None:
    use(model_cache(Script(alias="phi-4-mini", say="The ferry leaves at 10:45.")))

    result = escalator("ask", "When does the ferry leave?", "--corpus", corpus)

    assert [line for line in result.stdout.splitlines() if line] == [
        "The ferry leaves at 10:45.",
        "From your documents:",
        "> The ferry leaves at 9:30 from the old harbour. [1]",
        "[1] ferry.md, The ferry",
        "    The ferry leaves at 10:45. (not in [1]: 10:45)",
    ]


@pytest.mark.slow
def test_an_escalated_answer_stands_below_the_draft_with_the_reason_on_stderr(
    model_cache: Callable[..., Path], use: Callable[[Path], None], corpus: Path
) -> None:
    use(model_cache(Script(alias="phi-4-mini", say="I do not know."), Script(alias="gpt-oss-20b", say="At sea [1].")))

    result = escalator("ask", "Where is the harbour?", "--corpus", corpus)

    draft, answer, *sources = result.stdout.splitlines()
    assert draft == "I do not know."
    assert answer == "At sea [1]."
    assert sources == ["[1] ferry.md, The ferry"]
    assert "Asking gpt-oss-20b: The draft does not answer, although passages were found." in result.stderr


@pytest.mark.slow
def test_an_answer_as_json_has_the_documented_keys(
    model_cache: Callable[..., Path], use: Callable[[Path], None], corpus: Path
) -> None:
    small = Script(alias="phi-4-mini", say="The ferry leaves at 9:30 [1].")
    use(model_cache(small, Script(alias="gpt-oss-20b", say=LONG)))

    kept, escalated = (
        json.loads(escalator("ask", question, "--corpus", corpus, "--json").stdout)
        for question in ("When does the ferry leave?", "Explain when the ferry leaves.")
    )

    for answer in (kept, escalated):
        assert set(answer) == {
            "answer", "rendered", "mode", "model", "escalated", "reason", "attempts", "citations", "evidence",
            "unknown_words", "notices", "metrics", "ledger", "scope",
        }  # fmt: skip
        assert set(answer["metrics"]) == METRICS
        for attempt in answer["attempts"]:
            assert set(attempt) == {"role", "model", "host", "text", "finish", "metrics", "cost"}
            assert set(attempt["metrics"]) == METRICS
            assert attempt["host"].startswith("127.0.0.1:")
        for citation in answer["citations"]:
            assert set(citation) == {"sentence", "file", "place", "start", "end", "supported"}
        for item in answer["evidence"]:
            assert set(item) == {"n", "file", "place", "start", "end", "text"}
            assert FERRY[item["start"] : item["end"]] == item["text"]
            assert item["place"] == {"kind": "heading", "label": "The ferry", "number": 1, "heading": ""}
    assert kept["answer"] == kept["rendered"] == "The ferry leaves at 9:30 [1]."
    assert (kept["mode"], kept["model"], kept["escalated"], kept["reason"]) == ("auto", "phi-4-mini", False, None)
    [citation] = kept["citations"]
    assert citation["supported"]
    assert FERRY[citation["start"] : citation["end"]] == "The ferry leaves at 9:30 from the old harbour."
    assert [attempt["role"] for attempt in escalated["attempts"]] == ["small", "large"]
    assert (escalated["model"], escalated["escalated"]) == ("gpt-oss-20b", True)
    assert escalated["reason"]["code"] == "short"
    assert "characters" in escalated["reason"]["why"]


def test_the_version_is_printed() -> None:
    assert re.fullmatch(r"escalator \d+\.\d+\.\d+\n", escalator("--version").stdout)


@pytest.mark.slow
def test_the_chat_starts_from_any_folder_and_leaves_nothing_there(tmp_path: Path, corpus: Path) -> None:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    port = free_port()
    arguments = ["chat", "--headless", "--port", str(port), "--corpus", str(corpus)]
    page = subprocess.Popen(
        [sys.executable, "-c", "from app.cli.commands import main; main()", *arguments],
        cwd=folder,
        env={**environment(tmp_path, corpus), "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        answers(f"http://127.0.0.1:{port}/health")
    finally:
        page.terminate()
        page.wait(15)
    assert list(folder.iterdir()) == []


def answers(url: str) -> None:
    """Wait until something answers at an address."""
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        with suppress(OSError), urllib.request.urlopen(url, timeout=5):
            return
        time.sleep(0.1)
    raise AssertionError(f"nothing answers at {url}")


def test_a_setting_that_is_wrong_ends_the_chat_before_it_starts(corpus: Path, tmp_path: Path) -> None:
    result = process(tmp_path, "chat", "--headless", "--corpus", corpus, ESCALATOR_SHORT_CHARS="many")

    assert result.returncode == 2
    assert b"ESCALATOR_SHORT_CHARS" in result.stderr


def test_hits_as_json_have_the_documented_keys(corpus: Path) -> None:
    found = json.loads(escalator("search", "the ferry to Avalon", "--corpus", corpus, "--json").stdout)

    assert set(found) == {
        "query", "engine", "took_ms", "unknown_words", "taken_for", "earlier_words", "foreign", "translation", "hits"
    }  # fmt: skip
    assert (found["query"], found["unknown_words"]) == ("the ferry to Avalon", ["Avalon"])
    [hit] = found["hits"]
    assert set(hit) == {"rank", "score", "file", "place", "start", "end", "text", "terms", "alike", "context"}
    assert (hit["rank"], hit["file"]) == (1, "ferry.md")
    assert hit["place"] == {"kind": "heading", "label": "The ferry", "number": 1, "heading": ""}
    assert FERRY[hit["start"] : hit["end"]] == hit["text"]
    assert sum(hit["terms"].values()) == pytest.approx(1, abs=0.01)


def test_search_ranks_by_rank_bm25_alone_if_asked(corpus: Path) -> None:
    found = json.loads(escalator("search", "the ferry to Avalon", "--plain", "--corpus", corpus, "--json").stdout)
    assert found["engine"] == "rank_bm25"
    assert found["hits"][0]["file"] == "ferry.md"
    assert all(hit["alike"] == {} and hit["context"] == 0 for hit in found["hits"])


def test_hits_for_a_person_say_why_they_were_found(corpus: Path) -> None:
    for number in range(5):
        (corpus / f"{number}.md").write_text(f"Another ferry, number {number}.\n", encoding="utf-8")

    result = escalator("search", "ferry to Avalon", "--corpus", corpus, "-k", 2)

    assert len(re.findall(r"^ ?\d+\. \S+\.md, .*\(\d+\.\d\d\)$", result.stdout, re.M)) == 2
    assert "ferry 100%" in result.stdout
    assert result.stderr == "In no document: Avalon\n"


def test_without_a_model_the_quotes_are_the_answer_and_the_remedy_goes_to_stderr(corpus: Path) -> None:
    result = escalator("ask", "When does the ferry leave?", "--corpus", corpus)

    assert result.exit_code == 0
    assert result.stdout.startswith("> The ferry leaves at 9:30 from the old harbour. [1]")
    assert "escalator models get tiny" in result.stderr
    assert "No model" not in result.stdout


def test_the_index_is_made_with_a_word_on_each_file_that_was_left_out(corpus: Path) -> None:
    (corpus / "empty.md").write_text("", encoding="utf-8")

    result = escalator("index", "--corpus", corpus)
    found = json.loads(escalator("index", "--corpus", corpus, "--json").stdout)

    assert result.exit_code == 0
    assert result.stdout == "1 documents, 1 passages, 1 problems\nempty.md: it is empty\n"
    assert "Reading" in result.stderr
    assert found == {"documents": 1, "passages": 1, "problems": [{"file": "empty.md", "reason": "it is empty"}]}


def test_an_index_is_made_anew_when_that_is_wanted(corpus: Path) -> None:
    state = settings.load().state_dir
    marks = []
    for options in ([], [], ["--rebuild"]):
        assert escalator("index", "--corpus", corpus, *options).exit_code == 0
        (database,) = state.glob("index/*/*.db")
        with closing(sqlite3.connect(database)) as db:
            marks += db.execute("select mark from state").fetchall()
    assert marks[0] == marks[1] != marks[2]
    assert "ferry.md" in escalator("search", "ferry", "--corpus", corpus).stdout


@pytest.mark.parametrize("as_json", [[], ["--json"]])
@pytest.mark.parametrize("command", ["ask", "search", "index"])
def test_a_missing_corpus_is_named_with_exit_code_1(tmp_path: Path, command: str, as_json: list[str]) -> None:
    words = [] if command == "index" else ["ferry"]
    result = escalator(command, *words, "--corpus", tmp_path / "nowhere", *as_json)

    assert result.exit_code == 1
    assert str(tmp_path / "nowhere") in result.stderr
    if (command, as_json) == ("ask", ["--json"]):  # a program learns it, too
        assert str(tmp_path / "nowhere") in json.loads(result.stdout)["notices"][0]
    else:
        assert result.stdout.strip() == ""


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["ask", "When?", "--mode", "huge"], "The mode is 'huge'; it must be one of auto, small, large"),
        (["ask", "  "], "The question is empty."),
        (["ask", "x" * 9000], "9,000 characters"),
        (["ask"], "Missing argument"),
        (["search", "ferry", "-k", "0"], "-k"),
        (["search", "ferry", "-k", "many"], "-k"),
        (["fly"], "fly"),
    ],
    ids=lambda given: " ".join(given)[:20] if isinstance(given, list) else "",
)
def test_a_wrong_command_line_ends_with_exit_code_2(corpus: Path, arguments: list[str], says: str) -> None:
    where = ["--corpus", str(corpus)] if len(arguments) > 1 else []

    result = escalator(*arguments, *where)

    assert result.exit_code == 2
    assert says in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize("command", [["ask", "When?"], ["search", "ferry"], ["doctor"]], ids=" ".join)
def test_a_setting_that_is_not_allowed_is_named_with_exit_code_2(
    monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.setenv("RETRY_ON_FAIL", "99")

    result = escalator(*command)

    assert result.exit_code == 2
    assert result.stderr.startswith("The setting RETRY_ON_FAIL is '99'; it must be a whole number from 0 to 5")


LETTERS = "# Prøve ✓\n\nThe ferry 漢字 carries a ✓ and an ø and 😀.\n"


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [["ask"], ["ask", "--json"], ["search"], ["search", "--json"]], ids=" ".join)
def test_letters_that_the_terminal_lacks_are_no_reason_to_fail(tmp_path: Path, arguments: list[str]) -> None:
    folder = tmp_path / "prøve-漢"
    folder.mkdir()
    (folder / "ferry-✓.md").write_text(LETTERS, encoding="utf-8")

    done = process(tmp_path, *arguments, "ferry 漢字 ✓", "--corpus", folder, PYTHONIOENCODING="cp1252", PYTHONUTF8="0")

    assert done.returncode == 0
    assert b"Traceback" not in done.stderr
    if "--json" in arguments:
        said = json.loads(done.stdout)
        [item] = said["hits"] if "hits" in said else said["evidence"]
        assert (item["file"], item["text"]) == ("ferry-✓.md", LETTERS.strip())
    else:
        assert "ø" in done.stdout.decode("cp1252")


@pytest.mark.slow
def test_json_is_all_that_goes_to_stdout(tmp_path: Path, corpus: Path) -> None:
    done = process(tmp_path, "ask", "When does the ferry leave?", "--corpus", corpus, "--json", "--verbose")

    assert json.loads(done.stdout)["attempts"][0]["role"] == "extractive"
    assert b"There is no model on this machine" in done.stderr
    assert b"Traceback" not in done.stderr


def test_an_error_in_a_process_of_its_own_is_a_sentence(tmp_path: Path) -> None:
    done = process(tmp_path, "search", "ferry", "--corpus", "nowhere")

    assert done.returncode == 1
    assert done.stdout == b""
    assert re.fullmatch(r"The corpus folder \S+nowhere does not exist\. [^\n]+\r?\n", done.stderr.decode())


def checks(report: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {check["name"]: check for check in report["checks"]}


def test_the_doctor_names_what_is_missing_and_what_to_do(corpus: Path) -> None:
    (corpus / "blank.txt").touch()

    report = json.loads(escalator("doctor", "--corpus", corpus, "--json").stdout)

    assert set(report) == {"ok", "checks", "settings"}
    assert not report["ok"]
    found = checks(report)
    assert all(set(check) == {"name", "ok", "found", "remedy"} for check in found.values())
    assert found["Python"]["ok"]
    assert found["chainlit"]["ok"]
    assert found["corpus"]["ok"]
    assert "1 documents" in found["corpus"]["found"] or "1 document," in found["corpus"]["found"]
    assert (found["blank.txt"]["ok"], found["blank.txt"]["remedy"]) == (False, "it is empty")
    assert not found["model server"]["ok"]
    assert "escalator models get tiny" in found["model server"]["remedy"]
    assert {given["name"]: given["source"] for given in report["settings"]}["ESCALATOR_STATE_DIR"] == "environment"
    assert os.environ["ESCALATOR_STATE_DIR"] in found["state"]["found"]


def test_the_doctor_tells_a_person_the_same(corpus: Path, tmp_path: Path) -> None:
    result = escalator("doctor", "--corpus", tmp_path / "nowhere")

    assert result.exit_code == 0
    assert f"FAIL  corpus: {tmp_path / 'nowhere'}" in result.stdout
    assert "FAIL  model server: none" in result.stdout
    assert "ok    chainlit: " in result.stdout
    assert "ESCALATOR_STATE_DIR=" in result.stdout


@pytest.mark.slow
def test_the_doctor_is_content_where_all_is_well(
    model_cache: Callable[..., Path], use: Callable[[Path], None], corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(model_cache(Script(alias="phi-4-mini", say="Yes."), Script(alias="gpt-oss-20b", say="Yes.")))
    monkeypatch.setenv("API_KEY", "a-secret")

    result = escalator("doctor", "--corpus", corpus, "--json")

    report = json.loads(result.stdout)
    found = checks(report)
    assert report["ok"], [check for check in report["checks"] if check["ok"] is False]
    assert found["model server"]["found"].endswith("found as: embedded")
    assert found["small model"]["found"].startswith("phi-4-mini is phi-4-mini-instruct-generic-cpu:1; ready after ")
    assert found["large model"]["ok"]
    assert "a-secret" not in result.output


def test_conversations_are_counted_and_wiped_with_the_thumbs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ESCALATOR_STATE_DIR", str(tmp_path))
    history = History(tmp_path)  # as of a chat that runs
    history.title("a", "When does the ferry leave?")
    history.write([("a", [Item("1", "row", 1, {"output": "At 9:30."})], {})])
    history.note({"id": "1", "value": 1, "comment": None})

    shown = escalator("history")
    wiped = json.loads(escalator("history", "--wipe", "--json").stdout)

    assert shown.stdout == f"{history.path}: 1 conversation\n{history.thumbs}: 1 thumb\n"
    assert (wiped["deleted"], wiped["conversations"], wiped["opinions"]) == (1, 0, 0)
    assert history.latest() == []
    assert not [path for path in tmp_path.iterdir() if path.is_file() and b"9:30" in path.read_bytes()]


def test_conversations_of_everyone_in_a_room_are_wiped_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ESCALATOR_STATE_DIR", str(tmp_path))
    folders = tmp_path, folder_of(tmp_path, "Anna"), folder_of(tmp_path, "Ben")
    dropped = folder_of(tmp_path, "Ben") / "ferry.md"
    for folder in folders:
        History(folder).title("a", "When does the ferry leave?")
        History(folder).note({"id": "1", "value": 1, "comment": "At 9:30."})
    dropped.write_text("At 9:30.", encoding="utf-8")
    History(folders[2]).write([("a", [Item("1", "file", 1, {"path": str(dropped), "name": "ferry.md"})], {})])
    dropped.unlink()

    shown = escalator("history")
    wiped = json.loads(escalator("history", "--wipe", "--json").stdout)

    assert shown.stdout.endswith("\nPeople of a room: 2, with 2 conversations\n")
    assert [wiped[name] for name in ("deleted", "conversations", "conversations_of_people", "people")] == [3, 0, 0, 2]
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and b"9:30" in path.read_bytes()]


def test_a_conversation_that_is_not_there_or_in_no_known_format_is_not_exported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ESCALATOR_STATE_DIR", str(tmp_path))
    assert escalator("history", "--export", "latest").exit_code == 2
    history = History(tmp_path)
    history.title("a", "When does the ferry leave?")
    rows = {"1": ("user_message", "When does the ferry leave?"), "2": ("assistant_message", "At 9:30.")}
    data = [{"id": name, "type": kind, "output": text} for name, (kind, text) in rows.items()]
    history.write([("a", [Item(each["id"], "row", at, each) for at, each in enumerate(data)], {})])

    missing, odd = escalator("history", "--export", "b"), escalator("history", "--export", "a", "--format", "pdf")

    assert "There is no conversation 'b' in " in missing.stderr
    assert "The format is 'pdf'; it must be one of md, html." in odd.stderr
    assert (missing.exit_code, odd.exit_code) == (2, 2)
    assert escalator("history", "--export", "a").stdout == "# When does the ferry leave?\n\nAt 9:30.\n"


def test_thumbs_are_counted_by_who_answered_and_the_last_one_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ESCALATOR_STATE_DIR", str(tmp_path))
    assert escalator("eval", "feedback").stdout == "No thumbs yet.\n"
    history, small, large = History(tmp_path), {"model": "phi-4-mini"}, {"model": "gpt-oss-20b", "escalated": True}
    for thumb in (
        {"id": "1", "value": 1, "comment": None, **small},
        {"id": "2", "value": 1, "comment": None, **small},
        {"id": "2", "value": 0, "comment": "zu kurz", "question": "Why?", **small},
        {"id": "3", "value": 1, "comment": None, "decision": "short", **large},
        {"id": "4", "value": 1, "comment": None, **small},
        {"id": "4", "value": None, "comment": None},
    ):
        history.note(thumb)
    with history.thumbs.open("a", encoding="utf-8") as file:
        file.write('{"id": "5", "val')  # the disk was full

    counted, told = json.loads(escalator("eval", "feedback", "--json").stdout), escalator("eval", "feedback").stdout

    assert counted["groups"] == [
        {"answers": "gpt-oss-20b, escalated: short", "down": 0, "up": 1},
        {"answers": "phi-4-mini, not escalated", "down": 1, "up": 1},
    ]
    assert len(counted["opinions"]) == 3
    assert "down: Why?\n    zu kurz\n" in told


def test_preferred_answers_are_counted_by_the_models_that_were_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ESCALATOR_STATE_DIR", str(tmp_path))
    history, both = History(tmp_path), {"kind": PREFERENCE, "value": None, "models": ["phi-4-mini", "gpt-oss-20b"]}
    history.note({"id": "1", "value": 1, "comment": None, "model": "phi-4-mini", "preferred": "phi-4-mini"})
    for name, preferred in (("1", "gpt-oss-20b"), ("1", "phi-4-mini"), ("2", "phi-4-mini"), ("3", "")):
        history.note({"id": name, "preferred": preferred, **both})

    counted, told = json.loads(escalator("eval", "feedback", "--json").stdout), escalator("eval", "feedback").stdout

    models = "phi-4-mini and gpt-oss-20b"
    assert counted["preferred"] == [
        {"models": models, "preferred": None, "times": 1},
        {"models": models, "preferred": "phi-4-mini", "times": 2},
    ]
    assert f"{models}: phi-4-mini preferred 2 times\n" in told
    assert f"{models}: no difference 1 time\n" in told
    assert len(counted["opinions"]) == 1


def test_a_taken_port_of_serve_is_said_in_a_sentence(corpus: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = escalator("serve", "--port", port, "--corpus", corpus)

    assert result.exit_code == 2
    assert f"Port {port} of 127.0.0.1 cannot be used: Address already in use. Name" in result.stderr
    assert "--port" in result.stderr
