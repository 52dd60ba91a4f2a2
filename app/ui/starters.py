"""The questions that an empty chat offers: those of the sample corpus whose document is there."""

import json
from pathlib import Path

import chainlit as cl


def offered(corpus: Path) -> list[cl.Starter]:
    """The sample questions that this corpus can answer; none for a corpus of other documents."""
    samples = json.loads(Path(__file__).with_name("starters.json").read_text(encoding="utf-8"))
    return [
        cl.Starter(label=sample["question"], message=sample["question"])
        for sample in samples
        if (corpus / sample["file"]).is_file()
    ]
