"""The tasks of a contributor, the same on Windows, macOS and Linux: `python tasks.py TASK [ARGUMENTS]`.

test      the quick tests, which are most of them; arguments go to pytest
test-all  every test
lint      ruff, mypy and codespell, which change nothing
fix       what ruff can put right, and the formatting
way       the files and lines that one question passes
settings  the table of docs/settings.md
texts     add new texts to the catalogues of app/translations, where they are to be translated
size      note today's sizes in tests/size.json: those of app only fall, what the last version adds may grow
bench     the benchmark of the search on 20,000 passages
"""

import os
import subprocess
import sys

WORKERS = ("-n", str((os.cpu_count() or 1) + 1), "--dist", "worksteal")
"""One process more than there are processors, because tests of servers and pages wait often."""

TASKS: dict[str, list[list[str]]] = {
    "test": [["pytest", "-m", "not slow", *WORKERS]],
    "test-all": [["pytest", *WORKERS]],
    "lint": [["ruff", "check", "."], ["ruff", "format", "--check", "."], ["mypy"], ["codespell_lib"]],
    "fix": [["ruff", "check", "--fix", "."], ["ruff", "format", "."]],
    "way": [["tests.support.tracing"]],
    "settings": [["tests.support.settings_table"]],
    "texts": [["tests.support.catalogues"]],
    "size": [["tests.support.sizes"]],
    "bench": [["app.cli.commands", "bench", "retrieval", "--passages", "20000"]],
}


def main(task: str = "", *arguments: str) -> int:
    """Run the commands of a task, the last one with the arguments, until one fails; return its exit code."""
    if task not in TASKS:
        sys.stderr.write(__doc__ or "")
        return 2
    *first, last = TASKS[task]
    for command in (*first, [*last, *arguments]):
        if code := subprocess.run([sys.executable, "-m", *command], check=False).returncode:
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
