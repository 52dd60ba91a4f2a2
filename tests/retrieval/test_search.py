"""Searching: what is found, what is said not to be found, and what a conversation adds."""

import gc
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rank_bm25 import BM25Okapi

from app.documents.folder import Folder
from app.documents.passages import Passage, Place
from app.errors import CorpusError
from app.retrieval.analysis import terms
from app.retrieval.bm25 import K1, B, idf
from app.retrieval.corpus import Corpus
from app.retrieval.index import Index
from app.retrieval.packing import answerability, is_answerable
from app.retrieval.scoring import QueryTerm
from app.retrieval.search import Explanation, plain, search
from app.retrieval.segment import above

LIBRARY = "# Library\nThe library opens at nine. A yearly card costs ten euros.\n\n## Rooms\nStudy rooms can be booked."
GARDEN = "# Garden\nTomatoes need sun and water. Plant them in May, and harvest the fruits in August."
HAUS = "# Hausordnung\nDie Häuser sind ab zehn Uhr abends geschlossen, und die Türen werden verriegelt."

Make = Callable[..., Corpus]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def made(**texts: str) -> Corpus:
        for name, text in texts.items():
            (tmp_path / f"{name}.md").write_text(text, encoding="utf-8")
        return Corpus(Folder(tmp_path, 1_000_000))

    return made


def found_files(corpus: Corpus, question: str, *history: str) -> list[str]:
    return [hit.passage.file for hit in corpus.search(question, [(each, "") for each in history]).hits]


def test_the_passage_that_answers_comes_first(make: Make) -> None:
    corpus = make(library=LIBRARY, garden=GARDEN)
    assert found_files(corpus, "When does the library open?")[0] == "library.md"
    assert found_files(corpus, "When should I plant a tomato?") == ["garden.md"]


def test_the_only_document_is_found(make: Make) -> None:
    found = make(garden=GARDEN).search("tomato")
    assert [hit.rank for hit in found.hits] == [1]
    assert found.hits[0].score > 0
    assert found.unknown_words == ()


def test_an_empty_corpus_finds_nothing(make: Make) -> None:
    found = make().search("Where is the library?", [("What is a library?", "")])
    assert found.hits == ()
    assert found.unknown_words == ("library",)


def test_a_question_none_of_whose_words_occurs_finds_nothing_and_names_them_once(make: Make) -> None:
    found = make(library=LIBRARY).search("What do zebras eat, and why are Zebras striped?")
    assert found.hits == ()
    assert found.unknown_words == ("zebras", "eat", "striped")


def test_a_typing_error_finds_what_was_meant_and_says_so(make: Make) -> None:
    corpus = make(library=LIBRARY, garden=GARDEN)
    assert found_files(corpus, "libarry")[0] == "library.md"
    found = corpus.search("When does the libary open?")
    assert found.hits[0].passage.file == "library.md"
    assert found.taken_for == {"libary": ("library",)}
    assert found_files(corpus, "harvset tomatos and friuts")[0] == "garden.md"


def test_a_correctly_spelled_word_that_occurs_nowhere_is_not_taken_for_another(make: Make) -> None:
    corpus = make(library=LIBRARY, haus="# Regulation\nEin Haus. The cause of a regulation, and its news, is water.")
    for question in ("pause", "population", "waste", "Newton", "How many winds?", "Maus"):
        found = corpus.search(question)
        assert (question, found.hits, found.taken_for) == (question, (), {})


def test_a_compound_is_found_by_its_part_and_a_part_by_the_compound(make: Make) -> None:
    corpus = make(haus=HAUS, vertrag="# Versicherung\nDie Versicherung endet mit dem Jahr, die Kündigung ist frei.")
    assert found_files(corpus, "Versicherungsvertrag") == ["vertrag.md"]
    assert found_files(corpus, "Welche Regeln hat die Hausordnungsliste?") == ["haus.md"]


def test_guesses_at_less_than_half_of_the_words_carry_no_question(make: Make) -> None:
    corpus = make(library=LIBRARY, garden=GARDEN)
    found = corpus.search("Does the Hubble telescope see the libary?")
    assert found.hits == ()
    assert found.unknown_words == ("Hubble", "telescope", "see", "libary")
    assert found_files(corpus, "Does the telescope of the library see it?")  # one is known
    assert found_files(corpus, "libary Hubble")  # something may be meant by half of them


def test_a_question_without_words_finds_nothing(make: Make) -> None:
    corpus = make(library=LIBRARY, garden=GARDEN)
    for question in ("", "?!", "   "):
        found = corpus.search(question)
        assert found.hits == ()
        assert found.unknown_words == ()


FAQ = {
    "origin": "# Where is it from?\nA monk of the abbey made the first one.",
    "parts": "# What is inside?\nSeeds, wax and a wick, made by hand.",
}


def test_a_question_of_function_words_alone_is_found_by_them(make: Make) -> None:
    found = make(**FAQ).search("Where is it from?")
    assert found.hits[0].passage.file == "origin.md"
    assert found.unknown_words == ()
    assert set(found.hits[0].explanation.terms) == {"Where", "is", "it", "from"}


def test_function_words_rank_what_other_words_find(make: Make) -> None:
    corpus = make(
        origin="How the wax candle of the abbey is made: by hand, from wax.",
        year="When did they make a candle of wax? As early as in 1290, by hand.",
    )
    assert found_files(corpus, "How is the candle made?")[0] == "origin.md"
    assert found_files(corpus, "When did they invent a candle?")[0] == "year.md"


def test_function_words_find_nothing_beside_a_word_that_occurs_nowhere(make: Make) -> None:
    found = make(**FAQ).search("Where is Tuvalu from?")
    assert (found.hits, found.unknown_words) == ((), ("Tuvalu",))
    assert found_files(make(**FAQ), "Where is the wax from?") == ["parts.md"]


def test_a_word_that_is_asked_twice_weighs_more(make: Make) -> None:
    corpus = make(oak="An oak grows here slowly.", elm="An elm grows here slowly.")
    assert found_files(corpus, "elm or oak, what about the elm?")[0] == "elm.md"
    assert found_files(corpus, "elm or oak, what about the oak?")[0] == "oak.md"


def test_unknown_words_are_named_as_typed_beside_what_was_found(make: Make) -> None:
    found = make(library=LIBRARY).search("Does the LIBRARY lend Telescopes?")
    assert found.hits
    assert found.unknown_words == ("lend", "Telescopes")


def test_each_document_is_searched_in_its_own_language(make: Make) -> None:
    corpus = make(library=LIBRARY, haus=HAUS)
    assert found_files(corpus, "Wann ist das Haus geschlossen?") == ["haus.md"]
    assert "library.md" in found_files(corpus, "Which libraries are there?")


def test_title_heading_and_name_of_the_file_are_searched_too(make: Make) -> None:
    corpus = make(library=LIBRARY, garden=GARDEN, bm25="Robertson described how terms are weighted.")
    assert found_files(corpus, "What does bm25.md say?") == ["bm25.md"]
    assert set(found_files(corpus, "library")) == {"library.md"}
    assert len(found_files(corpus, "library")) == 2


def test_the_shares_of_the_words_add_up_and_the_largest_comes_first(make: Make) -> None:
    for hit in make(library=LIBRARY, garden=GARDEN).search("When does the library open, and what costs a Card?").hits:
        assert sum(hit.explanation.terms.values()) == pytest.approx(1)
        assert list(hit.explanation.terms.values()) == sorted(hit.explanation.terms.values(), reverse=True)
        assert set(hit.explanation.terms) <= {"library", "open", "costs", "Card", "function words"}
        assert hit.explanation.terms


def test_a_follow_up_is_searched_with_the_earlier_question(make: Make) -> None:
    corpus = make(library=LIBRARY, garden=GARDEN)
    for question in ("And there?", "why?", "Tell me more about that, please!"):
        found = corpus.search(question, [("How do tomatoes grow?", ""), ("Where is the library?", "")])
        assert found.hits[0].passage.file == "library.md"
        assert found.earlier_words == ("library", "tomatoes")


def test_a_new_topic_that_is_not_in_the_corpus_brings_no_old_one_back(make: Make) -> None:
    corpus = make(library=LIBRARY)
    found = corpus.search("What is the population of Tuvalu?", [("When does the library open?", "")])
    assert found.hits == ()
    assert found.earlier_words == ()
    assert found.unknown_words == ("population", "Tuvalu")


@pytest.mark.parametrize(
    "question",
    ["Pumpkin soup?", "And pumpkin soup?", "What about pumpkin soup?", "Is there pumpkin soup?", "Does it serve soup?",
     "Kürbissuppe?", "Und Kürbissuppe?", "Græskarsuppe?"],
)  # fmt: skip
def test_a_short_question_whose_subject_is_not_in_the_corpus_finds_nothing_in_a_conversation(
    make: Make, question: str
) -> None:
    corpus = make(library=LIBRARY, garden=GARDEN)
    found = corpus.search(question, [("When does the library open?", "At nine [1].")])
    assert found.hits == ()
    assert found.earlier_words == ()


@pytest.mark.parametrize(
    "question",
    ["How much?", "Why?", "Is it expensive?", "And from where exactly?", "How long does it last?", "For example?",
     "Could you explain that in more detail?", "Until what time?", "Who says so?"],
)  # fmt: skip
def test_a_short_question_without_a_subject_goes_on_with_the_last_one(make: Make, question: str) -> None:
    found = make(library=LIBRARY, garden=GARDEN).search(question, [("When does the library open?", "At nine [1].")])
    assert found.hits[0].passage.file == "library.md"


def test_a_short_question_whose_subject_is_misspelt_or_spelt_otherwise_is_known(make: Make) -> None:
    corpus = make(library=LIBRARY, garden=GARDEN)
    for question in ("And tomatos?", "And tomatoe?", "Tomatoes?"):
        assert corpus.search(question, [("When does the library open?", "")]).hits[0].passage.file == "garden.md"


def test_the_question_outweighs_what_was_asked_before(make: Make) -> None:
    corpus = make(library=LIBRARY, garden=GARDEN)
    assert found_files(corpus, "How do tomatoes grow?", "When does the library open?")[0] == "garden.md"


def test_changes_of_the_folder_are_found_at_once(make: Make, tmp_path: Path) -> None:
    corpus = make(library=LIBRARY)
    assert not corpus.search("tomato").hits
    (tmp_path / "garden.md").write_text(GARDEN, encoding="utf-8")
    assert found_files(corpus, "tomato") == ["garden.md"]
    assert corpus.latest().text("garden.md") == GARDEN
    (tmp_path / "garden.md").unlink()
    assert not corpus.search("tomato").hits
    assert set(corpus.latest().documents) == {"library.md"}
    assert corpus.latest().text("garden.md") == ""


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CorpusError):
        Corpus(Folder(tmp_path / "none", 1)).search("anything")


def test_no_more_than_k_are_found(make: Make) -> None:
    corpus = make(**{f"n{number}": f"Number {number} of the same library." for number in range(30)})
    assert len(corpus.search("library", k=7).hits) == 7
    assert len(corpus.search("library").hits) == 10


def test_threads_search_together(make: Make) -> None:
    corpus = make(library=LIBRARY, garden=GARDEN, haus=HAUS)
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: found_files(corpus, "tomatoes in the library"), range(40)))
    assert all(result == results[0] for result in results)


def passage(number: int, text: str) -> Passage:
    return Passage(f"{number}.txt", 0, len(text), text, Place("line", "line 1", 1), "", "en")


def test_equal_passages_keep_their_order() -> None:
    index = Index.of([passage(number, "The cat is here.") for number in range(9)])
    assert [hit.passage.file for hit in search(index, "cat").hits] == [f"{number}.txt" for number in range(9)]


def test_a_large_corpus_answers_fast_enough_to_type_by() -> None:
    index = Index.of([passage(n, " ".join(f"word{(n * 7 + i * i) % 5000}" for i in range(60))) for n in range(5000)])
    # The best of three, as other programs run meanwhile.
    questions = (" ".join(f"word{first + n}" for n in range(6)) for first in (1, 11, 21))
    assert min(search(index, question).took_ms for question in questions) < 500


FERRY_TEXTS = (
    "The ferry leaves the old harbour at nine.",
    "Many people use the ferry in summer.",
    "The library is closed on Mondays and lends many books.",
    "Many gardens are watered by hand.",
)


def index_of(*texts: str) -> Index:
    return Index.of(
        [Passage(f"{at}", 0, len(t), t, Place("line", "line 1", 1), "", "en") for at, t in enumerate(texts)]
    )


FERRIES = index_of(*FERRY_TEXTS)
MANY = index_of(*FERRY_TEXTS, *(f"Row {number} of the register names nobody." for number in range(200)))


def covered(question: str, index: Index = FERRIES) -> float:
    return answerability(index, question, search(index, question).hits[0])


def test_a_question_is_covered_if_all_its_words_occur() -> None:
    assert covered("When does the ferry leave the harbour?") == 1.0


def test_a_common_word_covers_little_of_a_question_about_something_else() -> None:
    assert covered("Which people did Habsburg emperors sign treaties with?", MANY) < 0.24


def test_a_word_that_each_of_a_few_passages_holds_can_carry_an_answer_as_in_a_large_corpus() -> None:
    terms = index_of("The annual fee is 118 euro.", "The annual fee is 120 euro.", "The annual fee is 125 euro.")

    assert is_answerable(terms, search(terms, "What is the current fee of membership?"))
    assert covered("How much is the rent per year?", index_of("The monthly rent is 900 euro.")) > 0.5


def test_a_word_that_a_few_passages_lack_says_little_and_one_that_many_lack_says_much() -> None:
    question = "Which ferry did Habsburg emperors take?"

    assert covered(question, MANY) < covered(question) < 1


def test_a_long_preface_asks_for_no_more_than_the_question_behind_it() -> None:
    preface = (
        "Hello, I began here last week, my boss told me to look it up and nobody seemed to know so far, sorry to ask:"
    )

    assert covered(f"{preface} when does the ferry leave the harbour?", MANY) > 0.24


def test_unknown_words_are_named_unless_something_similar_was_found() -> None:
    def missing(question: str) -> str:
        return search(FERRIES, question).missing

    assert missing("When does the ferry leave?") == ""
    assert missing("When does the ferry leave Copenhagen?") == "“Copenhagen” occurs in none of your documents"
    assert missing("Which ferry to Oslo or Malmö?") == "“Oslo” and “Malmö” occur in none of your documents"
    assert missing("When does the ferry leave the harbuor?") == ""


def test_a_typing_error_costs_little_coverage() -> None:
    assert 0.6 < covered("When does the ferry leave the harbuor?") < 1.0


def test_a_question_without_content_words_is_covered() -> None:
    assert answerability(FERRIES, "what is it?", search(FERRIES, "ferry").hits[0]) == 1.0


def test_the_plain_ranking_lacks_proximity_and_similar_words() -> None:
    scattered = "The harbour is old.\nA ferry was painted blue."
    together = "The harbour ferry leaves at nine, and on Sundays at ten."
    others = [f"Number {number} has nothing of it." for number in range(9)]
    index = Index.of([passage(number, text) for number, text in enumerate([scattered, together, *others])])
    ours, by_bm25 = search(index, "harbour ferry"), plain(index, "harbour ferry")
    assert (ours.engine, [hit.passage.text for hit in ours.hits]) == ("escalator", [together, scattered])
    assert (by_bm25.engine, [hit.passage.text for hit in by_bm25.hits]) == ("rank_bm25", [scattered, together])
    assert ours.plain_ranks() == (2, 1)
    assert search(index, "harbourmaster").hits
    assert plain(index, "harbourmaster").hits == ()


def test_hits_forget_the_terms_of_the_query_once_they_are_explained() -> None:
    def terms() -> list[QueryTerm]:
        return [each for each in gc.get_objects() if type(each) is QueryTerm]

    before = len(terms())
    result = search(FERRIES, "ferry and harbour")
    assert len(terms()) > before
    shown = [hit.explanation for hit in result.hits]
    assert len(terms()) == before
    assert [hit.explanation for hit in result.hits] == shown


def test_plain_ranks_are_those_of_the_plain_ranking() -> None:
    texts = ("The ferry leaves the harbour. Nobody knows when.", "Harbour here, and there a ferry.", "A harbourmaster.")
    index = Index.of([passage(number, text) for number, text in enumerate(texts)])
    result = search(index, "ferry harbour")
    ranking = [hit.passage.file for hit in plain(index, "ferry harbour").hits]
    assert len(result.hits) == 3
    expected = tuple(ranking.index(f) + 1 if (f := hit.passage.file) in ranking else None for hit in result.hits)
    assert result.plain_ranks() == expected
    assert None in expected


def test_plain_scores_are_those_of_rank_bm25_with_a_sound_idf() -> None:
    passages = [passage(number, text) for number, text in enumerate(FERRY_TEXTS)]
    words = FERRIES.words("ferry, harbour and library")
    scores = {match.passage: match.score for match in FERRIES.plain_top_k(words, 10)}
    corpus = [[*terms(p.text, "en"), *dict.fromkeys(terms(above(p), "en"))] for p in passages]
    okapi = BM25Okapi(corpus, k1=K1, b=B)
    okapi.idf = {term: idf(4, sum(term in each for each in corpus)) for term in okapi.idf}
    expected = okapi.get_scores([term for word in words for term in word.terms])
    assert scores == {number: score for number, score in enumerate(expected.tolist()) if score}
    assert set(scores) == {0, 1, 2}


def test_equal_passages_keep_their_order_in_the_plain_ranking() -> None:
    index = Index.of([passage(number, "cat" if 0 < number < 21 else "dog") for number in range(22)])
    assert [hit.passage.file for hit in plain(index, "cat", 22).hits] == [f"{number}.txt" for number in range(1, 21)]


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=15), st.floats(0, 0.9))
def test_the_parts_of_an_explanation_add_up_to_a_hundred(weights: list[int], context: float) -> None:
    terms = {f"word{number}": weight / sum(weights) for number, weight in enumerate(weights)}

    shown = str(Explanation(terms, {}, context))

    assert sum(int(each) for each in re.findall(r"(\d+)%", shown)) == 100
    assert ("the rest of the document" in shown) == (context >= 0.01) or 0 < context < 0.02


def test_a_word_never_stands_in_for_itself(make: Make) -> None:
    english = {f"e{number}": f"The keepers of lighthouse {number} keep the log of the ships." for number in range(4)}
    danish = "Fyrpasserens titel er keeper, og han har passet fyret i Skagen siden 1904 sammen med sin bror."
    found = make(**english, d=danish).search("Who is the keeper of Skagen?")

    [hit] = [hit for hit in found.hits if hit.passage.file.startswith("d")]
    assert "keeper" in hit.explanation.terms
    assert "keeper" not in hit.explanation.alike.get("keeper", ())


def test_plain_hits_are_explained_by_the_words_alone() -> None:
    hit = plain(FERRIES, "ferry in the harbour").hits[0]
    assert set(hit.explanation.terms) == {"ferry", "harbour"}
    assert sum(hit.explanation.terms.values()) == pytest.approx(1)
    assert (hit.explanation.alike, hit.explanation.context) == ({}, 0.0)
