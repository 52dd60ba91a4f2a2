"""Search words in the languages of the documents, by one short call, for a question in another language."""

from collections.abc import Sequence
from contextlib import aclosing
from functools import partial

from app.answering.emitting import Emit
from app.answering.events import Progress
from app.answering.prompt import Message
from app.documents.language import name
from app.models import chat
from app.models.foundry import Foundry

INSTRUCTION = """\
Translate the question of the user into search words in {languages}. Write the words that matter, names unchanged, with
blanks between them, on one line, and nothing else."""

MAX_TOKENS = 60
MOST_LANGUAGES = 3
LONGEST = 300
"""Characters of what a model writes that are searched for."""


async def search_words(question: str, languages: Sequence[str], models: Foundry, emit: Emit) -> str:
    """Words to be searched besides those of the question; raises ModelError."""
    names = " and ".join(name(code) for code in languages[:MOST_LANGUAGES])
    small, large = models.pair.of("small")
    emit(Progress(f"Asking {small} for search words in {names}"))
    model = await models.ready(small, partial(_say, emit), instead_of=large)
    prompt: list[Message] = [
        {"role": "system", "content": INSTRUCTION.format(languages=names)},
        {"role": "user", "content": question},
    ]
    text = ""
    async with models.slot(model):
        stream = chat.answer(models, model, prompt, max_tokens=MAX_TOKENS, instead_of=large)
        async with aclosing(stream):
            async for piece in stream:
                if isinstance(piece, chat.Delta) and not piece.reasoning:
                    text += piece.text
    return " ".join(text.split())[:LONGEST]


def _say(emit: Emit, text: str) -> None:
    emit(Progress(text))
