"""What the README says about seven common wishes leads there: its words are on the screen, its commands do it.

That each is done in the page is played by tests/browser: a document of one's own in test_browser.py, both models
side by side there too, the list of conversations and the export in test_history.py.
"""

import json
import shutil
from pathlib import Path

import pytest

from app.history import History, Item
from app.settings import ROOT
from tests.docs.test_commands import said_by_the_program
from tests.docs.test_trainer import italics
from tests.support.terminal import escalator

SECRET = "The lighthouse keeper winds the clockwork at dusk."


def wishes() -> dict[str, str]:
    """The answers of the section "How do I …", by what is wished."""
    section = (ROOT / "README.md").read_text(encoding="utf-8").partition("\n## How do I …\n")[2].partition("\n## ")[0]
    rows = [line.strip("|").split(" | ") for line in section.splitlines() if line.startswith("| …")]
    return {wish.strip(): answer for wish, answer in rows}


def test_seven_wishes_are_answered_with_words_that_are_on_the_screen() -> None:
    pages = [*(ROOT / "public" / "elements").glob("*.jsx"), ROOT / "public" / "escalator.js"]
    said = "\n".join([said_by_the_program(), *(page.read_text(encoding="utf-8") for page in pages)])

    assert len(wishes()) == 7
    named = [words for answer in wishes().values() for words in italics(answer)]
    assert len(named) >= 8
    assert [words for words in named if words not in said and words not in ("[1]", "state")] == []


def test_what_is_said_to_remove_everything_removes_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus, state = tmp_path / "corpus", tmp_path / "kept"
    corpus.mkdir()
    (corpus / "lighthouse.md").write_text(f"# The lighthouse\n\n{SECRET}\n", encoding="utf-8")
    monkeypatch.setenv("ESCALATOR_STATE_DIR", str(state))
    assert SECRET in escalator("ask", "When does the keeper wind the clockwork?", "--corpus", corpus).stdout
    history = History(state)
    history.title("a", "When?")
    history.write([("a", [Item("1", "row", 1, {"output": SECRET})], {})])
    answer = next(answer for wish, answer in wishes().items() if "remove everything" in wish)
    assert "`escalator history --wipe`" in answer
    assert "`escalator doctor` shows as *state*" in answer

    assert escalator("history", "--wipe").exit_code == 0
    checks = json.loads(escalator("doctor", "--corpus", corpus, "--json").stdout)["checks"]
    (found,) = [check for check in checks if check["name"] == "state"]
    assert "models are in" in found["remedy"]
    shutil.rmtree(found["found"])

    kept = [path for path in tmp_path.rglob("*") if path.is_file() and b"clockwork" in path.read_bytes()]
    assert kept == [corpus / "lighthouse.md"]
