"""A body is a conversation with a question at its end; the description of the API has the fields that are read."""

import json
from pathlib import Path

import pytest

from app.answering.turn import Turn
from app.gateway import openai_format
from app.gateway.openai_format import CompletionRequest, Message, conversation, without_additions
from app.retrieval.search import Exchange

DESCRIPTION = Path(openai_format.__file__).with_name("openapi.json")


def test_the_description_has_the_fields_that_are_read() -> None:
    schemas = json.loads(DESCRIPTION.read_text(encoding="utf-8"))["components"]["schemas"]
    expected = CompletionRequest.model_json_schema(ref_template="#/components/schemas/{model}")

    parts = expected.pop("$defs")
    assert schemas == parts | {"CompletionRequest": expected}


def message(role: str, content: str) -> Message:
    return Message.model_validate({"role": role, "content": content})


@pytest.mark.parametrize(
    ("said", "question", "history"),
    [
        ("user:Hello", "Hello", []),
        ("system:Be kind|user:a|assistant:b|user:c", "c", [("a", "b")]),
        ("user:a|user:b|assistant:c|assistant:d|user:e", "e", [("a\n\nb", "c\n\nd")]),
        ("assistant:Welcome!|user:a", "a", []),
        ("user:a|assistant:b|user:c|tool:9:30|assistant:d", "c", [("a", "b")]),
    ],
)
def test_the_last_question_is_answered_and_what_was_said_before_is_history(
    said: str, question: str, history: list[tuple[str, str]]
) -> None:
    messages = [message(*each.split(":", 1)) for each in said.split("|")]

    assert conversation(messages) == (question, tuple(Exchange(*each) for each in history))


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("At 9:30 [1].", "At 9:30 [1]."),
        ("At 9:30 [1].\n\n---\n\n*Sources: [1] ferry.md, line 1*", "At 9:30 [1]."),
        ("At 9:30.\n\n---\n\n*Note: Ask again.*\n\n*Sources: [1] a.md, line 1*", "At 9:30."),
        ("No idea.\n\n*Escalated to gpt-oss-20b: The draft declines.*\n\nAt 9:30 [1].", "At 9:30 [1]."),
        ("No idea.\n\n*Escalated to gpt-oss-20b: It declines.*\n\n", "No idea."),
        ("Hm.\n\n*So far the model was thinking. The answer:*\n\nAt 9:30.", "At 9:30."),
        ("One.\n\n---\n\nTwo.", "One.\n\n---\n\nTwo."),
        ("A *word* of mine.", "A *word* of mine."),
    ],
)
def test_our_own_lines_and_a_replaced_draft_are_taken_out(text: str, left: str) -> None:
    assert without_additions(text).strip() == left


def test_a_reference_takes_the_place_of_the_documents_and_an_empty_one_leaves_none() -> None:
    def asked(**more: str) -> Turn:
        body = {"model": "m", "messages": [{"role": "user", "content": "When?"}], **more}
        return CompletionRequest.model_validate(body).turn({"m": Turn("", mode="large")})

    [text] = asked(reference="The bus leaves at 7:15.").brought
    assert text.text == "The bus leaves at 7:15."
    assert asked(reference="The bus leaves at 7:15.").scope == (text.file,)
    assert asked(reference=" ").unaided
    assert not asked().unaided
    assert asked().brought == ()
    assert asked(reference="x").mode == "large"
