"""Rows of the chat that are no messages: what is being done, and what was set aside."""

import chainlit as cl


async def begin(name: str, icon: str) -> cl.Step:
    """A row of what is being done, below what is there."""
    run = cl.context.current_run
    step = cl.Step(name=name, type="tool", icon=icon, show_input=False, parent_id=run.id if run else None)
    step.start = step.created_at
    await step.send()
    return step


async def end(step: cl.Step, name: str) -> None:
    """The same row, done, under another name."""
    step.name = name
    step.end = step.created_at
    await step.update()


async def fold(message: cl.Message, text: str, name: str) -> None:
    """Turn a message into a closed step in the same place: the step bears the message's id."""
    step = cl.Step(name, "llm", id=message.id, parent_id=message.parent_id, icon="file-text", show_input=False)
    step.created_at = step.start = step.end = message.created_at
    step.output = text
    await step.update()
