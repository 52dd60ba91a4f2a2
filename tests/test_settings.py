"""Every setting says its name, its value and what is allowed; the table in docs/settings.md is made from them."""

import pathlib
import re

import pytest

from app import settings
from app.errors import SettingsError
from app.settings import load
from tests.support.settings_table import table


def test_the_defaults_are_the_documented_pair_of_models() -> None:
    given = load()

    assert (given.small, given.large) == ("phi-4-mini", "gpt-oss-20b")
    assert given.endpoint is None


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("ESCALATOR_SHORT_CHARS", "many", "it must be a whole number from 0 to 100000."),
        ("ESCALATOR_SHORT_CHARS", "-1", "it must be a whole number from 0 to 100000."),
        ("ESCALATOR_EVIDENCE_TOKENS", "1", "from 64 to 100000"),
        ("SHOW_USAGE", "perhaps", "it must be true or false."),
        ("ESCALATOR_ESCALATE", "sometimes", "it must be one of: never, when needed, often, always."),
        ("ESCALATOR_FIRST_TOKEN_SECONDS", "soon", "it must be a number greater than 0."),
        ("ESCALATOR_MAX_TOKENS", "1.5", "it must be a whole number of at least 16."),
        ("ESCALATOR_PRICES", "free", "it must be a value such as 2025-08-05 0.075/0.30 0.10/0.50."),
        ("ESCALATOR_PROXY", "10.0.0.0/8, nginx", "it must be addresses or networks such as 127.0.0.1, 10.0.0.0/8."),
        ("FOUNDRY_LOCAL_ENDPOINT", "127.0.0.1:5273", "http://127.0.0.1:5273"),
        ("FOUNDRY_LOCAL_ENDPOINT", "http://127.0.0.1:port", "http://127.0.0.1:5273"),
        ("BASE_URL", "localhost", "it must be an address such as http://127.0.0.1:5273."),
    ],
)
def test_a_bad_value_names_the_setting_the_value_and_what_is_allowed(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, says: str
) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(SettingsError) as raised:
        load()

    assert name in str(raised.value)
    assert value in str(raised.value)
    assert says in str(raised.value)


def test_older_names_are_read_when_the_main_one_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOUNDRY_LOCAL_ALIAS", "qwen2.5-0.5b")
    monkeypatch.setenv("BASE_URL", "http://localhost:8080/v1/")
    assert load().small == "qwen2.5-0.5b"
    assert load().endpoint == "http://localhost:8080/v1/"

    monkeypatch.setenv("SLM_ALIAS", "phi-3.5-mini")
    assert load().small == "phi-3.5-mini"


def test_an_empty_value_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLM_ALIAS", "")

    assert load().small == "phi-4-mini"


def test_a_fallback_on_another_machine_is_refused_unless_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BASE_URL", "https://models.example.org/v1")
    with pytest.raises(SettingsError, match="ESCALATOR_ALLOW_REMOTE"):
        load()

    monkeypatch.setenv("ESCALATOR_ALLOW_REMOTE", "true")
    assert load().endpoint == "https://models.example.org/v1"


def test_a_setting_knows_where_its_value_came_from(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    monkeypatch.chdir(tmp_path)
    pathlib.Path(".env").write_text("LLM_ALIAS=from-file\n", encoding="utf-8")
    monkeypatch.setenv("SLM_ALIAS", "from-env")

    assert load().large == "from-file"
    assert settings.origin("large") == ("LLM_ALIAS", ".env")
    assert settings.origin("small") == ("SLM_ALIAS", "environment")
    assert settings.origin("retries") == ("RETRY_ON_FAIL", "default")


def test_what_is_given_beats_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ESCALATOR_SHORT_CHARS", "7")

    assert load(short_chars=9).short_chars == 9
    assert load(short_chars=None).short_chars == 7


def test_trusted_proxies_are_networks_written_in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ESCALATOR_PROXY", "127.0.0.1, 10.1.2.3/8,")

    assert load().proxy == "127.0.0.1/32,10.0.0.0/8"


def test_folders_may_begin_with_the_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ESCALATOR_STATE_DIR", "~/state")
    monkeypatch.setenv("ESCALATOR_MODEL_CACHE", "~/models")

    assert load().state_dir == pathlib.Path.home() / "state"
    assert load().model_cache == pathlib.Path.home() / "models"


@pytest.mark.parametrize("name", ["CORPUS_DIR", "ESCALATOR_STATE_DIR", "ESCALATOR_MODEL_CACHE"])
def test_a_home_folder_of_nobody_is_named(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "~nobody-of-this-name/documents")

    with pytest.raises(SettingsError, match=name):
        load()


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
def test_a_file_of_settings_in_another_encoding_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path, encoding: str
) -> None:
    monkeypatch.chdir(tmp_path)
    pathlib.Path(".env").write_text("SLM_ALIAS=blåbær\n", encoding=encoding)

    with pytest.raises(SettingsError, match=r"\.env is not UTF-8"):
        load()


def test_the_page_of_settings_has_the_table_of_settings() -> None:
    page = (settings.ROOT / "docs" / "settings.md").read_text(encoding="utf-8")

    assert table() in page


@pytest.mark.parametrize("page", ["README.md", "docs/trainer.md"])
def test_advice_to_read_less_evidence_is_half_of_the_default(page: str) -> None:
    text = (settings.ROOT / page).read_text(encoding="utf-8")
    half = settings.Settings.model_fields["evidence_tokens"].default // 2

    assert set(re.findall(r"ESCALATOR_EVIDENCE_TOKENS=(\d+)", text)) == {str(half)}
