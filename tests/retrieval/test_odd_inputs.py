"""Whatever is asked, and whatever the documents hold: there are hits or there are none, and never an error."""

import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.documents.folder import Folder
from app.retrieval.corpus import Corpus
from app.retrieval.index import Index
from app.retrieval.search import search
from tests.support.corpora import passage

ODD = {
    "nothing": "",
    "blanks": " \t\r\n\u3000\xa0",
    "function words": "What is the and of it?",
    "punctuation": "?!... --- ;;; “”",
    "control characters": "\0\x01library\x1b[31m\x7f\u202egarden",
    "lone surrogates": "\ud800 library\udfff \udc80garden",
    "Chinese": "图书馆几点开门？",
    "Japanese": "図書館は何時に開きますか。",
    "Korean": "도서관은 언제 열어요?",
    "Thai": "ห้องสมุดเปิดกี่โมง",
    "Arabic": "متى تفتح المكتبة؟",
    "Hindi": "पुस्तकालय कब खुलता है?",
    "Greek that is all ending": "άγε ουν",
    "emoji": "📚🇩🇪 👩‍👩‍👧 library?",
    "combining marks": "l\u0301i\u0308b\u0327rary " + "e" + "\u0301" * 500,
    "ligatures": "ﬁnd the ﷺ №1 ㏂ Ⅻ",
    "one letter": "x",
    "numbers": "2024 12.50 ١٢٣ ½ 1e999",
    "a very long word": "a" * 100_000,
    "format strings": "{0} %s %(x)s $HOME \\n ${jndi:x}",
    "a regular expression": "(((.*)+)+[",
    "markup": "<script>alert(1)</script> & &amp;",
}


@pytest.fixture(scope="module")
def index() -> Index:
    """Passages in many languages, and those of odd content themselves."""
    plain = [passage("The library opens at nine. The garden has tomatoes.", "a.md", "en")]
    return Index.of([*plain, *(passage(text, "odd.md", code) for text in ODD.values() for code in ("en", "th", "el"))])


@pytest.fixture(scope="module")
def retriever(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """A folder with a document for each odd text."""
    folder = tmp_path_factory.mktemp("corpus")
    (folder / "library.md").write_text("# Library\nThe library opens at nine.", encoding="utf-8")
    for name, text in ODD.items():
        (folder / f"{name}.md").write_bytes(f"# {text}\n\n{text} library".encode("utf-8", "surrogatepass"))
        (folder / f"{name}.txt").write_bytes(text.encode("utf-16", "surrogatepass"))
    return Corpus(Folder(folder, 10_000_000))


@pytest.mark.parametrize("name", ODD)
def test_an_odd_question_is_answered(retriever: Corpus, name: str) -> None:
    for question in (ODD[name], f"library {ODD[name]}", f"{ODD[name]}?" * 3):
        for history in ((), [(ODD[name], ODD[name])], [("When does the library open?", ODD[name])]):
            for hit in retriever.search(question, history).hits:
                assert hit.score > 0
                assert sum(hit.explanation.terms.values()) == pytest.approx(1)


@pytest.mark.parametrize("name", "Chinese Japanese Korean Thai Arabic Hindi".split())
def test_a_document_is_found_by_its_own_words_in_any_script(retriever: Corpus, name: str) -> None:
    assert name in [Path(hit.passage.file).stem for hit in retriever.search(ODD[name]).hits]


@pytest.mark.parametrize("name", ["nothing", "blanks", "punctuation", "one letter"])
def test_what_says_nothing_finds_nothing(retriever: Corpus, name: str) -> None:
    assert retriever.search(ODD[name]).hits == ()


def test_a_library_is_still_a_library(retriever: Corpus) -> None:
    assert retriever.search("When does the library open?").hits[0].passage.file == "library.md"


@settings(max_examples=150)
@given(st.text(max_size=60), st.lists(st.tuples(st.text(max_size=30), st.text(max_size=30)), max_size=3))
def test_any_question_after_any_conversation_is_answered(
    index: Index, question: str, history: list[tuple[str, str]]
) -> None:
    found = search(index, question, history)
    assert found.query == question
    assert [hit.rank for hit in found.hits] == list(range(1, len(found.hits) + 1))


@given(st.lists(st.text(st.characters(), max_size=60), max_size=6), st.data())
def test_any_documents_can_be_searched_and_found_by_their_words(texts: list[str], data: st.DataObject) -> None:
    code = data.draw(st.sampled_from(["en", "de", "el", "th", "he"]))
    index = Index.of([passage(text, language=code) for text in texts])
    for text in texts:
        known = [word for word in index.words(text) if index.knows(word)]
        assert bool(search(index, text).hits) >= bool(known)


@pytest.mark.slow
@pytest.mark.parametrize(
    "question",
    [
        " ".join(f"word{number}" for number in range(100_000)),
        "library " * 100_000,
        "图书馆" * 30_000,
        " ".join(f"libra{chr(97 + number % 26)}{chr(97 + number // 26 % 26)}" for number in range(100_000)),
    ],
    ids=["unknown words", "one word", "Chinese", "misspelt"],
)
def test_a_question_as_long_as_a_book_is_answered_before_one_gives_up(index: Index, question: str) -> None:
    started = time.perf_counter()
    search(index, question, [(question, question)])
    assert time.perf_counter() - started < 15


@pytest.mark.slow
def test_a_question_of_very_many_known_words_is_answered() -> None:
    text = " ".join(f"word{number}" for number in range(40_000))
    index = Index.of([passage(text, language="en"), passage("word1 word2", language="en")])
    started = time.process_time()  # which other programs do not add to
    assert len(search(index, text).hits) == 2
    assert time.process_time() - started < 15
