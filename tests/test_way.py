"""The way from a question to its cited answer stays short: the files that it passes, the lines that run."""

import json
from pathlib import Path

import pytest

from tests.support.tracing import trace
from tests.test_walls import SIZE

SLACK = {"lines": 100, "files": 5}
"""How far a figure may be above the truth."""


@pytest.mark.slow
@pytest.mark.usefixtures("runtime")
async def test_a_question_that_escalates_takes_a_short_way(models: Path) -> None:
    figures = json.loads(SIZE.read_text(encoding="utf-8"))
    versions = figures.get("versions", {}).values()
    added = {"lines": "way", "files": "way_files"}
    allowed = {what: most + sum(each.get(added[what], 0) for each in versions) for what, most in figures["way"].items()}

    files, escalated = await trace(models)

    assert escalated
    size = {"files": len(files), "lines": files.total()}
    for what, most in allowed.items():
        assert size[what] <= most, f"The way has {size[what]} {what}; make it shorter, the figure is never raised"
        assert size[what] >= most - SLACK[what], f"The way has but {size[what]} {what}: run python tasks.py size"
