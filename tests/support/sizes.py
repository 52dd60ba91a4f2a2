"""`python -m tests.support.sizes`: lower the figures of tests/size.json to what the code needs today."""

import asyncio
import json
import tempfile
from pathlib import Path

from tests.support import scripted
from tests.support.runtime import LARGE, SMALL
from tests.support.tracing import trace
from tests.test_walls import SIZE, measured

if __name__ == "__main__":
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        files, _ = asyncio.run(trace(scripted.make(Path(home) / "models" / "cache", SMALL, LARGE)))
    # A few lines more or fewer run each time, as threads meet and the memory that is free changes.
    truth = {"app": measured(), "way": {"files": len(files), "lines": files.total() + 20}}
    figures = json.loads(SIZE.read_text(encoding="utf-8"))
    lower = {part: {what: min(most, truth[part][what]) for what, most in figures[part].items()} for part in figures}
    SIZE.write_text(json.dumps(lower) + "\n", encoding="utf-8", newline="\n")
    print(SIZE.read_text(encoding="utf-8"), end="")
