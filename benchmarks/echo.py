"""The least that a chat can be: Chainlit passes a question on and streams the answer. `bench room` compares with it."""

import os
from typing import Any

import chainlit as cl
from openai import AsyncOpenAI

client = AsyncOpenAI(base_url=os.environ["ECHO_OF"] + "/v1", api_key="none")


@cl.on_chat_start
async def begin() -> None:
    """Have a chat begin as ours does."""


@cl.on_message
async def answer(message: cl.Message) -> None:
    """Stream what the model says."""
    said = cl.Message("")
    asked = [{"role": "user", "content": message.content}]
    completions: Any = client.chat.completions
    stream = await completions.create(model="small", messages=asked, stream=True)
    async for chunk in stream:
        await said.stream_token(chunk.choices[0].delta.content or "")
    await said.send()
