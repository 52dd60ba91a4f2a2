"""Answer from a reference text: look for passages that hold the words of the question, and ask the small model."""

import asyncio
import sys

from app.errors import EscalatorError
from app.models.foundry import Foundry
from app.settings import load

PASSAGES = [
    "Foundry Local runs language models on your own machine and offers APIs that openai clients understand.",
    "A small language model needs 2 to 4 GB of memory and answers at once.",
    "RAG means retrieval-augmented generation: passages are looked up before the model answers from them.",
]


def find(question: str, count: int = 2) -> list[str]:
    """The passages that hold the most words of the question."""
    words = question.lower().split()
    return sorted(PASSAGES, key=lambda passage: -sum(word in passage.lower() for word in words))[:count]


async def main() -> None:
    question = " ".join(sys.argv[1:]) or "What is RAG?"
    found = find(question)
    for passage in found:
        print("found:", passage)
    context = "\n".join(found)
    prompt = f"Answer only from these passages:\n{context}\n\nQuestion: {question}"
    foundry = Foundry(load())
    try:
        model = await foundry.ready(foundry.pair.small, print)
        client = await foundry.openai(model.service)
        completion = await client.chat.completions.create(
            model=model.id, messages=[{"role": "user", "content": prompt}], max_tokens=300, temperature=0
        )
        print("answer:", completion.choices[0].message.content)
    finally:
        await foundry.close()


try:
    asyncio.run(main())
except EscalatorError as error:
    sys.exit(str(error))
