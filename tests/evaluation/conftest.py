"""A small collection about ferries, and a way to write one."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

Write = Callable[..., Path]

CORPUS = [
    {"id": "bergen", "title": "Bergen", "text": "The ferry leaves the old harbour of Bergen at half past nine."},
    {
        "id": "tickets",
        "title": "Tickets",
        "text": "Tickets are sold on board for 120 kroner, and children travel free.",
    },
    {"id": "whales", "title": "Whales", "text": "Whales pass the northern cape in January, following the herring."},
    {
        "id": "bakery",
        "title": "Bakery",
        "text": "The bakery on the quay sells cinnamon rolls before the first departure.",
    },
]
QUERIES: list[dict[str, Any]] = [
    {"id": "q1", "text": "When does the ferry leave Bergen?", "answers": ["half past nine"]},
    {
        "id": "q2",
        "text": "And the price?",
        "history": [
            {"role": "user", "content": "Are tickets sold on board?"},
            {"role": "assistant", "content": "Yes, they are."},
        ],
    },
    {"id": "q3", "text": "Who sells cinnamon rolls?"},
]
QRELS = "q1\tbergen\t1\nq2\ttickets\t1\nq3\tbakery\t2\nq3\tbergen\t1\n"


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a collection; what is not given is the one about ferries."""

    def write(
        corpus: Sequence[Mapping[str, Any]] | str = CORPUS,
        queries: Sequence[Mapping[str, Any]] | str = QUERIES,
        qrels: str = QRELS,
        meta: str | None = None,
    ) -> Path:
        folder = tmp_path / "ferries"
        folder.mkdir(exist_ok=True)
        for name, rows in (("corpus.jsonl", corpus), ("queries.jsonl", queries)):
            text = rows if isinstance(rows, str) else "".join(json.dumps(row) + "\n" for row in rows)
            (folder / name).write_text(text, encoding="utf-8")
        (folder / "qrels.tsv").write_text(qrels, encoding="utf-8")
        if meta is not None:
            (folder / "meta.json").write_text(meta, encoding="utf-8")
        return folder

    return write
