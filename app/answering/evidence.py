"""The evidence for a turn: that of an earlier answer, how a document's parts begin, or what is found now."""

import asyncio
from typing import TYPE_CHECKING

from app.answering.aim import Aim
from app.answering.emitting import Emit
from app.answering.escalation import opening
from app.answering.events import Progress, Retrieved
from app.answering.translation import search_words
from app.answering.turn import Turn
from app.errors import ModelError
from app.models.foundry import Service
from app.retrieval.search import SearchResult

if TYPE_CHECKING:
    from app.answering.assistant import Assistant

TOLD_SECONDS = 0.5
"""Between two words about how far reading is."""


async def evidence_for(
    assistant: "Assistant", turn: Turn, aim: Aim, search: "asyncio.Future[Service]", emit: Emit
) -> Retrieved:
    """The evidence, none for an unaided turn; `search` is that for a model server. Raises CorpusError."""
    earlier, searching = turn.earlier, assistant.searching
    if turn.unaided:
        return Retrieved(SearchResult(turn.question, (), (), (), 0.0), (), (), 0.0)
    if earlier is not None and earlier.found is not None and earlier.attempt is not None:
        return Retrieved(earlier.found, earlier.evidence, (), 0.0)
    if aim.file:
        return await asyncio.to_thread(searching.summed_up, aim.turn, aim.file)
    retrieval = asyncio.ensure_future(asyncio.to_thread(searching.retrieve, aim.turn))
    while not (await asyncio.wait([retrieval], timeout=TOLD_SECONDS))[0]:
        if (reading := searching.reading) is not None:
            emit(Progress(f"Reading your documents: {reading}"))
    retrieved = retrieval.result()
    if retrieved.found.foreign and earlier is None:
        return await _translated(assistant, aim.turn, search, retrieved, emit)
    return retrieved


async def _translated(
    assistant: "Assistant", turn: Turn, search: "asyncio.Future[Service]", retrieved: Retrieved, emit: Emit
) -> Retrieved:
    """What is found with search words in the documents' languages as well; as it is where no model gives any."""
    searching, models = assistant.searching, assistant.models
    try:
        await assistant.found(search, emit)
        languages = await asyncio.to_thread(lambda: searching.languages)
        words = await search_words(turn.question, languages, models, emit)
    except ModelError:  # said with the answer
        return retrieved
    if opening(words) is not None:  # it declined
        return retrieved
    return await asyncio.to_thread(searching.retrieve, turn, words)
