"""Answer from a reference text: rank its paragraphs by BM25, ask the small model, and show what it cites."""

import asyncio
import re
import sys

from app.errors import EscalatorError
from app.models.foundry import Foundry
from app.retrieval.bm25 import BM25
from app.settings import load

REFERENCE = """
Foundry Local runs language models on your own machine and offers APIs that openai clients understand.

A small language model needs 2 to 4 GB of memory and answers at once.

RAG means retrieval-augmented generation: passages are looked up before the model answers from them.
"""
"""Paste your own text here. An empty line ends a paragraph."""


def words(text: str) -> list[str]:
    """Whole words, without punctuation and capitals: "is" is no part of "APIs", and "RAG?" is "rag"."""
    return re.findall(r"\w+", text.lower())


def find(question: str, reference: str, count: int = 2) -> list[str]:
    """The best paragraphs that hold at least one word of the question; none if there is none."""
    paragraphs = [paragraph.strip() for paragraph in reference.split("\n\n") if paragraph.strip()]
    scores = BM25([words(paragraph) for paragraph in paragraphs]).get_scores(words(question))
    best = sorted(zip(scores, paragraphs, strict=True), key=lambda pair: -pair[0])[:count]
    return [paragraph for score, paragraph in best if score > 0]


async def main() -> None:
    question = " ".join(sys.argv[1:]) or "What is RAG?"
    found = find(question, REFERENCE)
    if not found:
        print("No word of the question stands in the reference text. The model is not asked.")
        return
    context = "\n".join(f"[{number}] {passage}" for number, passage in enumerate(found, 1))
    rule = "Answer only from these passages. After each statement give the number of its passage, like this: [1]."
    foundry = Foundry(load())
    try:
        model = await foundry.ready(foundry.pair.small, print)
        client = await foundry.openai(model.service)
        prompt = f"{rule}\n\n{context}\n\nQuestion: {question}"
        completion = await client.chat.completions.create(
            model=model.id, messages=[{"role": "user", "content": prompt}], max_tokens=300, temperature=0
        )
        answer = completion.choices[0].message.content or ""
        print("answer:", answer)
        for number, passage in enumerate(found, 1):
            print("cited:" if f"[{number}]" in answer else "not cited:", f"[{number}] {passage}")
    finally:
        await foundry.close()


try:
    asyncio.run(main())
except EscalatorError as error:
    sys.exit(str(error))
