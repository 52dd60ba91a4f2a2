"""`python -m tests.support.sizes`: lower the figures of tests/size.json to what the code needs today."""

import asyncio
import json
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from tests.support import scripted
from tests.support.runtime import LARGE, SMALL
from tests.support.tracing import trace
from tests.test_walls import SIZE, measured


def lowered(figures: dict[str, Any], size: dict[str, int], way: dict[str, int]) -> dict[str, Any]:
    """Return the figures with today's sizes: the last version's share is what is left, and none of `app` grows."""
    *settled, _ = [Counter(each) for each in figures.get("versions", {}).values()] or [Counter()]
    earlier = sum(settled, Counter())
    app = {what: min(most, size[what] - earlier[what]) for what, most in figures["app"].items()}
    result = {"app": app, "way": {what: min(most, way[what]) for what, most in figures["way"].items()}}
    if versions := figures.get("versions", {}):
        last = list(versions)[-1]
        own = {what: size[what] - earlier[what] - app[what] for what in app}
        result["versions"] = {**versions, last: versions[last] | own}
    return result


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        files, _ = asyncio.run(trace(scripted.make(Path(home) / "models" / "cache", SMALL, LARGE)))
    # A few lines more or fewer run each time, as threads meet and the memory that is free changes.
    way = {"files": len(files), "lines": files.total() + 20}
    figures = lowered(json.loads(SIZE.read_text(encoding="utf-8")), measured(), way)
    SIZE.write_text(json.dumps(figures) + "\n", encoding="utf-8", newline="\n")
    print(SIZE.read_text(encoding="utf-8"), end="")
