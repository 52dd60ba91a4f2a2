"""No private passage reaches a model elsewhere in random turns, and what watches for that notices if one does."""

import pytest

from app.retrieval.snapshot import Snapshot
from benchmarks.privacy import bench_privacy


@pytest.mark.slow
async def test_no_private_passage_leaves_and_public_ones_do() -> None:
    result = await bench_privacy(60, 8, print)

    assert result["leaked"] == {}
    assert result["asked_elsewhere"] > 5
    assert result["public_documents_elsewhere"] > 3
    assert result["private_documents"] > 5
    assert result["connections_by_default"] == 0


@pytest.mark.slow
async def test_without_rules_private_passages_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.answering.context.Retriever.rule", lambda *_: "")
    monkeypatch.setattr(Snapshot, "public", lambda snapshot, _: snapshot)
    monkeypatch.setattr("benchmarks.privacy.Driver.do_mcp", lambda self: self.do_ask())

    assert (await bench_privacy(30, 8, print))["leaked"]
