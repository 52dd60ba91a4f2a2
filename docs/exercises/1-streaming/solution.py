"""Ask the small model, show its answer while it is written, and measure the first token."""

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
        first = None
        stream = await client.chat.completions.create(
            model=model.id,
            messages=[{"role": "user", "content": question}],
            max_tokens=300,
            temperature=0,
            stream=True,
        )
        async with stream:  # closed, so that the model stops writing, also when you press Ctrl+C
            async for chunk in stream:
                text = chunk.choices[0].delta.content if chunk.choices else None  # the last chunk may hold no text
                if text:
                    first = first or time.perf_counter() - start
                    print(text, end="", flush=True)
        if first is not None:
            print(f"\n\nfirst token after {first:.2f} s, ", end="")
        print(f"all after {time.perf_counter() - start:.2f} s")
    finally:
        await foundry.close()


try:
    asyncio.run(main())
except EscalatorError as error:
    sys.exit(str(error))
