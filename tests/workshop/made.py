"""A kit of real packages for the tests, which needs the package registry: `python -m tests.workshop.made FOLDER`.

Scripted models stand in for weights. The gate makes it before it cuts the network.
"""

import sys
from dataclasses import replace
from pathlib import Path

from app.kit.use import platform_name, python_version
from tests.support import scripted
from tests.support.runtime import LARGE, SMALL, settings_for
from workshop.make import make


def main(folder: Path) -> None:
    slow = replace(SMALL, work=500)  # so that its words come one by one
    cache = scripted.make(folder / "cache", slow, LARGE)
    corpus = folder / "corpus"
    corpus.mkdir()
    (corpus / "ferry.md").write_text("# Ferry\n\nThe ferry leaves at 9:30 from the old harbour.\n", encoding="utf-8")
    make(
        folder / "kit",
        settings_for(cache),
        print,
        [SMALL.alias, LARGE.alias],
        [platform_name()],
        [python_version()],
        corpus,
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
