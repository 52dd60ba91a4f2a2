"""The command line in the process of the tests."""

from typer.testing import CliRunner, Result

from app.cli.commands import cli


def escalator(*arguments: object) -> Result:
    """What a command prints and ends with; it never shows a traceback."""
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    assert "Traceback" not in result.output
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result
