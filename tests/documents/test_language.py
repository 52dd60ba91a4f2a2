"""The language of a text."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from app.documents.language import detect

TEXTS = {
    "en": "The library is open every day from nine in the morning until eight in the evening, except on holidays.",
    "de": "Die Bibliothek ist jeden Tag von neun Uhr morgens bis acht Uhr abends geöffnet, außer an Feiertagen.",
    "nl": "De bibliotheek is elke dag geopend van negen uur 's ochtends tot acht uur 's avonds, behalve op feestdagen.",
    "fr": "La bibliothèque est ouverte tous les jours de neuf heures à vingt heures, sauf les jours fériés.",
    "ro": "Biblioteca este deschisă în fiecare zi de la nouă dimineața până la opt seara, cu excepția sărbătorilor.",
    "no": "Biblioteket er åpent hver dag fra klokken ni om morgenen til åtte om kvelden, bortsett fra helligdager.",
    "ru": "Библиотека открыта каждый день с девяти утра до восьми вечера, кроме праздничных дней.",
    "ja": "図書館は祝日を除いて毎日午前九時から午後八時まで開いています。",
}


@pytest.mark.parametrize("code", TEXTS)
def test_a_sentence_is_enough(code: str) -> None:
    assert detect(TEXTS[code]) == code


@pytest.mark.parametrize("text", ["", "42", "Hallo", "\n\n", "😀"])
def test_too_little_text_counts_as_english(text: str) -> None:
    assert detect(text) == "en"


def test_threads_agree() -> None:
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(detect, list(TEXTS.values()) * 5)) == list(TEXTS) * 5
