"""The command line in the process of the tests, and what it draws in a terminal."""

import io
import re
import sys

import pytest
from typer.testing import CliRunner, Result

from app.cli.commands import cli


def escalator(*arguments: object) -> Result:
    """What a command prints and ends with; it never shows a traceback."""
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    assert "Traceback" not in result.output
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


class Screen(io.TextIOWrapper):
    """A terminal of a width in the place of stdout or stderr."""

    def __init__(self, patch: pytest.MonkeyPatch, stream: str, width: int, encoding: str = "utf-8") -> None:
        super().__init__(io.BytesIO(), encoding=encoding)
        patch.setattr(sys, stream, self)
        patch.setenv("COLUMNS", str(width))
        patch.setenv("TERM", "xterm")

    def isatty(self) -> bool:
        return True

    @property
    def written(self) -> str:
        """All that was written."""
        self.flush()
        return str(self.buffer.getvalue().decode(self.encoding))  # type: ignore[attr-defined]

    @property
    def text(self) -> str:
        """The same without colours and movements; what is drawn anew is a line of its own."""
        return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", self.written).replace("\r", "\n")
