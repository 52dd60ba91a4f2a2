"""The options of the server of a room are checked before anything is opened."""

from pathlib import Path

import pytest
import trustme

from app.cli.serving_commands import _check_certificate
from app.errors import InputError
from tests.support.terminal import escalator


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate and its key."""
    made, cert, key = trustme.CA().issue_cert("room.example"), tmp_path / "cert.pem", tmp_path / "key.pem"
    made.cert_chain_pems[0].write_to_path(str(cert))
    made.private_key_pem.write_to_path(str(key))
    return cert, key


def test_a_certificate_and_its_key_may_be_two_files_or_one(files: tuple[Path, Path], tmp_path: Path) -> None:
    both = tmp_path / "both.pem"
    both.write_bytes(files[1].read_bytes() + files[0].read_bytes())

    _check_certificate(*files)
    _check_certificate(both, None)
    _check_certificate(None, None)


def test_files_that_are_no_certificate_and_its_key_are_named(files: tuple[Path, Path], tmp_path: Path) -> None:
    cert, key = files
    for given in ((cert, cert), (key, key), (cert, None)):
        with pytest.raises(InputError, match=r"(cert|key)\.pem") as refused:
            _check_certificate(*given)
        assert "PEM format, without a password" in str(refused.value)


def test_a_file_that_is_missing_is_named_by_the_command(files: tuple[Path, Path]) -> None:
    for options, said in (
        (("--tls-cert", "nope.pem", "--tls-key", files[1]), "There is no file nope.pem."),
        (("--tls-key", files[1]), "needs --tls-cert"),
    ):
        result = escalator("serve", "--lan", *options)

        assert result.exit_code == 2
        assert said in result.stderr
