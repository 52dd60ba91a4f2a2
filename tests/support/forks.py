"""Apps that are forked from a process which has imported what is heavy: a start takes a fifth of the processor time.

A child runs what the console script of Chainlit runs, with an environment, a working folder and a terminal of its own.
The tests that share the app without models, and those of the command line, start it by its command.
"""

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from unittest.mock import patch

from app.settings import ROOT

AVAILABLE = sys.platform == "linux"
"""Windows cannot fork, and on a Mac a fork must not use what the system's libraries have begun."""


class Forked:
    """A process that began as a fork; used as `subprocess.Popen` is."""

    def __init__(self, arguments: Sequence[str], cwd: Path, env: dict[str, str], output: Path, errors: Path) -> None:
        from multiprocessing import forkserver  # not there for every system

        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["tests.support.preloaded"])
        with patch.dict(os.environ, {"PYTHONPATH": str(ROOT)}):  # for the parent of all forks, where it begins now
            forkserver.ensure_running()
        given = [*arguments], str(cwd), env, str(output), str(errors)
        self._process = context.Process(target=_chainlit, args=given, daemon=True)
        self._process.start()

    @property
    def pid(self) -> int:
        """Its number."""
        assert self._process.pid is not None
        return self._process.pid

    def poll(self) -> int | None:
        """Return its exit code, or None as long as it runs."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; raise `subprocess.TimeoutExpired` if it does not come in time."""
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("chainlit", timeout or 0)
        return self._process.exitcode

    def terminate(self) -> None:
        """Ask it to end."""
        self._process.terminate()

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()


def _chainlit(arguments: list[str], cwd: str, env: dict[str, str], output: str, errors: str) -> None:
    for descriptor, file in enumerate((os.devnull, output, errors)):
        opened = os.open(file, os.O_RDWR | os.O_APPEND | os.O_CREAT)
        os.dup2(opened, descriptor)
        os.close(opened)
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    sys.argv = arguments
    from chainlit.cli import cli

    cli()
