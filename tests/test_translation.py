"""The texts of the page: which language a browser gets, and that every catalogue has every text."""

import asyncio
import string

import pytest

from app import translation
from app.translation import choose, supported


@pytest.mark.parametrize(
    ("tag", "language"),
    [
        ("de", "de"),
        ("de-AT", "de"),
        ("DA-dk", "da"),
        ("nb-NO", "no"),
        ("nn", "no"),
        ("ro", "ro"),
        ("fr-FR", "en"),
        ("", "en"),
    ],
)
def test_a_browser_gets_its_language_and_english_if_there_is_none(tag: str, language: str) -> None:
    assert supported(tag) == language


def placeholders(text: str) -> set[str]:
    return {name for __, name, __, __ in string.Formatter().parse(text) if name is not None}


async def test_each_task_has_its_own_language() -> None:
    async def chosen_by(tag: str) -> str:
        choose(tag)
        await asyncio.sleep(0)
        return translation.chosen()

    assert await asyncio.gather(*map(chosen_by, ("de", "nl"))) == ["de", "nl"]
    assert translation.chosen() == "en"
