"""The public page `from app import …`: the documented snippets run on the real runtime, and importing costs nothing."""

import asyncio
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import app
from app.errors import InputError
from app.settings import ROOT
from tests.support.notebook import notebook, run

__all__ = ["notebook"]

SNIPPETS = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "python-api.md").read_text(encoding="utf-8"), re.S)


@pytest.mark.parametrize("snippet", SNIPPETS, ids=["search and answer", "script", "events"])
def test_the_documented_snippets_run(snippet: str, notebook: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if "asyncio.run(" in snippet:
        exec(compile(snippet, "script", "exec"), {})
    else:
        asyncio.run(run([snippet]))

    printed = capsys.readouterr().out
    assert "ferry.md" in printed
    assert "The ferry leaves at 9:30" in printed


def test_the_docstring_shows_lines_that_run(notebook: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = inspect.cleandoc(str(app.__doc__)).partition("\n\n")[2].partition("\n\nIn a script")[0]
    asyncio.run(run([inspect.cleandoc(shown).replace("prefill", "the ferry")]))

    assert "ferry.md The" in capsys.readouterr().out.replace("# The", "The")


async def test_a_text_can_be_cited_with_the_evidence_of_an_answer(notebook: Path) -> None:
    reply = await app.answer("When does the ferry leave?")
    rendered, (citation,) = app.cite("The ferry leaves at 9:30 from the old harbour.", reply.evidence)

    assert rendered.endswith("[1].")
    assert (citation.file, citation.supported) == ("ferry.md", True)


async def test_an_empty_question_is_an_input_error(corpus: Path) -> None:
    with pytest.raises(InputError):
        await app.answer(" ", corpus=corpus)
    with pytest.raises(InputError):
        app.search(" ", corpus=corpus)


def test_importing_the_package_imports_none_of_its_rooms() -> None:
    code = "import app, sys; print(*[name for name in sys.modules if name.startswith('app.')])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, encoding="utf-8", check=True
    )

    assert done.stdout.strip() == ""
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        app.nothing  # noqa: B018
    assert set(app.__all__) == {"Assistant", "Question", "Turn", "answer", "cite", "compare", "report", "search"}
