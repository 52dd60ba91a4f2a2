"""What every test stands on: an environment of its own, no network but loopback, and the genuine model runtime."""

import os
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from blockbuster import BlockBuster, blockbuster_ctx
from hypothesis import settings

from tests.support.corpora import FERRY

if TYPE_CHECKING:  # what needs the models' room imports it when a test asks for it
    from app.models.foundry import Foundry
    from tests.support.scripted import Script

PREFIXES = ("FOUNDRY_", "ESCALATOR_", "OPENAI_", "SLM_", "LLM_", "RETRY_", "COMPARE_", "BENCH_", "CHAINLIT_")
NAMES = ("CORPUS_DIR", "SHOW_USAGE", "BASE_URL", "MODEL", "API_KEY", "TIKTOKEN_CACHE_DIR", "DATA_GYM_CACHE_DIR")
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
KEPT = ("ESCALATOR_REQUIRE_BROWSER", "ESCALATOR_REAL_MODEL", "ESCALATOR_BROWSER_FILES", "ESCALATOR_POSTGRES_BIN")

# Whether a change may land must not hang on a draw: the same examples each time. Many new ones are tried with
# `pytest --hypothesis-profile=search`. No deadline, as the first call of a loop compiles it.
settings.register_profile("same", deadline=None, derandomize=True)
settings.register_profile("search", deadline=None, max_examples=3000)
settings.load_profile("same")


@pytest.fixture(scope="session", autouse=True)
def _clean_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing of the person who runs the tests: no settings, no proxies, no home folder with models in it."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            ours = name.upper().startswith(PREFIXES) or name.upper() in (*NAMES, *PROXIES)
            if ours and name not in KEPT:
                patch.delenv(name)
        patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)  # the many processes of the tests start twice as fast
        for name in ("HOME", "USERPROFILE", "LOCALAPPDATA", "APPDATA"):
            patch.setenv(name, str(home))
        for name in ("STATE", "DATA", "CACHE", "CONFIG"):
            patch.setenv(f"XDG_{name}_HOME", str(home / name.lower()))
        yield


@pytest.fixture(autouse=True)
def _own_folder(_nothing_blocks: BlockBuster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working folder without a `.env`, and a state folder that no other test uses."""
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("ESCALATOR_STATE_DIR", str(tmp_path / "state"))


@pytest.fixture(autouse=True)
def _loopback_only(_nothing_blocks: BlockBuster, monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that reaches for another machine fails, whoever swallows the error."""

    def guarded(real: Callable[..., Any]) -> Callable[..., Any]:
        def connect(self: socket.socket, address: Any) -> Any:
            if self.family in (socket.AF_INET, socket.AF_INET6):
                _check(address[0])
            return real(self, address)

        return connect

    real_lookup = socket.getaddrinfo

    def lookup(host: Any, *given: Any, **named: Any) -> Any:
        _check(host)
        return real_lookup(host, *given, **named)

    monkeypatch.setattr(socket.socket, "connect", guarded(socket.socket.connect))
    monkeypatch.setattr(socket.socket, "connect_ex", guarded(socket.socket.connect_ex))
    monkeypatch.setattr(socket, "getaddrinfo", lookup)


def _check(host: Any) -> None:
    name = host.decode() if isinstance(host, bytes) else str(host)
    if host is not None and name not in ("localhost", "::1", "") and not name.startswith("127."):
        pytest.fail(f"a connection to {name!r}, which is not this machine")


@pytest.fixture(autouse=True)
def _nothing_blocks() -> Iterator[BlockBuster]:
    """A call of `app` that blocks the event loop is an error; settings are read before there is one.

    It is set up before anything is patched: where a test patches `os.stat`, say, what is put back must not be the
    guard, which would stay on in the tests that follow.
    """
    with blockbuster_ctx("app", excluded_modules=["app.settings"]) as guard:
        yield guard


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model cache with a small and a large model, SMALL and LARGE."""
    from tests.support import scripted
    from tests.support.runtime import LARGE, SMALL

    return scripted.make(tmp_path_factory.mktemp("models") / "cache", SMALL, LARGE)


@pytest.fixture
def model_cache(tmp_path: Path) -> Callable[..., Path]:
    """Makes a model cache with the given scripts, for this test alone."""

    from tests.support import scripted

    def make(*scripts: "Script") -> Path:
        return scripted.make(tmp_path / "cache", *scripts)

    return make


@pytest.fixture(scope="session")
def runtime(models: Path) -> Iterator[str]:
    """The address of a runtime that serves `models` as long as tests run; `settings_for(models)` finds it too."""
    from tests.support.runtime import held

    with held(models) as lease:
        yield lease.url


@pytest.fixture
async def foundry(models: Path, runtime: str) -> "AsyncIterator[Foundry]":
    """A Foundry that shares the session's runtime."""
    from tests.support.runtime import opened, settings_for

    async with opened(settings_for(models)) as shared:
        yield shared


@pytest.fixture
def unused_port() -> int:
    """A port of loopback on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """A folder with the timetable of a ferry."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    (folder / "ferry.md").write_text(FERRY, encoding="utf-8")
    return folder


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Sets the environment to a model cache."""

    from tests.support.runtime import state_of

    def use_cache(cache: Path) -> None:
        monkeypatch.setenv("ESCALATOR_MODEL_CACHE", str(cache))
        monkeypatch.setenv("ESCALATOR_STATE_DIR", str(state_of(cache)))

    return use_cache
