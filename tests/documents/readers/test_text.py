"""Plain text: encodings, line ends and bytes of any kind; source code, whose definitions stay whole."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.documents.passages import Passage, Place, joined, split
from app.documents.readers import text
from app.errors import UnreadableFile
from app.settings import ROOT

GERMAN = "Die Übung beginnt um 9 Uhr im großen Saal. Für Getränke wird gesorgt, Gäste sind natürlich willkommen.\n" * 3
CZECH = "Příliš žluťoučký kůň úpěl ďábelské ódy. Knihovna je otevřena každý den kromě svátků až do večera.\n" * 3
RUSSIAN = "Библиотека открыта каждый день с девяти утра до восьми вечера, кроме праздничных дней.\n" * 3
JAPANESE = "図書館は祝日を除いて毎日午前九時から午後八時まで開いています。\n" * 5


def read(data: bytes) -> str:
    (page,) = text.read(data)
    assert page.place == Place("line", "line 1", 1)
    return page.text


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "latin-1", "cp1252"])
def test_german_is_read_in_any_encoding(encoding: str) -> None:
    assert read(GERMAN.encode(encoding)) == GERMAN


@pytest.mark.parametrize(
    ("original", "encoding"),
    [(CZECH, "cp1250"), (RUSSIAN, "cp1251"), (RUSSIAN, "koi8-r"), (JAPANESE, "shift-jis"), (JAPANESE, "utf-16")],
)
def test_other_languages_are_read_in_their_old_encodings(original: str, encoding: str) -> None:
    assert read(original.encode(encoding)) == original


def test_utf_16_is_told_by_its_mark_in_both_orders() -> None:
    for order in ("utf-16-le", "utf-16-be"):
        assert read(("\ufeff" + GERMAN).encode(order)) == GERMAN


def test_a_lost_byte_does_not_make_nonsense_of_the_rest() -> None:
    assert read(GERMAN[:-20].encode() + b"\xc3") == GERMAN[:-20] + "\ufffd"


def test_line_ends_become_one_kind_and_form_feeds_line_ends() -> None:
    assert read(b"a\r\nb\rc\nd\fe") == "a\nb\nc\nd\ne"


@given(st.binary(max_size=400) | st.text(max_size=200).map(lambda s: s.encode("utf-16", "surrogatepass")))
def test_no_bytes_raise_anything_but_unreadable_file(data: bytes) -> None:
    try:
        pages = text.read(data)
    except UnreadableFile:
        return
    assert all("\0" not in page.text and "\f" not in page.text and page.text.strip() for page in pages)
    for page in pages:
        page.text.encode("utf-8")


# Source code

CODE = st.lists(st.sampled_from(["", "", "a b c", "  d", "}", "e " * 60, "\tf " * 90, "# g"]), min_size=1, max_size=40)


def passages(source: str) -> list[Passage]:
    return split(text.read_code(source.encode()), "a.py", "a", "en")


def test_passages_of_a_real_module_begin_with_definitions_and_name_their_lines() -> None:
    source = Path(ROOT / "app/documents/folder.py").read_text(encoding="utf-8")
    lines = source.split("\n")
    found = passages(source)
    for passage in found:
        assert passage.text.split("\n")[0] in lines[passage.place.number - 1]
        assert passage.place.label == f"line {passage.place.number}"
    assert any(passage.text.startswith("def scan(") for passage in found)
    assert any("def _split_text" not in passage.text and passage.text.startswith("def ") for passage in found)


def test_short_definitions_share_a_page_and_long_ones_have_their_own() -> None:
    short = "// Adds.\nint add(int a, int b)\n{\n\n    return a + b;\n}\n\n"
    long = "void all()\n{\n" + "    call(a, b);\n\n" * 80 + "}\n\n"
    pages = text.read_code((short * 3 + long + short).encode())
    assert [page.place.number for page in pages] == [1, 22, 186]


@given(CODE)
def test_the_joined_pages_are_the_file_but_for_the_separators(lines: list[str]) -> None:
    source = "\n".join(["start", *lines])
    pages = text.read_code(source.encode())
    assert joined(pages).replace("\f", "\n") == source
    for page in pages:
        assert source.split("\n")[page.place.number - 1] == page.text.split("\n")[0]


# Small files, whose encoding only their letters show

SMALL = [
    ("Kunde;Ort\nMüller;Köln", ["cp1252", "mac_roman", "cp850"]),
    ("Name,Straße\nJäger,Hauptstraße 5", ["cp1252", "mac_roman", "cp850"]),
    ("Le café est fermé à Noël, l'été aussi.", ["cp1252", "mac_roman", "cp850"]),
    ("¿Cuándo abre la estación?", ["cp1252", "mac_roman", "cp850"]),
    ("Navn;By\nSøren;Århus\nÆble;Køge", ["cp1252", "mac_roman", "cp850"]),
    ("Namn;Ort\nÅsa;Malmö\nGöran;Västerås", ["cp1252", "mac_roman", "cp850"]),
    ("Cidade;População\nSão Paulo;12 milhões", ["cp1252", "mac_roman", "cp850"]),
    ("Città;Perché\nForlì;Sì, è così", ["cp1252", "mac_roman", "cp850"]),
    ("Er sagt „ja“ – für 5 €.", ["cp1252", "mac_roman"]),
    ("Nazwisko;Miasto\nŁukasz Wójcik;Łódź", ["cp1250"]),
    ("Jméno;Město\nTomáš Dvořák;Plzeň", ["cp1250"]),
    ("Ime;Kraj\nMiša;Ptuj\nŽiga;Koper", ["cp1250"]),
    ("Név;Város\nSzűcs Győző;Győr", ["cp1250"]),
    ("Ad;Şehir\nÖğüt;İzmir", ["cp1254"]),
    ("Имя;Город\nИван;Москва", ["cp1251"]),
    ("Όνομα;Πόλη\nΓιώργος;Αθήνα", ["cp1253"]),
    ("名前,住所\n田中,東京", ["cp932"]),
]


@pytest.mark.parametrize(
    ("original", "encoding"),
    [(original, name) for original, names in SMALL for name in [*names, "utf-8", "utf-16-le", "utf-16-be"]],
)
def test_a_small_file_is_read_in_the_encoding_in_which_its_letters_make_words(original: str, encoding: str) -> None:
    assert read(original.encode(encoding)) == original


@pytest.mark.parametrize(
    "data", [b"\x7fELF\2\1\1\0\0\0\0\0\0\0\0\0\2\0>\0\1\0\0\0", b"\1\0\2\0\3\0\4\0 \0", b"PK\3\4\0\0\0\0"]
)
def test_bytes_with_zeros_that_are_no_utf_16_are_no_text(data: bytes) -> None:
    with pytest.raises(text.NotText):
        text.decode(data)
