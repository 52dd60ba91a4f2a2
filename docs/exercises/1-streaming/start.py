"""Ask the small model, and show its answer when it is whole."""

import asyncio
import sys
import time

from app.errors import EscalatorError
from app.models.foundry import Foundry
from app.settings import load

QUESTION = "Why do small language models run well on a laptop?"


async def main() -> None:
    question = " ".join(sys.argv[1:]) or QUESTION
    foundry = Foundry(load())
    try:
        model = await foundry.ready(foundry.pair.small, print)  # found, started and loaded, whatever it takes
        client = await foundry.openai(model.service)  # the ordinary openai client

        start = time.perf_counter()
        completion = await client.chat.completions.create(
            model=model.id,
            messages=[{"role": "user", "content": question}],
            max_tokens=300,
            temperature=0,
        )
        print(completion.choices[0].message.content)
        print(f"\nall after {time.perf_counter() - start:.2f} s")
    finally:
        await foundry.close()


try:
    asyncio.run(main())
except EscalatorError as error:
    sys.exit(str(error))
