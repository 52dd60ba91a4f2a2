"""Reasoning never reaches the text, ordinary text always does, and how the stream was cut changes nothing."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.models.reasoning import Delta, ReasoningFilter, Retraction

HARMONY = "<|channel|>analysis<|message|>Hm, a ferry.<|end|><|start|>assistant<|channel|>final<|message|>At 9:30 [1]."


def split(content: str, *, cuts: list[int] | None = None, cut: bool = False, reasoned: bool = False) -> tuple[str, str]:
    """The text and the reasoning that the filter makes of a content which comes in pieces."""
    edges = sorted({0, len(content), *(at % (len(content) + 1) for at in cuts or [])})
    sieve = ReasoningFilter()
    if reasoned:
        assert list(sieve.feed("", "Hm.")) == [Delta("Hm.", reasoning=True)]
    pieces: list[Delta] = []
    for start, end in itertools.pairwise(edges):
        pieces += sieve.feed(content[start:end])
    pieces += sieve.finish(cut=cut)
    assert all(text for text, *_ in pieces)
    if any(isinstance(piece, Retraction) for piece in pieces):
        at = max(at for at, piece in enumerate(pieces) if isinstance(piece, Retraction))
        pieces = [piece for number, piece in enumerate(pieces) if number >= at or piece.reasoning]
    return tuple("".join(text for text, thought, _ in pieces if thought is kind) for kind in (False, True))  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("content", "text", "reasoning"),
    [
        ("At 9:30 [1].", "At 9:30 [1].", ""),
        ("<think>\nHm.\n</think>\n\nAt 9:30.", "At 9:30.", "\nHm.\n"),
        ("\n<think>Hm.</think>At 9:30.", "At 9:30.", "Hm."),
        (HARMONY, "At 9:30 [1].", "Hm, a ferry."),
        (HARMONY + "<|return|>", "At 9:30 [1].", "Hm, a ferry."),
        ("<|channel|>final<|message|>At 9:30.", "At 9:30.", ""),
        ("<|start|>assistant<|channel|>final<|message|>At 9:30.<|end|>", "At 9:30.", ""),
        ("<|channel|>commentary<|message|>Hm.<|end|><|channel|>final<|message|>Yes.", "Yes.", "Hm."),
        ("analysisThe user asks.assistantfinalAt 9:30.", "At 9:30.", "The user asks."),
        ("Okay, a ferry.\n</think>\n\nAt 9:30 [1].", "At 9:30 [1].", "Okay, a ferry.\n"),
        ("\n</think>At 9:30.", "At 9:30.", "\n"),
        ("<thinking>Hm.</thinking>At 9:30.", "At 9:30.", "Hm."),
        ("[THINK]Hm.[/THINK]At 9:30.", "At 9:30.", "Hm."),
        ("At 9:30 [1].<|end|>", "At 9:30 [1].", ""),
        ("At 9:30 [1].</s>\n", "At 9:30 [1].", ""),
        ("<think>Hm.</think>At 9:30.<|im_end|>", "At 9:30.", "Hm."),
        ("At 9:30.<|im_end|>\n<|im_start|>user\nAnd then?", "At 9:30.", ""),
        (
            "analysis\nwe look.assistantanalysisMore.assistantfinal At 9:30.",
            "At 9:30.",
            "\nwe look.assistantanalysisMore.",
        ),
        ("analysisHm.assistantfinalThe word assistantfinal.", "The word assistantfinal.", "Hm."),
        ('<think type="deep">Hm.</think>At 9:30.', "At 9:30.", "Hm."),
        ("<THINKING>Hm.</THINKING>At 9:30.", "At 9:30.", "Hm."),
        ("Hm, a ferry.</THINK>At 9:30.", "At 9:30.", "Hm, a ferry."),
        ("At 9:30.<|eot_id|>", "At 9:30.", ""),
        ("At 9:30.<|end_of_text|>", "At 9:30.", ""),
        ("At 9:30.<end_of_turn>\n<start_of_turn>user\nAnd then?", "At 9:30.", ""),
        ("At 9:30.</s><s>[INST] And then?", "At 9:30.", ""),
    ],
)
def test_each_shape_of_reasoning_is_separated_from_the_text(content: str, text: str, reasoning: str) -> None:
    assert split(content) == (text, reasoning)


THOUGHT = "The user wants a departure time.\n\n1.  Passage [1] has a table: < 9:30, not 10:30.\n"
ANSWER = "The ferry leaves at **9:30** [1].\n\n- Weekends: `10:30` [2]"


@pytest.mark.parametrize(
    ("content", "thought"),
    [
        pytest.param(ANSWER, "", id="qwen3.5 and gemma-4, whose templates switch it off"),
        pytest.param(f"<think>\n\n</think>\n\n{ANSWER}<|im_end|>", "\n\n", id="qwen3.5 with an empty block"),
        pytest.param(f"<think>\n{THOUGHT}</think>\n\n{ANSWER}<|im_end|>\n", f"\n{THOUGHT}", id="qwen3.5 switched on"),
        pytest.param(f"{THOUGHT}</think>\n\n{ANSWER}", THOUGHT, id="qwen3.5, whose template opens the block"),
        pytest.param(f"<|channel>thought\n{THOUGHT}<channel|>{ANSWER}<turn|>", THOUGHT, id="gemma-4 switched on"),
        pytest.param(f"<|channel>thought\n<channel|>{ANSWER}<turn|>\n<|turn>user", "", id="gemma-4, an empty block"),
        pytest.param(f"<|channel>\n{THOUGHT}<channel|>\n{ANSWER}", THOUGHT, id="gemma-4, a channel without a name"),
        pytest.param(f"thought\n{ANSWER}", "", id="gemma-4, an empty block without its special tokens"),
        pytest.param(f"<think>{THOUGHT}</think>\n{ANSWER}<|end|>", THOUGHT, id="phi-4-mini-reasoning"),
        pytest.param(f"<think>\n{THOUGHT}</think>{ANSWER}<｜end▁of▁sentence｜>", f"\n{THOUGHT}", id="deepseek-r1"),
        pytest.param(f"[THINK]{THOUGHT}[/THINK]{ANSWER}</s>", THOUGHT, id="ministral-3"),
        pytest.param(
            f"<|channel|>analysis<|message|>{THOUGHT}<|end|><|start|>assistant<|channel|>final<|message|>{ANSWER}<|return|>",
            THOUGHT,
            id="gpt-oss",
        ),
        pytest.param(f"analysis{THOUGHT}assistantfinal{ANSWER}", THOUGHT, id="gpt-oss without its special tokens"),
    ],
)
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_what_each_family_of_the_catalogue_streams_is_told_apart(content: str, thought: str, size: int) -> None:
    assert split(content, cuts=[*range(0, len(content), size)]) == (ANSWER, thought)


@pytest.mark.parametrize(
    "content",
    [
        "",
        " ",
        "a",
        "analysis",
        "analysis of the ferries",
        "analysis: none",
        "Analysis of the ferries",
        "analyst",
        "analysisResult holds the ferries",
        "< 5 ferries",
        "<thin",
        "<thinkers are here>",
        "<think a < b",
        "<table>",
        "the analysis, assistantfinal, <think>, </think>",
        "the tag `</think>` ends it",
        "the token <|end|> ends it",
        "assistantfinal",
        "thought",
        "thoughts\nand plans",
        "thought\tful",
        "the token <channel|",
        "  indented",
    ],
)
def test_text_that_is_not_reasoning_is_unchanged(content: str) -> None:
    assert split(content)[0] == content


@pytest.mark.parametrize(
    "content",
    ["<think>Hm", "<think>Hm</thi", "<|channel|>analysis<|message|>Hm", "analysisThe user", "<|channel>thought\nHm"],
)
def test_an_answer_that_is_cut_within_its_reasoning_has_no_text(content: str) -> None:
    assert split(content, cut=True)[0] == ""


@pytest.mark.parametrize("content", ["assistantfinalIt leaves.", " \nassistantfinal It leaves.", "\nIt leaves."])
def test_what_the_server_leaves_between_its_reasoning_and_the_text_is_dropped(content: str) -> None:
    assert split(content, reasoned=True) == ("It leaves.", "")


def test_a_text_behind_separate_reasoning_may_begin_like_the_left_over_word() -> None:
    assert split("assistants help", reasoned=True)[0] == "assistants help"


def test_ordinary_text_is_given_out_piece_by_piece() -> None:
    sieve = ReasoningFilter()
    assert list(sieve.feed("The")) == [Delta("The", reasoning=False)]
    assert list(sieve.feed(" analysis < 3")) == [Delta(" analysis < 3", reasoning=False)]


def test_reasoning_is_shown_while_it_goes_on() -> None:
    sieve = ReasoningFilter()
    assert list(sieve.feed("analysisThe user")) == [Delta("The user", reasoning=True)]
    assert list(sieve.feed(" asks. assist")) == [Delta(" asks. ", reasoning=True)]
    assert list(sieve.feed("antfinalYes")) == [Delta("Yes", reasoning=False)]


def test_blanks_without_end_are_given_out_so_that_whoever_watches_can_stop_them() -> None:
    sieve = ReasoningFilter()
    assert list(sieve.feed("\n" * 20)) == []
    assert list(sieve.feed("\n" * 200)) == [Delta("\n" * 220, reasoning=False)]


def test_reasoning_that_nothing_opened_is_taken_back() -> None:
    sieve = ReasoningFilter()
    assert list(sieve.feed("Hm, a ferry.</th")) == [Delta("Hm, a ferry.", reasoning=False)]
    pieces = list(sieve.feed("ink>\nAt 9:30."))
    assert pieces == [Delta("Hm, a ferry.", reasoning=True), Delta("At 9:30.", reasoning=False)]
    assert isinstance(pieces[0], Retraction)


PARTS = [
    "<think>",
    "</think>",
    "<|channel|>",
    "<|message|>",
    "<|start|>",
    "<|end|>",
    "analysis",
    "assistantfinal",
    "final",
    "</thinking>",
    "<THINK>",
    "</Think>",
    '<think class="a">',
    "</s>",
    "<s>",
    "<|channel>",
    "<channel|>",
    "<turn|>",
    "thought",
    "`",
]
content = st.lists(st.sampled_from(PARTS) | st.text("as <|>.\nT", max_size=5), max_size=8).map("".join)


@given(content, st.lists(st.integers(0, 200), max_size=12), st.booleans(), st.booleans())
def test_how_the_stream_is_cut_into_pieces_changes_nothing(
    content: str, cuts: list[int], cut: bool, reasoned: bool
) -> None:
    assert split(content, cuts=cuts, cut=cut, reasoned=reasoned) == split(content, cut=cut, reasoned=reasoned)


@given(st.text(st.characters(exclude_characters=">]▷"), max_size=60))
def test_text_without_markers_is_never_changed(text: str) -> None:
    if not text.lstrip().startswith("analysis"):
        assert split(text) == (text, "")
