"""What models put around an answer is dropped while it streams, and nothing else is, however the stream is cut."""

import time
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.answering.prompt import RULES, Prompt
from app.answering.wrapping import (
    AnswerFilter,
    ConfidenceFilter,
    FenceFilter,
    SourcesFilter,
    is_no_answer,
    joined,
    whole_sentences,
    words_of,
)
from app.documents.passages import Place
from app.retrieval.packing import Evidence

LAMP = Evidence(1, "rooms/lamp.txt", "Lamp room", Place("line", "line 1", 1), 0, 5, "Lamps", "en")
NAMES = words_of([LAMP])
ANSWER = "The lamp room opens at 07:40 [1]."


def filtered(text: str, cuts: list[int]) -> str:
    edges = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    fence, sources = FenceFilter(), SourcesFilter(NAMES)
    shown = "".join(sources.feed(fence.feed(text[start:end])) for start, end in pairwise(edges))
    return shown + sources.feed(fence.close()) + sources.close()


CUTS = st.lists(st.integers(0, 1_000))


@given(CUTS)
@pytest.mark.parametrize(
    "text",
    [
        f"{ANSWER}\n\nSources:\n[1] lamp.txt, line 1",
        f"{ANSWER}\n\nSources:\n[1] On the opening of rooms",
        f"{ANSWER}\n\n---\n**Sources:**\n- rooms/lamp.txt, line 1 [1]\n",
        f"{ANSWER}\n\n## References\n1. Lamp room",
        f"{ANSWER}\nQuellen: [1], [2]",
        f"{ANSWER} Source: lamp.txt",
        f"{ANSWER}\n(Source: lamp.txt, page 12)",
        f"{ANSWER}\n\n[1] lamp.txt, line 1",
        f"{ANSWER}\n\n[^1]: Lamp room",
        f"{ANSWER}\n\nSources:",
        f"```markdown\n{ANSWER}\n```",
        f"```\n{ANSWER}\n```\n",
        f"~~~md\n{ANSWER}\n~~~",
        f"```markdown\n{ANSWER}",
        f"```markdown\n{ANSWER}\n```\n\nSources: [1]",
        f"{ANSWER}\n\nQuellen:\n• rooms/lamp.txt, Zeile 1\n• Lamp room",
        f"{ANSWER}\n\nUsed sources:\n* lamp.txt",
    ],
)
def test_what_wraps_an_answer_is_dropped_however_the_stream_is_cut(text: str, cuts: list[int]) -> None:
    assert filtered(text, cuts) == ANSWER


@given(CUTS)
@pytest.mark.parametrize(
    "text",
    [
        ANSWER,
        "Sources: coal and gas.",
        "Sources:\n- lamp.txt [1]",
        f"{ANSWER}\n\nSources of energy are coal.",
        f"{ANSWER}\nSources:\n- coal [1]\n- gas [1]\n",
        f"{ANSWER}\n\nSources: lamp.txt\n\nIt closes at 16:10 [1].",
        f"{ANSWER}\n\n[1] opens early.",
        "```sh\nls\n```",
        "```\nls\n```",
        "```\nls -l\n```\nIt lists files [1].",
        "``code`` is it.",
    ],
)
def test_what_an_answer_says_stays(text: str, cuts: list[int]) -> None:
    assert filtered(text, cuts) == text


@given(CUTS)
def test_what_comes_before_and_behind_a_fence_around_an_answer_stays(cuts: list[int]) -> None:
    assert filtered(f"```text\n{ANSWER}\n```\nI hope this helps.", cuts) == f"{ANSWER}\nI hope this helps."
    assert filtered(f"```markdown\n{ANSWER}\n```\nAsk again!", cuts) == f"{ANSWER}\nAsk again!"
    assert filtered(f"Here it is:\n\n```markdown\n{ANSWER}\n```", cuts) == f"Here it is:\n\n{ANSWER}"
    assert filtered("Here it is:\n```\nls -l\n```", cuts) == "Here it is:\n```\nls -l\n```"


def test_code_within_a_fence_keeps_its_own() -> None:
    assert filtered("```markdown\nRun:\n```sh\nls\n```\nDone.\n```", []) == "Run:\n```sh\nls\n```\nDone."


@given(st.text(st.sampled_from("`~\n[1]:. Sources lamp-*#a")), CUTS)
def test_how_the_stream_is_cut_changes_nothing(text: str, cuts: list[int]) -> None:
    assert filtered(text, cuts) == filtered(text, [])


@given(st.text(st.characters(exclude_characters="`~[:")))
def test_a_text_without_marks_is_shown_but_for_its_end_at_once(text: str) -> None:
    wrapping = SourcesFilter(NAMES)
    shown = wrapping.feed(text + " x. And so on")
    assert shown + wrapping.close() == text + " x. And so on"
    assert shown == text + " x. And so on"


# --- echoes of the prompt ---------------------------------------------------------------------------------------------

FORMULA = Evidence(5, "bm25.md", "BM25", Place("heading", "Worked example", 1), 0, 30, "k1 is 1.2 and b is 0.75.", "en")
CELLAR = replace(LAMP, number=2, place=Place("page", "page 2", 2), text="The cellar is shut.")
PROMPT = Prompt("When does the lamp room open?", (LAMP, CELLAR, FORMULA))
FENCE = PROMPT.fence


def answered(text: str, cuts: list[int], prompt: Prompt = PROMPT) -> tuple[str, bool]:
    edges = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    answer = AnswerFilter(prompt)
    shown = ""
    for start, end in pairwise(edges):
        shown += answer.feed(text[start:end])
        if answer.over:
            break
    return shown + answer.close(), answer.over


@given(CUTS)
@pytest.mark.parametrize(
    "echo",
    [
        f" <passages {FENCE}>",
        f"\n\\<passages {FENCE}>\n",
        f"\n</passages {FENCE}>\n\nQuestion: When does the lamp room open?",
        f"\n</passages {FENCE[:3]}",
        "\n</passages>",
        "\n<passages 0123abcd>\n[1] rooms/lamp.txt, line 1",
        "\n\n[5] bm25.md, Worked example\n- A: both words are in it.",
        "\n[1] rooms/lamp.txt,  line 1",
        "\n[2] rooms/lamp.txt, page 2\nThe cellar is shut.",
        "\n\n[2] bm25.md, Worked examples\nk1 is 1.2.",
        "\n\n[7] bm25.md, A heading of which there is none\nIt goes on.\n\n[8] bm25.md, Another one",
        "\n\nQuestion: Who lights the lamps?\n\nAnswer: Nobody.",
        "\n\n## Question: When does the lamp room open?",
        "\n**Question:** And then?",
        f"\n{RULES.splitlines()[1]}",
    ],
)
def test_an_answer_ends_where_the_model_goes_on_with_its_prompt(echo: str, cuts: list[int]) -> None:
    assert answered(ANSWER + echo, cuts) == (ANSWER, True)


@given(CUTS)
@pytest.mark.parametrize(
    "echo",
    [
        f"<passages {FENCE}>\n",
        f"\n</passages {FENCE}>\n\n",
        "[1] rooms/lamp.txt, line 1\n",
        "Question: When does the lamp room open?\n\n",
        f"</passages {FENCE}>\n\nQuestion: When does the lamp room open?\n",
    ],
)
def test_an_echo_before_the_answer_is_dropped(echo: str, cuts: list[int]) -> None:
    assert answered(echo + ANSWER, cuts) == (ANSWER, False)
    assert answered(f"{echo}{ANSWER}\n\nQuestion: And then?", cuts) == (ANSWER, True)


@given(CUTS)
@pytest.mark.parametrize(
    "text",
    [
        ANSWER,
        "It is in [5] bm25.md, Worked example, where both are given.",
        "The formula is there:\n- [5] bm25.md, Worked example\n- and nowhere else",
        "[5] bm25.md, Worked example says so.",
        "**[1] rooms/lamp.txt, line 1**\nIt opens early.\n\n**[5] bm25.md, Worked example**\nk1 is 1.2.",
        "[1] rooms/lamp.txt, line 1:\nIt opens early.\n\n[5] bm25.md, Worked example:\nk1 is 1.2.",
        "See the Worked example\n[5]\nand the rest.",
        "The prompt has three parts:\n- Question: the words of the user.\n- Passages.",
        "Questions are welcome.\nQuestion marks, too.",
        "a < b and c <passage> d </pass",
        "[1]\nand [2]\n",
        "  indented\n\n    code\n",
        "It ends with \\",
    ],
)
def test_what_only_resembles_the_prompt_stays(text: str, cuts: list[int]) -> None:
    shown, over = answered(text, cuts)

    assert (shown.rstrip(), over) == (text.rstrip(), False)


@given(CUTS)
def test_what_a_document_has_itself_is_no_echo(cuts: list[int]) -> None:
    text = (
        "It begins with <passages> and a line:\nQuestion: the words of the user.\n\n- Give no numbers.\n\nThat is all."
    )
    about = replace(FORMULA, text="A prompt has <passages>, then a line.\nQuestion: the words of the user.")
    prompt = replace(PROMPT, evidence=(LAMP, about))

    assert answered(text, cuts, prompt) == (text, False)
    assert answered(f"{text}\n</passages {prompt.fence}>", cuts, prompt) == (text, True)
    assert answered(f"{text}\nQuestion: {prompt.question}", cuts, prompt) == (text, True)


@given(CUTS)
def test_a_list_of_sources_is_dropped_and_no_echo(cuts: list[int]) -> None:
    for head in ("Sources:", "**Quellen**", "Kilder:"):
        assert answered(f"{ANSWER}\n\n{head}\n[1] rooms/lamp.txt, line 1", cuts) == (ANSWER, False)
    text = f"{ANSWER}\n\nSources:\n[1] rooms/lamp.txt, line 1\n\nQuestion: {PROMPT.question}\n"
    assert answered(text, cuts) == (ANSWER, True)


@pytest.mark.parametrize(
    "wish", ["Make a quiz of it", "Write one question about the lamp room", "Exam questions on lamps, please"]
)
def test_questions_that_are_asked_for_are_no_echo(wish: str) -> None:
    text = "Question: Who lights the lamps?\nAnswer: Nobody.\n\nQuestion: When?\nAnswer: At 07:40."

    assert answered(text, [], replace(PROMPT, question=wish)) == (text, False)


@pytest.mark.parametrize("question", ["How long is an answer to a how-to question?", "In which questions is it?"])
def test_a_question_about_questions_asks_for_none(question: str) -> None:
    echo = f"{ANSWER}\n\nQuestion: How long is it?"

    assert answered(echo, [], replace(PROMPT, question=question)) == (ANSWER, True)


@given(CUTS)
def test_the_token_of_the_fence_is_no_word_of_an_answer(cuts: list[int]) -> None:
    assert answered(f"The passage {FENCE} says it: {FENCE}. It opens {FENCE[:5]}", cuts) == (
        f"The passage  says it: . It opens {FENCE[:5]}",
        False,
    )


PIECES = st.sampled_from(
    [
        *(
            "\n",
            " ",
            "<",
            "</",
            "\\",
            "[",
            "[1]",
            "[5]",
            "[7] ",
            "bm25.md, ",
            "Worked example",
            "rooms/lamp.txt, line 1",
        ),
        *(
            "passages ",
            FENCE,
            ">",
            "Question",
            ":",
            " When does the lamp room open?",
            "**",
            "# ",
            "It opens.",
            "Sources",
        ),
        *("```markdown\n", "```", "- ", "\t", "."),
    ]
)


@given(st.lists(PIECES, max_size=12).map("".join), CUTS, st.booleans())
def test_how_the_stream_is_cut_changes_no_answer(text: str, cuts: list[int], confidence: bool) -> None:
    prompt = replace(PROMPT, ask_confidence=confidence)

    assert answered(text, cuts, prompt) == answered(text, [], prompt)


def test_an_answer_is_shown_as_it_comes() -> None:
    answer = AnswerFilter(PROMPT)

    assert [answer.feed(piece) for piece in ("The", " lamp", " room", ".\nIt", " opens")] == [
        *("The", " lamp", " room", ".\nIt", " opens")
    ]


@pytest.mark.parametrize(
    "unit", ["\n", " ", "#", "(", "[", "]", "*", "`", "<", "\\", ">", '"', "[1]", "<passages ", ". "]
)
@pytest.mark.parametrize("begin", ["It opens.\n", "Question: a", "It opens [1]. Sources:", "```\n"])
def test_a_piece_costs_little_behind_a_long_run_of_one_unit(begin: str, unit: str) -> None:
    answer = AnswerFilter(PROMPT)
    answer.feed(begin + unit * (20_000 // len(unit)))

    begun = time.thread_time()  # of the processor: others may use it, too
    for _ in range(10):
        answer.feed(unit)
    assert time.thread_time() - begun < 0.1


@pytest.mark.parametrize(
    ("text", "ended", "none"),
    [
        ("The answer is:", False, True),
        ("**Die Antwort auf die Frage lautet:**\n", False, True),
        ("## Answer:", True, True),
        ("On board:", False, False),
        ("The answer is: 12 GB.", True, False),
        ("It is this:\n- 12 GB", True, False),
        ("!", True, True),
        ("§", False, False),
    ],
)
def test_a_line_before_an_answer_is_none(text: str, ended: bool, none: bool) -> None:
    assert is_no_answer(text, ended=ended) is none


# --- the line of confidence -------------------------------------------------------------------------------------------


def without_confidence(pieces: list[str]) -> tuple[str, str | None]:
    line = ConfidenceFilter()
    shown = "".join([line.feed(piece) for piece in pieces]) + line.close()
    return shown, line.level


def chunked(text: str, cuts: list[int]) -> list[str]:
    edges = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    return [text[start:end] for start, end in pairwise(edges)]


@given(st.lists(st.integers(0, 1_000)))
@pytest.mark.parametrize(
    ("text", "shown", "level"),
    [
        ("It leaves at 9:30 [1].\nCONFIDENCE: low", "It leaves at 9:30 [1].", "low"),
        ("It leaves at 9:30 [1]. Confidence: high", "It leaves at 9:30 [1].", "high"),
        ("It leaves.\n\n**Confidence:** Low.\n", "It leaves.", "low"),
        ("Er fährt.\nZuversicht: gering", "Er fährt.", "low"),
        ("CONFIDENCE: low", "", "low"),
        ("Confidence is a word.", "Confidence is a word.", None),
        ("- Tempo: hoch\n- Confidence: high", "- Tempo: hoch\n- Confidence: high", None),
        ("Text that ends in con", "Text that ends in con", None),
    ],
)
def test_only_the_line_of_confidence_is_taken_out_however_the_stream_is_cut(
    text: str, shown: str, level: str | None, cuts: list[int]
) -> None:
    assert without_confidence(chunked(text, cuts)) == (shown, level)


@given(st.text(), st.lists(st.integers(0, 1_000)))
def test_a_text_without_the_line_comes_out_as_it_went_in(text: str, cuts: list[int]) -> None:
    shown, level = without_confidence(chunked(text, cuts))

    assert level is not None or shown == text


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("The lamp room opens at 07:40 [1]. It clo", "The lamp room opens at 07:40 [1]. "),
        ("The lamp room opens at 07:40 [1].", "The lamp room opens at 07:40 [1]."),
        ("Two rooms:\n- the lamp room\n- the so", "Two rooms:\n- the lamp room\n"),
        ("It costs 3.50 euros and", ""),
    ],
)
def test_an_answer_that_broke_off_is_written_on_from_its_last_whole_sentence(text: str, whole: str) -> None:
    assert whole_sentences(text) == whole


@pytest.mark.parametrize(
    ("begun", "text", "whole"),
    [
        ("It opens at 07:40 [1]. ", "It closes at noon [1].", "It opens at 07:40 [1]. It closes at noon [1]."),
        ("It opens at 07:40 [1].", " It closes at noon.", "It opens at 07:40 [1]. It closes at noon."),
        ("Hours:\n- at 07:40\n", "- at noon", "Hours:\n- at 07:40\n- at noon"),
        ("A. It opens at 07:40 [1]. ", "opens at 07:40 [1]. It closes.", "A. It opens at 07:40 [1]. It closes."),
        ("It opens at 07:40 [1]. ", "It opens at 07:40 [1]. It closes.", "It opens at 07:40 [1]. It closes."),
        ("It opens at 07:40 [1]. ", "", "It opens at 07:40 [1]."),
        ("", "It closes.", "It closes."),
    ],
)
def test_what_a_model_writes_on_is_joined_without_what_it_repeats(begun: str, text: str, whole: str) -> None:
    assert joined(begun, text) == whole
