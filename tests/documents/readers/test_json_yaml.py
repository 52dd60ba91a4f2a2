"""JSON and YAML: the lines of a file that has some, and lines made for one that has none."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.documents.passages import Page, Place, split
from app.documents.readers import json_yaml

PEOPLE = [{"name": f"Person {n}", "town": "Aarhus", "tags": ["a", "b"], "pay": {"year": 1990 + n}} for n in range(200)]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda values: st.lists(values, max_size=4) | st.dictionaries(st.text(max_size=3), values, max_size=4),
)


def minified(value: object) -> list[Page]:
    return json_yaml.read(json.dumps(value, separators=(",", ":")).encode())


def test_yaml_is_cited_by_its_lines_and_its_outermost_keys_stay_whole() -> None:
    blocks = [f"service{n}:\n  image: registry/{n}\n  ports:\n  - {8000 + n}\n" + "  # note\n" * 8 for n in range(30)]
    source = "# All services\n" + "".join(blocks)
    for passage in split(json_yaml.read(source.encode()), "a.yaml", "a", "en")[1:]:
        assert passage.text.startswith("service")
        assert source.split("\n")[passage.place.number - 1] == passage.text.split("\n")[0]


def test_json_with_lines_is_cited_by_them_and_records_stay_whole() -> None:
    source = json.dumps(PEOPLE, indent=2)
    pages = json_yaml.read(source.encode())
    assert len(pages) > 5
    for page in pages[1:]:
        assert page.text.startswith("  {\n")
        assert page.place.kind == "line"
        assert source.split("\n")[page.place.number] == page.text.split("\n")[1]


def test_minified_json_gets_a_row_for_each_record_and_a_path_for_each_value() -> None:
    server = {"port": 8080, "tls": {"on": True, "hosts": ["a.org", "b.org"]}}
    pages = minified({"version": "2.1", "server": server, "people": PEOPLE})
    assert [page.place for page in pages] == [
        Place("heading", "beginning", 1),
        Place("heading", "server", 2),
        Place("heading", "people", 3),
    ]
    assert pages[0].text == "version: 2.1"
    assert pages[1].text == "server\n\nport: 8080\ntls.on: true\ntls.hosts: a.org, b.org"
    assert pages[2].text.split("\n")[2] == "| 1 | name: Person 0 | town: Aarhus | tags: a, b | pay.year: 1990 |"


def test_a_record_on_each_line_is_shown_with_its_keys_and_cited_by_its_line() -> None:
    source = "\n".join([*map(json.dumps, PEOPLE), "not JSON"])
    passages = split(json_yaml.read_lines(source.encode()), "a.jsonl", "a", "en")
    for passage in passages[:-1]:
        first = passage.text.split("\n")[0]
        assert first.startswith(f"| name: Person {passage.place.number - 1} | ")
    assert (passages[-1].text, passages[-1].place.number) == ("not JSON", 201)


def test_what_is_no_json_or_nested_without_end_is_read_as_text() -> None:
    for source in ('{"a": ' * 100_000, '{"port": 80, "host": "' + "x " * 400, "[" * 5000 + "]" * 5000, "9" * 9000):
        assert json_yaml.read(source.encode())[0].text == source


@pytest.mark.parametrize("depth", [500, 900, 960, 1000])
def test_what_is_nested_deeply_is_read(depth: int) -> None:
    source = "[" * depth + '"deep"' + "]" * depth
    assert "deep" in json_yaml.read(source.encode())[0].text
    assert "deep" in json_yaml.read_lines(source.encode())[0].text


def test_paths_do_not_multiply_the_size() -> None:
    value = {"key" * 10_000: {f"{n}": n for n in range(5_000)}}
    assert sum(len(page.text) for page in minified({"outer": value})) < 1_000_000


@pytest.mark.slow
@given(VALUES)
def test_all_words_of_minified_json_are_kept(value: object) -> None:
    pages = minified([value, "x" * 900])
    assert all("\f" not in page.text and page.text for page in pages)
    assert pages[-1].text.split()[-1] == "x" * 900
