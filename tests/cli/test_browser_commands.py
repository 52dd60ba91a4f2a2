"""`escalator browser get` without a network: the files come out of checked archives, whole or not at all."""

import io
import tarfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.cli import setup_commands
from app.cli.commands import cli
from app.cli.setup_commands import registry
from app.models import browser_models
from app.models.browser_models import Package, runtime

FILES = {"run.js": b"export const run = 1;\n", "run.wasm": b"\0asm" * 1000}
Get = Callable[..., tuple[int, str]]


@pytest.fixture
def stick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an archive of npm, which is the package that is wanted."""
    monkeypatch.setenv("CHAINLIT_APP_ROOT", str(tmp_path / "project"))
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, content in FILES.items():
            member = tarfile.TarInfo(f"package/dist/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    data = packed.getvalue()
    files = {name: (len(content), sha256(content).hexdigest()) for name, content in FILES.items()}
    package = Package("@some/run", "1.0.0", len(data), sha256(data).hexdigest(), files)
    for module in (setup_commands, browser_models):
        monkeypatch.setattr(module, "PACKAGES", (package,))
    folder = tmp_path / "stick"
    (folder / "npm").mkdir(parents=True)
    (folder / "npm" / package.archive).write_bytes(data)
    return folder


def get(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(cli, ["browser", "get", *arguments])
    return result.exit_code, result.stderr


def there() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in runtime().glob("*")}


def test_the_files_come_out_of_an_archive_and_are_not_got_again(stick: Path) -> None:
    code, said = get("--from", str(stick))
    archive = next((stick / "npm").iterdir())
    archive.unlink()
    again, nothing = get()

    assert (code, again) == (0, 0)
    assert there() == FILES
    assert "@some/run 1.0.0" in said
    assert "4.0 kB" in said or "4 kB" in said
    assert "public/models" in said.replace("\\", "/")
    assert "@some/run" not in nothing


def test_unpacked_files_of_another_machine_do_too(stick: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    get("--from", str(stick))
    other = tmp_path / "other"
    monkeypatch.setenv("CHAINLIT_APP_ROOT", str(other))

    assert get("--from", str(tmp_path / "project"))[0] == 0
    assert there() == FILES


def test_a_damaged_archive_leaves_no_file(stick: Path) -> None:
    archive = next((stick / "npm").iterdir())
    archive.write_bytes(archive.read_bytes()[:-9] + b"something")
    code, said = get("--from", str(stick))

    assert code == 1
    assert "damaged" in said
    assert there() == {}


def test_a_folder_without_the_files_is_an_error_of_the_command_line(stick: Path, tmp_path: Path) -> None:
    code, said = get("--from", str(tmp_path / "here"))

    assert code == 2
    assert "There is no run-1.0.0.tgz" in said


def test_the_registry_is_the_one_that_npm_uses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("npm_config_registry", "NPM_CONFIG_REGISTRY", "npm_config_userconfig", "NPM_CONFIG_USERCONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    assert registry() == "https://registry.npmjs.org/"
    (tmp_path / ".npmrc").write_text("fund = false\nregistry = https://user.example/npm\n", encoding="utf-8")
    assert registry() == "https://user.example/npm/"
    Path(".npmrc").write_text("registry=https://project.example/\n", encoding="utf-8")
    assert registry() == "https://project.example/"
    monkeypatch.setenv("NPM_CONFIG_REGISTRY", "https://mirror.example")
    assert registry() == "https://mirror.example/"
