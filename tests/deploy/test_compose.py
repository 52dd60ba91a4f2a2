"""What is shipped for several processes names settings that exist, files that exist, and one set of addresses."""

import re
from typing import Any

import pytest
import yaml

from app.settings import ROOT, Settings, names_of

DEPLOY = ROOT / "deploy"


@pytest.fixture
def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
    return found


def test_every_variable_of_the_chats_is_a_setting(compose: dict[str, Any]) -> None:
    known = {name for field in Settings.model_fields for name in names_of(field)}

    for chat in ("chat-1", "chat-2"):
        assert set(compose["services"][chat]["environment"]) <= known
    image = re.findall(r"([A-Z_]+)=/", (DEPLOY / "Dockerfile").read_text(encoding="utf-8"))
    assert image == ["CORPUS_DIR", "ESCALATOR_STATE_DIR"]
    assert set(image) <= known


def test_both_chats_are_alike_but_for_their_address(compose: dict[str, Any]) -> None:
    first, second = (dict(compose["services"][name]) for name in ("chat-1", "chat-2"))

    assert first.pop("networks") != second.pop("networks")
    assert first == second
    assert first["command"][:3] == ["escalator", "serve", "--lan"]


def test_addresses_are_those_of_the_configuration_of_nginx(compose: dict[str, Any]) -> None:
    services = compose["services"]
    chats = [services[name]["networks"]["room"]["ipv4_address"] for name in ("chat-1", "chat-2")]
    configured = set(re.findall(r"server ([\d.]+):8000", (DEPLOY / "nginx.conf").read_text(encoding="utf-8")))

    assert configured == set(chats)
    assert services["chat-1"]["environment"]["ESCALATOR_PROXY"] == services["nginx"]["networks"]["room"]["ipv4_address"]
    assert services["nginx"]["volumes"] == ["./nginx.conf:/etc/nginx/nginx.conf:ro"]


def test_what_the_image_copies_exists_and_is_not_ignored() -> None:
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    copied = [each for line in re.findall(r"COPY \S+ (.+) \S+\n", text) for each in line.split()]
    let_in = (DEPLOY / "Dockerfile.dockerignore").read_text(encoding="utf-8").split()

    assert "app" in copied
    for each in copied:
        assert list(ROOT.glob(each)), each
        assert f"!{each}" in let_in
