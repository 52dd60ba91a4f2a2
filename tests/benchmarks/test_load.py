"""The chat under load answers `/health`, also while a model writes nothing but blanks."""

import pytest

from benchmarks import load


@pytest.mark.slow
@pytest.mark.long
def test_the_chat_answers_while_conversations_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "UNITS", {"newlines": "\n"})
    monkeypatch.setattr(load, "OTHERS", 2)

    [row] = load.bench_load(1, print)["rows"]

    assert row["asked"] > 10
    assert row["tokens"] > 2 * load.SHORT
    assert 0 < row["p50_ms"] <= row["p99_ms"] <= row["longest_ms"]
    assert "/health" in next(load.lines({"rows": [row]}))
