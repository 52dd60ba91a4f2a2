"""The decision is a pure function: each code for its reason, and nothing for an answer that stands."""

import inspect
import json
import time
from dataclasses import replace
from pathlib import Path

import pytest

from app.answering import escalation
from app.answering.escalation import LIMIT, THRESHOLD, early_reason, leading_answer
from app.answering.lexicon import abstains, asks_for, doubt, only_abstains
from app.answering.turn import Decision
from app.answering.verification import CheckedAnswer, check
from app.documents.passages import Place
from app.retrieval.packing import Evidence
from tests.support.drafts import decide

REFUSALS: dict[str, dict[str, list[str]]] = json.loads(
    Path(__file__).with_name("refusals.json").read_text(encoding="utf-8")
)
"""By language: drafts that decline, that guess, that answer, and sentences of documents that have words of guessing."""

NOTHING_RETRIEVED = json.loads(Path(__file__).with_name("nothing_retrieved.json").read_text(encoding="utf-8"))

TEXT = (
    "The ferry leaves the old harbour at 9:30, 10:30 and 11:30. It is quick because it has wings, and on board is "
    "a small shop. The passages through the islands do not take long; tickets are sold at the port for a price of 5273."
)
EVIDENCE = (Evidence(1, "ferry.md", "Ferry", Place("line", "line 1", 1), 0, len(TEXT), TEXT, "en"),)

WORDS = "red blue green grey small large fast slow early late".split()
LONG = (
    "The ferry leaves the old harbour at 9:30 and takes you through the islands. It is quick because it has wings. On "
    "board there is a shop, and tickets are sold at the port [1]."
)


def code(question: str, draft: str, finish: str = "stop", **given: object) -> str | None:
    return decide(question, EVIDENCE, draft, finish, **given).code  # type: ignore[arg-type]


@pytest.mark.parametrize("draft", ["", "  \n", "[1]", " [1] [2]"])
def test_a_draft_without_words_is_empty(draft: str) -> None:
    assert code("When does it leave?", draft) == "empty"


def test_a_draft_that_reached_its_longest_length_is_cut_off() -> None:
    assert code("When does it leave?", "The ferry leaves at 9:30 and", "length") == "cut_off"


def test_a_long_draft_that_ends_in_an_opening_is_cut_off_though_the_server_says_stop() -> None:
    assert code("When does it leave?", "The ferry leaves every morning from the old harbour at 9:30,") == "cut_off"


@pytest.mark.parametrize("draft", ["9:30 [1]", "5273.", "On board:", "- 9:30\n- 10:30\n- 11:30"])
def test_a_short_answer_to_a_factoid_stands(draft: str) -> None:
    assert code("What port?", draft) is None


@pytest.mark.parametrize(
    "question",
    [
        "Explain how BM25 works.",
        "How do I set up Foundry Local?",
        "Please list the steps.",
        "What are the main differences between the models?",
        "Wie kann ich ein Modell laden?",
        "Hvordan kan jeg installere det?",
        "Comment puis-je l'installer ?",
        "Nennen Sie alle Schritte.",
    ],
)
def test_a_few_words_are_short_where_an_explanation_a_list_or_a_how_to_is_asked_for(question: str) -> None:
    assert asks_for(question) == 1
    assert code(question, "It is quick because it has wings [1].") == "short"
    assert code(question, LONG) != "short"


@pytest.mark.parametrize(
    "question",
    [
        "Why is prefill slow?",
        "Warum ist das so?",
        "Waarom is dat zo?",
        "¿Por qué es lento?",
        "Perché è lento?",
        "De ce este lent?",
        "Varför är det långsamt?",
        "Hvorfor er det tregt?",
        "Pourquoi est-ce lent ?",
    ],
)
def test_a_reason_may_be_a_clause_but_not_a_word_or_two(question: str) -> None:
    assert 0 < asks_for(question) < 1
    assert code(question, "It just is [1].") == "short"
    assert code(question, "Because of the ferry that leaves at 9:30 [1].") is None


@pytest.mark.parametrize(
    "question",
    [
        "What port?",
        "How many points did they score?",
        "How much does it cost?",
        "How old is the bridge?",
        "Who wrote it?",
        "When was it built?",
        "Wie viel kostet das?",
        "Wie heißt der Fluss?",
        "Nennen Sie einen Komponisten.",
        "Cum se numea compania?",
        "Hvor mange er der?",
        "Quelle heure est-il ?",
    ],
)
def test_a_factoid_is_never_short(question: str) -> None:
    assert asks_for(question) == 0
    assert code(question, "Nine [1].") is None


def test_the_trainers_number_decides_what_is_short() -> None:
    assert code("Explain it.", "It is quick [1].", short_chars=0) is None
    assert code("Explain it.", LONG, short_chars=1_000) == "short"
    assert code("Explain it.", LONG, short_chars=100) is None


@pytest.mark.parametrize(
    "draft",
    [
        "I do not know.",
        "The passages do not mention the price.",
        "The provided context does not contain information about that [1].",
        "Das weiß ich leider nicht, die Dokumente enthalten keine Angaben dazu.",
        "Dokumenterne indeholder ikke oplysninger om det.",
        "De documenten bevatten geen informatie over de prijs.",
        "Je ne sais pas.",
    ],
)
def test_a_first_sentence_that_declines_is_an_abstention_when_passages_were_found(draft: str) -> None:
    assert code("What does it cost?", draft) == "abstained"
    assert decide("What does it cost?", (), draft, "stop").code is None


def test_a_later_sentence_that_declines_is_not() -> None:
    draft = "The ferry leaves at 9:30 [1]. The passages do not mention the price."
    assert code("When does it leave?", draft) is None


def test_a_quoted_refusal_is_not_the_models_own() -> None:
    sign = (replace(EVIDENCE[0], text="At the pier is a sign. The sign says “I do not know”."),)

    assert decide("What does the sign say?", sign, "The sign says “I do not know” [1].", "stop").code is None


@pytest.mark.parametrize(
    "draft",
    [
        "I am not sure, but it may leave at 9:30 [1].",
        "It leaves at 9:30. I'm not entirely certain, though.",
        "Ich bin mir nicht sicher, vielleicht um 9:30.",
        "Jeg er ikke sikker, men måske 9:30.",
    ],
)
def test_a_model_that_says_it_is_not_sure_is_believed(draft: str) -> None:
    assert code("When does it leave?", draft) == "unsure"


@pytest.mark.parametrize("language", REFUSALS)
def test_a_refusal_is_known_in_many_wordings_and_called_one(language: str) -> None:
    drafts = REFUSALS[language]["refusals"]

    assert [draft for draft in drafts if code("What?", draft) != "abstained"] == []


@pytest.mark.parametrize("language", REFUSALS)
def test_a_short_answer_that_is_a_guess_counts_as_unsure(language: str) -> None:
    drafts = REFUSALS[language]["guesses"]

    assert [draft for draft in drafts if code("What?", draft) != "unsure"] == []


@pytest.mark.parametrize("language", REFUSALS)
def test_denials_and_caveats_and_doubts_of_others_are_answers(language: str) -> None:
    drafts = REFUSALS[language]["answers"]

    assert [draft for draft in drafts if code("What?", draft) in ("abstained", "unsure")] == []


@pytest.mark.parametrize("language", REFUSALS)
def test_a_word_of_guessing_that_the_documents_have_is_theirs(language: str) -> None:
    drafts = REFUSALS[language]["quoted"]

    assert [draft for draft in drafts if doubt(draft, f"In the old town. {draft}")] == []
    assert [draft for draft in drafts if doubt(draft, "In the old town.") is None] == []


def test_a_question_that_a_draft_repeats_is_not_its_answer() -> None:
    assert code("When does it leave?", "When does it leave? I don't know.") == "abstained"


def test_the_words_that_show_doubt_are_named_as_the_model_wrote_them() -> None:
    assert "“Probably”" in decide("When?", EVIDENCE, "Probably at nine.", "stop").why
    assert "“I am not sure”" in decide("When?", EVIDENCE, "It leaves at 9:30, but I am not sure.", "stop").why


def test_the_models_own_low_counts_and_its_high_does_not() -> None:
    assert code("When does it leave?", "At 9:30 [1].", confidence="low") == "unsure"
    assert code("Explain it.", "At 9:30 [1].", confidence="high") == "short"
    assert code("When does it leave?", "At 9:30 [1].", confidence="high") is None


def test_a_draft_whose_wording_the_passages_lack_is_unsupported_from_the_threshold_on() -> None:
    draft = (
        "The ferry leaves the old harbour at 9:30. Wonderful hospitality awaits travellers throughout, surrounded by "
        "magnificent unspoilt scenery."
    )
    decision = decide("When does it leave?", EVIDENCE, draft, "stop")

    assert decision.code == "unsupported"
    assert THRESHOLD <= decision.score < 1
    assert decide("When?", EVIDENCE, draft, "stop", threshold=decision.score).code == "unsupported"
    assert decide("When?", EVIDENCE, draft, "stop", threshold=decision.score + 0.01).code is None
    assert "%" in decision.why


def test_a_draft_of_which_nothing_is_found_in_the_passages_is_unsupported_whatever_its_score() -> None:
    one = "Penguins raise their young on windswept islands."
    three = f"{one} Whales sing loudly during summer nights. Seagulls follow trawlers across oceans."

    alone = decide("When?", EVIDENCE, one, "stop", threshold=2.0)
    together = decide("When?", EVIDENCE, three, "stop", threshold=2.0)

    assert (alone.code, alone.why) == ("unsupported", f"“{one}” is not in your documents.")
    assert (together.code, together.why) == ("unsupported", "None of its 3 statements is in your documents.")


@pytest.mark.parametrize(
    ("question", "draft", "why"),
    [
        ("What does it cost?", "Tickets are sold at the port for a price of 290.", "290 is not in [1]."),
        ("When does it leave?", "The ferry leaves at 9:45 and 12:45.", "9:45 and 12:45 are not in [1]."),
        ("Who?", "Captain Anna Holm greets everyone on the ferry.", "Holm is not in [2]."),
        ("When?", "The ferry leaves at 9:30. It sails in rain. Whales sing. It costs 290.", "290 is not in [2]."),
        (
            "When?",
            "The ferry leaves at 9:30. It sails in rain. Whales weigh 290 t.",
            "290 is not in your documents.",
        ),
    ],
)
def test_a_number_that_its_source_lacks_or_a_name_in_place_of_another_is_the_reason(
    question: str, draft: str, why: str
) -> None:
    text = "Captain Anna Berg greets everyone on the ferry. Tickets cost 5273. It sails in rain."
    items = (*EVIDENCE, replace(EVIDENCE[0], number=2, text=text, end=len(text)))

    decision = decide(question, items, draft, "stop", threshold=2.0)

    assert (decision.code, decision.why) == ("unsupported", why)


@pytest.mark.parametrize(
    ("question", "draft"),
    [
        ("Does a ticket cost 290?", "No, tickets are sold at the port for a price of 5273 and not of 290."),
        ("When?", "The ferry leaves the old harbour of pier B12 at 9:30, as version v4 has it."),
        ("When?", "The ferry of Anna Holm, who is well known, leaves the old harbour at 9:30."),
        ("When?", "1. The ferry leaves at 9:30.\n2. Tickets are sold at the port.\n3. It is quick."),
    ],
)
def test_what_the_question_said_and_what_may_be_known_from_elsewhere_is_not_wrong(question: str, draft: str) -> None:
    assert decide(question, EVIDENCE, draft, "stop", threshold=2.0).code is None


def test_a_draft_of_which_more_than_half_is_not_found_is_unsupported() -> None:
    whales = "Whales sing loudly during summer nights. Penguins raise their young on windswept islands."
    found = "The ferry leaves the old harbour at 9:30."

    more = decide("When?", EVIDENCE, f"{found} {whales}", "stop", threshold=2.0)
    half = decide("When?", EVIDENCE, f"{found} Tickets are sold at the port. {whales}", "stop", threshold=2.0)

    assert (more.code, more.why) == ("unsupported", "2 of its 3 statements are not in your documents.")
    assert half.code is None


FÄHRE = (
    "Die Fähre verlässt den alten Hafen um 9:30 Uhr und fährt dann durch die Inseln. Sie ist schnell, weil sie Flügel "
    "hat. Karten werden im Hafen verkauft; auf dem Schild steht “Please stand behind the yellow line at all times”."
)


@pytest.mark.parametrize(
    ("draft", "kept"),
    [
        ("At 9:30", True),
        ("The ferry leaves at 9:30 [1].", True),
        ("The ferry leaves at", False),
        ("The ferry leaves at 9:30 from the old harbour, and tickets are sold on board [1].", False),
    ],
)
def test_a_draft_behind_which_the_model_repeats_the_prompt_is_kept_if_it_is_a_short_answer(
    draft: str, kept: bool
) -> None:
    decision = decide("When does the ferry leave?", EVIDENCE, draft, "stop", echoed=True)

    assert (decision.code is None) == kept
    assert kept or decision.why == "The draft goes on with the words of the prompt."
    assert decide("When does the ferry leave?", EVIDENCE, draft, "stop").code is None


@pytest.mark.parametrize(
    ("question", "begun", "circles"),
    [
        (
            "What does a ticket cost?",
            "A ticket has a price of 5273.",
            " The reason is that whales are seen from the bow." * 4,
        ),
        ("When does the ferry leave?", "The ferry leaves at 9:30.", " Whales are seen from the bow." * 4),
        ("Why is it quick?", "It is quick because it has wings, and on board is a small shop.", ""),
    ],
)
def test_the_beginning_of_a_draft_in_circles_answers_if_it_has_a_fact_from_the_sentence_that_answers(
    question: str, begun: str, circles: str
) -> None:
    draft = begun + (circles or f" {begun}" * 3)

    assert code(question, draft) in ("repeated", "unsupported")
    assert leading_answer(question, check(draft, EVIDENCE, question)) == begun


@pytest.mark.parametrize(
    ("question", "draft"),
    [
        ("When does the ferry leave?", "The answer is 9."),  # a number that stands nowhere by itself
        ("When does the ferry leave?", "The ferry leaves the old harbour."),  # nothing that the question lacks
        ("What does a ticket cost?", "The ferry leaves at 9:30. The price is 5273."),  # another sentence's fact
        ("When does the ferry leave?", "The ferry leaves at 8:30."),
        ("When does the ferry leave?", "Whales are seen from the bow. The ferry leaves at 9:30."),
        ("Explain how the ferry works.", "It is quick because it has wings, and on board is a small shop."),
        ("Wann fährt die Fähre ab?", "Die Fähre fährt um 9:30 Uhr ab."),  # compared by its numbers alone
    ],
)
def test_other_drafts_in_circles_have_no_beginning_that_answers(question: str, draft: str) -> None:
    assert leading_answer(question, check(f"{draft} " * 4, EVIDENCE, question)) == ""


GERMAN = (Evidence(1, "faehre.md", "Fähre", Place("line", "line 1", 1), 0, len(FÄHRE), FÄHRE, "de"),)


@pytest.mark.parametrize(
    ("question", "draft", "why"),
    [
        (
            "Wann fährt die Fähre ab?",
            "The ferry leaves the old harbour at 9:30 and then it takes you through the islands.",
            "The draft is in English, the question in German.",
        ),
        (
            "Wann fährt die Fähre ab?",
            "Le bateau quitte le vieux port à 9:30 et il passe ensuite entre les îles.",
            "The draft is in French, the question in German.",
        ),
        (
            "When does the ferry leave?",
            "Die Fähre verlässt den alten Hafen um 9:30 Uhr und fährt durch die Inseln.",
            "The draft is in German, the question in English.",
        ),
    ],
)
def test_a_draft_in_another_language_than_the_question_is_a_reason(question: str, draft: str, why: str) -> None:
    decision = decide(question, GERMAN, draft, "stop", threshold=2.0)

    assert (decision.code, decision.why) == ("language", why)


def test_passages_in_the_language_of_the_draft_are_no_excuse_beside_some_in_that_of_the_question() -> None:
    draft = "The ferry leaves the old harbour at 9:30 and takes you through the islands."

    assert decide("Wann fährt die Fähre ab?", (*GERMAN, *EVIDENCE), draft, "stop").code == "language"
    assert decide("When does the ferry leave?", (*GERMAN, *EVIDENCE), draft, "stop").code is None


@pytest.mark.parametrize(
    ("question", "draft"),
    [
        ("Wann fährt die Fähre ab?", "At 9:30."),
        ("Was steht auf dem Schild?", "“Please stand behind the yellow line at all times”"),
        ("Was steht auf dem Schild?", "Please stand behind the yellow line at all times"),
        ("Wie heißt das Buch?", "The Old Man and the Sea"),
        ("Wie startet man sie?", "`for each in range(10): if not each: print(the, and, that, with)`"),
        (
            "Wann fährt sie? Answer in English!",
            "The ferry leaves the old harbour at 9:30 through the islands.",
        ),
        ("Übersetze bitte, wann die Fähre fährt.", "The ferry leaves the old harbour at 9:30 through the islands."),
        ("When does the ferry leave?", "The ferry leaves the old harbour at 9:30 and takes you through the islands."),
        ("Fähre?", "The ferry leaves the old harbour at 9:30 and takes you through the islands."),
    ],
)
def test_names_quotations_code_and_a_language_that_may_be_meant_are_no_other_language(
    question: str, draft: str
) -> None:
    assert decide(question, GERMAN, draft, "stop", threshold=2.0).code != "language"


@pytest.mark.parametrize(
    ("language", "question", "draft"),
    [
        (
            "no",
            "Når går ferja fra havna?",
            "Færgen går fra den gamle havn klokken 9:30 og sejler mellem øerne.",
        ),
        ("da", "Hvornår går færgen fra havnen?", "Ferja går fra den gamle havna klokka 9:30 og seiler mellom øyene."),
        ("nl", "Wanneer vertrekt de boot in de haven?", "De boot vertrekt in de oude haven en is in de winter later."),
    ],
)
def test_neighbouring_languages_are_not_told_apart(language: str, question: str, draft: str) -> None:
    items = tuple(replace(item, text=draft, end=len(draft), language=language) for item in EVIDENCE)

    assert decide(question, items, draft, "stop", threshold=2.0).code is None


@pytest.mark.parametrize(
    ("question", "draft"),
    [
        ("What leaves the old harbour?", "The old harbour."),
        ("What does leaving the old harbour mean?", "The answer is: `leaving the old harbour` [1]."),
        (
            "Why does it take so long through the islands?",
            "Because it does take long through the islands.",
        ),
        ("Was verlässt den alten Hafen?", "Den alten Hafen."),
        ("Which ferry made an all new timetable possible?", "The ferry made an all new timetable possible."),
        ("What do I do if no ferry leaves?", "No ferry leaves."),
        ("What left the old harbour in 2009?", "What left the old harbour in 2009?"),
    ],
)
def test_a_draft_that_only_repeats_words_of_its_question_is_empty(question: str, draft: str) -> None:
    decision = decide(question, EVIDENCE if question[:3] != "Was" else GERMAN, draft, "stop")

    assert (decision.code, decision.why) == ("empty", "The draft only repeats words of the question.")


@pytest.mark.parametrize(
    ("question", "draft"),
    [
        ("Does the ferry leave the old harbour?", "The ferry leaves the old harbour."),
        ("Where does the ferry not leave from, is it the old harbour?", "Yes, the old harbour."),
        ("Which is quicker, the ferry or the tram?", "The ferry."),
        ("Which of 9:30, 10:30 and 12:30 is a time of the ferry?", "9:30"),
        ("How many tickets are sold on board?", "None of the tickets."),
        ("In which of the years 2008 and 2009 did the ferry leave?", "The ferry did leave in 2009."),
        ("What plan is best?", "Plan B"),
        ("When does the ferry leave?", "The ferry leaves at 9:30."),
        ("Was fährt schneller, die Fähre oder die Bahn?", "Die Fähre."),
    ],
)
def test_yes_no_a_choice_and_a_number_are_answers_in_words_of_the_question(question: str, draft: str) -> None:
    evidence = GERMAN if question.startswith("Was") else EVIDENCE

    assert decide(question, evidence, draft, "stop", threshold=2.0).code is None


def test_a_short_answer_in_the_language_of_a_question_to_passages_in_another_is_not_compared() -> None:
    assert decide("Wo fährt die Fähre ab?", EVIDENCE, "Am alten Hafen.", "stop", threshold=2.0).code is None
    assert decide("Where does it go?", EVIDENCE, "Am alten Hafen.", "stop", threshold=2.0).code == "unsupported"


def test_a_decision_rests_on_the_check_that_it_is_given() -> None:
    draft = "Penguins raise their young on windswept islands."
    checked = CheckedAnswer(draft, EVIDENCE)

    assert decide("When?", EVIDENCE, draft, "stop", checked=checked, threshold=2.0).code is None


def test_the_ration_does_not_touch_reasons_that_need_no_weighing() -> None:
    assert code("When?", "", threshold=2.0) == "empty"
    assert code("When?", "I do not know.", threshold=2.0) == "abstained"


def test_a_draft_that_repeats_itself_is_found_out() -> None:
    assert code("When?", "The ferry leaves at 9:30. " * 5) == "repeated"
    assert code("When?", "At 9:30 " + "!" * 90) == "repeated"


def test_a_draft_that_stops_within_its_second_sentence_is_cut_off() -> None:
    assert code("When?", "The ferry leaves at 9:30. The ferry leaves at") == "cut_off"


@pytest.mark.parametrize(
    "draft",
    [
        "Sorry, the ferry leaves at 9:30 today.",
        "I'm afraid the ferry leaves at 9:30, not later.",
        "Leider ist die Fähre um 9:30 Uhr schon gefahren.",
        "Malheureusement, le ferry est parti à neuf heures.",
        "It is not possible to board the ferry after 9:30.",
        "While the passages do not name the pier, they say that the ferry leaves at 9:30.",
        "The ferry does not leave on Sundays.",
        "Nein, die Fähre fährt sonntags nicht.",
    ],
)
def test_regret_concession_and_denial_are_answers(draft: str) -> None:
    assert not abstains(draft)


@pytest.mark.parametrize("case", NOTHING_RETRIEVED, ids=lambda case: f"{case['language']}: {case['draft'][:40]}")
def test_where_nothing_was_found_a_refusal_is_kept_and_anything_else_marked(case: dict[str, str]) -> None:
    decision = decide(case["question"], (), case["draft"], "stop")

    assert decision.code is None
    assert (decision.score == LIMIT) is case["outside"]


def test_where_nothing_was_found_no_draft_is_sent_to_the_large_model_but_an_empty_one() -> None:
    assert decide("How?", (), "Press the button and wait for", "length").code is None
    assert decide("How?", (), "I am not sure, but press it.", "stop", confidence="low").code is None
    assert decide("How?", (), "", "stop").code == "empty"


def test_the_cases_of_nothing_found_speak_six_languages_and_more() -> None:
    languages = {case["language"] for case in NOTHING_RETRIEVED}

    assert len(NOTHING_RETRIEVED) >= 40
    assert all(sum(case["language"] == code for case in NOTHING_RETRIEVED) >= 8 for code in "en de fr es nl ro".split())
    assert len(languages) == 10


def test_a_refusal_that_goes_on_to_answer_does_not_only_refuse() -> None:
    assert only_abstains("I do not know. You may want to ask the harbour office, or upload a timetable.")
    assert not only_abstains("The passages do not say so, but ferries usually leave at nine.")


def test_while_a_draft_is_written_its_first_sentence_tells_when_it_is_complete() -> None:
    assert early_reason("The passages do not mention the") is None
    decision = early_reason("The passages do not mention the price. They")
    assert decision is not None
    assert decision.code == "abstained"
    assert early_reason("The passages do not mention the price. They", refusals=False) is None
    assert early_reason("The ferry leaves at 9:30. The passages do not mention the price. They") is None


def test_while_a_draft_is_written_a_loop_tells_at_any_time() -> None:
    draft = "The ferry leaves at 9:30. "
    decisions = [early_reason(draft[:end]) for draft in [draft * 6] for end in range(len(draft))]

    assert decisions[60] is None
    assert isinstance(decisions[-1], Decision)
    assert decisions[-1].code == "repeated"


def test_a_decision_takes_a_few_milliseconds() -> None:
    passage = " ".join(f"The {word} ferry number {n} leaves pier {n % 7}." for n in range(17) for word in WORDS)
    items = tuple(Evidence(n, "a.md", "", Place("line", "", 1), 0, 800, passage, "en") for n in range(1, 3))
    draft = " ".join(f"{word} boats sail to {word}town at {n}:{n}5, I think so." for n in range(7) for word in WORDS)
    assert len(draft.split()) >= 300
    checked = check(draft, items)
    decide("Which?", items, draft, "stop", checked=checked)

    def seconds() -> float:
        begun = time.process_time()
        decide("Which?", items, draft, "stop", checked=checked)
        return time.process_time() - begun

    assert min(seconds() for _ in range(20)) < 0.03  # ten times of what it takes


def test_the_decision_is_a_pure_function() -> None:
    draft = "Penguins raise their young on windswept islands near Antarctica."

    assert {decide("When?", EVIDENCE, draft, "stop") for _ in range(3)} == {decide("When?", EVIDENCE, draft, "stop")}
    assert not inspect.iscoroutinefunction(escalation.decide)


def test_a_model_that_doubts_its_own_words_raises_the_score_but_not_over_the_first_threshold() -> None:
    draft = "The ferry leaves the old harbour at 9:30 [1]."
    sure, unsure, unknown = (decide("When?", EVIDENCE, draft, "stop", certainty=each) for each in (0.9, 0.05, None))

    assert unknown.score <= sure.score < unsure.score < THRESHOLD
    assert unsure.code is None
    rationed = decide("When?", EVIDENCE, draft, "stop", certainty=0.05, threshold=0.3)
    assert rationed.code == "unsupported"
    assert "5%" in rationed.why


def test_a_reason_quotes_the_part_of_the_draft_that_it_rests_on() -> None:
    draft = "The ferry leaves the old harbour at 9:30. Penguins raise their young on windswept icebergs nearby."
    why = decide("When does it leave?", EVIDENCE, draft, "stop", threshold=0.3).why

    assert "% of this part of the draft is not in the passages: “" in why
    assert "Penguins raise their young on windswept icebergs nearby”." in why


def test_a_reason_names_three_names_and_numbers_at_most() -> None:
    draft = (
        "The ferry leaves the old harbour at 9:30, 10:30 and 11:30. It is quick because it has wings, says Ann Lee of "
        "Hull, and on board is a small shop."
    )
    why, more = (
        decide("When does it leave?", EVIDENCE, each, "stop", threshold=0.1).why
        for each in (draft, f"{draft} So do Bob and Joe.")
    )

    assert why == "Neither in the passages nor in the question: “Ann”, “Lee” and “Hull”."
    assert "“Ann”, “Lee”, “Hull” and 2 more." in more


def test_a_short_draft_is_not_compared_with_passages_in_another_language_than_the_question() -> None:
    answer = "Hafen und Stadtpark"

    assert decide("Wann fährt die Fähre vom alten Hafen ab und wer ist an Bord?", EVIDENCE, answer, "stop").score < 0.1
    assert decide("When does it leave?", EVIDENCE, answer, "stop").score > THRESHOLD


def test_every_escalation_says_why_in_a_sentence() -> None:
    cases = {
        "empty": ("What?", "", "stop"),
        "cut_off": ("What?", "A b", "length"),
        "short": ("Explain it.", "So.", "stop"),
        "abstained": ("What?", "I do not know.", "stop"),
        "unsure": ("What?", "I think so, but I'm not certain.", "stop"),
        "repeated": ("What?", "So it is. " * 20, "stop"),
        "unsupported": ("What?", "Penguins raise their young on windswept islands near Antarctica.", "stop"),
    }
    for expected, (question, draft, finish) in cases.items():
        decision = decide(question, EVIDENCE, draft, finish)

        assert decision.code == expected
        assert not decision.why[0].islower()
        assert decision.why.endswith(".")
