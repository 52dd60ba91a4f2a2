"""Collections are read in the formats that people have them in, and what is wrong in them is named."""

import gzip
from pathlib import Path

import pytest

from app.errors import InputError
from app.evaluation.datasets import read_collection as read
from app.retrieval.analysis import terms
from app.retrieval.search import Exchange
from tests.evaluation.conftest import CORPUS, QRELS, QUERIES, Write


def test_a_collection_has_its_passages_questions_and_judgements(write: Write) -> None:
    collection = read(write())

    assert collection.name == "ferries"
    assert [passage.place.label for passage in collection.passages] == ["bergen", "tickets", "whales", "bakery"]
    assert collection.passages[0].title == "Bergen"
    assert collection.passages[0].text == CORPUS[0]["text"]
    assert [query.text for query in collection.queries] == [query["text"] for query in QUERIES]
    assert collection.queries[0].answers == ("half past nine",)
    assert collection.queries[1].history == (Exchange("Are tickets sold on board?", "Yes, they are."),)
    assert collection.judgements == {"q1": {"bergen": 1}, "q2": {"tickets": 1}, "q3": {"bakery": 2, "bergen": 1}}
    assert collection.remarks == ()


def test_each_passage_is_a_document_whose_name_adds_no_word_to_it(write: Write) -> None:
    corpus = [{"id": str(number), "text": "A ferry."} for number in range(1000)]

    files = [passage.file for passage in read(write(corpus, qrels="q1\t1\t1\n")).passages]

    assert len(set(files)) == 1000
    assert [term for file in files for term in terms(file, "en")] == []


def test_gzipped_files_are_read_as_well(write: Write) -> None:
    folder = write()
    plain = read(folder)
    for name in ("corpus.jsonl", "queries.jsonl"):
        file = folder / name
        (folder / f"{name}.gz").write_bytes(gzip.compress(file.read_bytes()))
        file.unlink()

    assert read(folder) == plain


@pytest.mark.parametrize(
    "qrels",
    [
        "query-id\tcorpus-id\tscore\n" + QRELS,
        "\ufeff" + QRELS.replace("\n", "\r\n"),
        QRELS.replace("\t", "\tQ0\t", 1),
        "".join(" ".join((line.split()[0], "0", *line.split()[1:])) + "\n" for line in QRELS.splitlines()),
        QRELS + QRELS,
        QRELS + "q1\twhales\t0\nq2\twhales\t-1\n",
    ],
    ids=["header", "windows", "mixed", "trec", "twice the same", "irrelevant"],
)
def test_judgements_come_in_several_shapes(write: Write, qrels: str) -> None:
    assert read(write(qrels=qrels)) == read(write())


def test_ids_may_hold_blanks_where_tabs_part_the_columns(write: Write) -> None:
    corpus = [{"id": "a b", "text": "Ferry."}]

    assert read(write(corpus, qrels="q1\ta b\t1\n")).judgements == {"q1": {"a b": 1}}


def test_what_nobody_knows_and_what_nobody_judged_is_left_out_and_counted(write: Write) -> None:
    collection = read(write(qrels="q1\tbergen\t1\nq1\tlost\t1\nq9\tbergen\t1\nq2\twhales\t0\n"))

    assert [query.id for query in collection.queries] == ["q1"]
    assert collection.judgements == {"q1": {"bergen": 1}}
    questions, passages, unjudged = collection.remarks
    assert "1 questions that are not there, such as 'q9'" in questions
    assert "1 passages that are not there, such as 'lost'" in passages
    assert unjudged.startswith("2 of 3 questions have no relevant passage")


def test_numbers_may_be_ids_and_titles_may_be_missing(write: Write) -> None:
    collection = read(write([{"id": 7, "text": "Ferry.", "title": None}], [{"id": 1, "text": "Ferry?"}], "1\t7\t1\n"))

    assert collection.judgements == {"1": {"7": 1}}
    assert collection.passages[0].title == ""


def test_the_language_is_told_or_else_detected_and_short_passages_follow_the_others(write: Write) -> None:
    german = "Die Fähre verlässt den alten Hafen jeden Morgen um halb zehn, und Fahrkarten gibt es an Bord. " * 3
    english = "The ferry leaves the old harbour every morning at half past nine, and tickets are sold on board. " * 3
    corpus = [{"id": str(at), "text": text} for at, text in enumerate([german, german, english, "No problem at all."])]
    qrels = "q1\t1\t1\n"

    assert [p.language for p in read(write(corpus, qrels=qrels)).passages] == ["de", "de", "en", "de"]
    assert {p.language for p in read(write(corpus, qrels=qrels, meta='{"lang": "no"}')).passages} == {"no"}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"corpus": '{"id": "a", "text": "x"}\n{"id": "b"}\n'},
            r"Line 2 of .*corpus\.jsonl is no JSON object .*“text”",
        ),
        ({"corpus": '{"id": "a", "text": "x"}\n\nnonsense\n'}, r"Line 3 of .*corpus\.jsonl is no JSON object"),
        ({"corpus": "[1]\n"}, r"Line 1 of .*corpus\.jsonl is no JSON object"),
        ({"corpus": '{"text": "x"}\n'}, r"Line 1 of .*corpus\.jsonl is no JSON object with an “id”"),
        ({"corpus": '{"id": "a", "text": "x"}\n' * 2}, r"Line 2 of .*corpus\.jsonl repeats the id 'a'"),
        (
            {"corpus": '{"id": "a", "text": "x", "title": 3}\n'},
            r"Line 1 of .*is no JSON object .*“title”",
        ),
        ({"corpus": "\n"}, r"corpus\.jsonl has no passages"),
        ({"queries": [{**QUERIES[0], "history": "Hello"}]}, r"Line 1 of .*queries\.jsonl has a “history”"),
        ({"queries": [{**QUERIES[0], "history": [{"role": "user"}]}]}, r"Line 1 of .*has a “history”"),
        ({"queries": [{**QUERIES[0], "answers": [1]}]}, r"Line 1 of .*queries\.jsonl has “answers”"),
        ({"qrels": "q1\tbergen\n"}, r"Line 1 of .*qrels\.tsv is no judgement"),
        ({"qrels": QRELS + "q1\twhales\tyes\n"}, r"Line 5 of .*qrels\.tsv is no judgement"),
        ({"qrels": "q1\tbergen\tnan\n"}, r"Line 1 of .*qrels\.tsv is no judgement"),
        ({"qrels": QRELS + "q1\tbergen\t2\n"}, r"Line 5 of .*judges 'bergen' for 'q1' again"),
        ({"qrels": ""}, r"No question of .*queries\.jsonl has a relevant passage"),
        ({"meta": "[]"}, r"meta\.json is no JSON object"),
        ({"meta": '{"lang": 3}'}, r"meta\.json is no JSON object with a text “lang”"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(write: Write, given: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(write(**given))


@pytest.mark.parametrize("name", ["corpus.jsonl", "queries.jsonl", "qrels.tsv"])
def test_a_missing_file_is_named(write: Write, name: str) -> None:
    folder = write()
    (folder / name).unlink()

    with pytest.raises(InputError, match=name):
        read(folder)


def test_a_file_in_another_encoding_or_a_broken_archive_is_named(write: Write, tmp_path: Path) -> None:
    folder = write()
    with pytest.raises(InputError, match="is no folder"):
        read(tmp_path / "nowhere")
    (folder / "corpus.jsonl").write_bytes("Fähre".encode("latin-1"))
    with pytest.raises(InputError, match=r"corpus\.jsonl could not be read"):
        read(folder)
    (folder / "corpus.jsonl").unlink()
    (folder / "corpus.jsonl.gz").write_bytes(b"no archive")
    with pytest.raises(InputError, match=r"corpus\.jsonl\.gz could not be read"):
        read(folder)
