"""The texts of the page: which language a browser gets, and that every catalogue has every text."""

import ast
import asyncio
import io
import json
import re
import string
from collections.abc import Iterator
from gettext import GNUTranslations, NullTranslations
from http import HTTPStatus
from pathlib import Path
from typing import Any

import polib
import pytest
from chainlit.config import TRANSLATIONS_DIR

from app import translation
from app.errors import EscalatorError
from app.settings import ROOT
from app.translation import FOLDER, LANGUAGES, again, ago, choose, count, figure, gigabytes, size, supported, time_left
from tests.support.catalogues import ERRORS, PLURAL_FORMS, update

BARE = re.compile(
    r"""(?:aria-label|ariaLabel|placeholder|alt|title)\s*=\s*["'][^"']*[a-z]|>\s*[^<>{}=;()?]*[a-z]{2}[^<>{}=;()?]*<"""
)
"""A text in a component that does not come from `say`."""


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


SENTENCE = re.compile(r"[A-Za-z]{2,} [a-z]{2,}")
"""What a text of several words has, which is no name of a file, a setting or an action."""

SHOWN = [
    path
    for path in sorted((ROOT / "app").rglob("*.py"))
    if path.relative_to(ROOT / "app").parts[0] not in ("cli", "doctor", "evaluation", "kit")
]
"""The modules whose texts the page may show; the command line is English."""

FOUND = {"_", "mark", "plural", "count", *ERRORS}
"""The functions whose texts the catalogues find."""


def calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    """Yield each call of a function that the catalogues know, with its name."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in FOUND:
            yield node.func.id, node


@pytest.mark.parametrize("path", SHOWN, ids=lambda path: path.stem)
def test_the_catalogues_find_each_text_because_it_stands_in_the_call_as_it_is(path: Path) -> None:
    for name, call in calls(path):
        texts = call.args[1:2] if name == "count" else call.args[: 2 if name == "plural" else 1]
        for text in texts:
            whole = isinstance(text, ast.Constant)
            assert whole or not [*sentences(text)], f"{path.name}, line {call.lineno}"
            if name in ("plural", "mark") and path.name != "translation.py":
                assert whole, f"{path.name}, line {call.lineno}"


def sentences(node: ast.AST) -> Iterator[str]:
    """Yield the texts in some code that no function of the catalogues gets, but no docstrings, keys, log messages."""
    match node:
        case ast.Expr(value=ast.Constant()) | ast.Subscript(slice=ast.Constant()):
            return
        case ast.Call(func=ast.Name(id=name)) if name in FOUND:
            return
        case ast.Call(func=ast.Attribute(value=ast.Name(id="log" | "re"))):
            return
        case ast.Dict(values=values):
            children: list[ast.AST] = list(values)
        case ast.Constant(value=str(text)):
            if SENTENCE.search(text):
                yield text
            return
        case _:
            children = list(ast.iter_child_nodes(node))
    for child in children:
        yield from sentences(child)


@pytest.mark.parametrize("path", sorted((ROOT / "app" / "ui").glob("*.py")), ids=lambda path: path.stem)
def test_no_sentence_of_the_chat_is_left_in_english(path: Path) -> None:
    if path.stem != "server_guard":  # which answers other pages, and programs in a terminal
        assert [*sentences(ast.parse(path.read_text(encoding="utf-8")))] == []


def test_each_text_of_a_component_of_the_page_can_be_translated() -> None:
    for path in (ROOT / "public" / "elements").glob("*.jsx"):
        code = re.sub(r"^\s*(//|/\*\*).*", "", path.read_text(encoding="utf-8"), flags=re.M)
        assert not BARE.findall(code), path


def test_each_text_of_the_page_stands_in_its_call() -> None:
    for path in [*(ROOT / "public").glob("*.js"), *(ROOT / "public" / "elements").glob("*.jsx")]:
        assert not re.findall(r"\bsay\((?!\s*['\"`])[^)]*", path.read_text(encoding="utf-8")), path


async def test_what_was_kept_in_english_is_shown_in_the_language_with_the_values_that_it_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    catalogue = polib.POFile()
    for english, german in (
        ("it is {size} MB; {remedy}", "die Datei hat {size} MB; {remedy}"),
        ("split it", "teilen Sie sie"),
        ("it is {what}", "die Datei ist {what}"),
        ("not {suffix}; save it as {suffix}", "nicht {suffix}; speichern Sie sie als {suffix}"),
    ):
        catalogue.append(polib.POEntry(msgid=english, msgstr=german, occurrences=[(translation.KEPT, "")]))
    monkeypatch.setattr(translation, "_read", {"da": catalogue}.__getitem__)
    monkeypatch.setattr(translation, "catalogue", lambda _: GNUTranslations(io.BytesIO(catalogue.to_binary())))
    translation._patterns.cache_clear()
    choose("da")
    try:
        assert again("it is 41 MB; split it") == "die Datei hat 41 MB; teilen Sie sie"
        assert again("not .a; save it as .a") == "nicht .a; speichern Sie sie als .a"
        assert again("not .a; save it as .b") == "not .a; save it as .b"
        assert again("nothing known (it)") == "nothing known (it)"
    finally:
        translation._patterns.cache_clear()
        translation._again.cache_clear()


@pytest.mark.parametrize(
    ("language", "thousands", "decimal"), [("en", "2,000", "0.8"), ("de", "2.000", "0,8"), ("no", "2\xa0000", "0,8")]
)
async def test_numbers_are_written_as_the_language_does(language: str, thousands: str, decimal: str) -> None:
    choose(language)

    assert (figure(2000), figure(0.84, 1)) == (thousands, decimal)


async def test_an_error_is_in_the_language_of_whoever_is_told_and_in_english_where_it_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(translation, "catalogue", {"de": German(), "en": NullTranslations()}.__getitem__)
    error = EscalatorError("It is {size}.", size="4 MB")
    choose("de")

    assert (str(error), error.english) == ("Das sind 4 MB.", "It is 4 MB.")


class German(NullTranslations):
    def gettext(self, message: str) -> str:
        return {"It is {size}.": "Das sind {size}."}.get(message, message)


EMPTY = {"chat.messages.status.using", "chat.messages.status.used"}
"""Words before the name of a step, which says enough."""


def words_of_chainlit(path: Path) -> dict[str, str]:
    def flat(branch: dict[str, Any], above: str) -> Iterator[tuple[str, str]]:
        for key, value in branch.items():
            if isinstance(value, dict):
                yield from flat(value, f"{above}{key}.")
            else:
                yield above + key, value

    return dict(flat(json.loads(path.read_text(encoding="utf-8")), ""))


REFUSALS = {f"auth.login.errors.{HTTPStatus(status).phrase.lower()}" for status in (400, 401, 409, 429, 503)}
"""What the page of the login says where app/room.py refuses somebody, under the phrase of the status."""


@pytest.mark.parametrize("language", LANGUAGES)
def test_all_of_chainlits_words_are_there_in_each_language(language: str) -> None:
    original = words_of_chainlit(Path(TRANSLATIONS_DIR) / "en-US.json")
    ours = words_of_chainlit(ROOT / ".chainlit" / "translations" / f"{language}.json")

    assert [key for key in ours if key not in REFUSALS] == list(original)
    assert ours.keys() >= REFUSALS
    assert {key for key, text in ours.items() if not text} == EMPTY
    for key, text in original.items():
        assert re.findall("{{.*?}}", ours[key]) == re.findall("{{.*?}}", text), key


def test_the_readme_has_the_sections_of_the_english_one_in_each_language() -> None:
    def outline(path: Path) -> list[str]:
        return re.findall(r"^(?:#+|-|\d\.) ", path.read_text(encoding="utf-8"), flags=re.M)

    for language in LANGUAGES[1:]:
        assert outline(ROOT / f"chainlit_{language}.md") == outline(ROOT / "chainlit.md"), language


@pytest.mark.parametrize("language", LANGUAGES[1:])
def test_every_text_of_the_code_is_translated_and_no_other_is_kept(language: str) -> None:
    made, kept = update(language), polib.pofile(str(FOLDER / f"{language}.po"))
    forms = 3 if language in PLURAL_FORMS else 2

    assert {entry.msgid for entry in made if not entry.translated()} == set()
    assert [entry.msgid for entry in kept] == [entry.msgid for entry in made]
    assert len({entry.msgid for entry in made}) == len(made)
    assert all(len(entry.msgstr_plural) == forms for entry in made if entry.msgid_plural)
    assert [entry.msgid for entry in kept if entry.fuzzy or entry.obsolete] == []


AS_IS = re.compile(r"`escalator[^`]*`|\b[A-Z]+_[A-Z_]+\b|[`*]")
"""What no language translates: commands, settings, and what makes a text code or bold."""


@pytest.mark.parametrize("language", LANGUAGES[1:])
def test_a_translation_has_the_values_the_commands_and_the_edges_of_its_text(language: str) -> None:
    for entry in update(language).translated_entries():
        original = entry.msgid_plural or entry.msgid
        for text in entry.msgstr_plural.values() if entry.msgid_plural else [entry.msgstr]:
            assert placeholders(text) == placeholders(original), text
            assert sorted(AS_IS.findall(text)) == sorted(AS_IS.findall(original)), text
            assert re.findall(r"^\s*|\s*$", text) == re.findall(r"^\s*|\s*$", original), text
            assert not placeholders(text) or text.format(**dict.fromkeys(placeholders(text), "x"))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "just now"), (59, "just now"), (61, "1 minute ago"), (7300, "2 hours ago"), (9e5, "10 days ago")],
)
def test_an_age_is_given_in_one_unit(seconds: float, text: str) -> None:
    assert ago(seconds) == text


def test_one_thing_is_no_plural_and_large_numbers_are_grouped() -> None:
    assert [count(number, "file") for number in (0, 1, 2, 1234)] == ["0 files", "1 file", "2 files", "1,234 files"]


def test_gigabytes_have_a_decimal_unless_it_is_zero() -> None:
    assert [gigabytes(size) for size in (0, 800, 4_000, 12_260)] == ["0 GB", "0.8 GB", "4 GB", "12.3 GB"]


@pytest.mark.parametrize(
    ("number", "text"),
    [
        *((-1, "0 kB"), (0, "0 kB"), (1, "0.1 kB"), (40, "0.1 kB")),
        *((440, "0.4 kB"), (99_960, "100 kB"), (250_000, "250 kB"), (999_900, "1 MB")),
        *((5_000_000, "5 MB"), (9_310_000, "9.3 MB"), (128_400_000, "128 MB"), (2_790_000_000, "2.8 GB")),
        (1.5e12, "1,500 GB"),
    ],
)
def test_a_size_is_given_in_the_unit_that_suits_it(number: float, text: str) -> None:
    assert size(number) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (99, "99 s"), (100, "2 min"), (5990, "100 min"), (7300, "2 h")]
)
def test_the_remaining_time_is_given_in_seconds_minutes_or_hours(seconds: float, text: str) -> None:
    assert time_left(seconds) == f"about {text} left"
