"""Apps that the tests of the chat share; each is started when the first test asks for it."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.chat import App, running
from tests.support.corpora import FERRY


@pytest.fixture(scope="session")
def _without_models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    folder = tmp_path_factory.mktemp("without-models")
    corpus = folder / "corpus"
    corpus.mkdir()
    with running(folder, corpus, forked=False) as app:  # by the command itself, at least here
        yield app


@pytest.fixture
def without_models(_without_models: App) -> App:
    """An app on a machine without models; its corpus holds the ferry's timetable alone."""
    shutil.rmtree(_without_models.corpus)
    _without_models.corpus.mkdir()
    (_without_models.corpus / "ferry.md").write_text(FERRY, encoding="utf-8")
    return _without_models


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """A corpus of its own for an app of its own."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    (folder / "ferry.md").write_text(FERRY, encoding="utf-8")
    return folder
