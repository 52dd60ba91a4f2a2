"""What people do with a question and its answer: ask again, edit, let write on, go on from it, and type commands."""

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from tests.models.test_discovery import Elsewhere
from tests.support.chat import Chat, Row, running
from tests.support.servers import Asked
from tests.ui import test_chat
from tests.ui.test_chat import LONG, SMALL, House, button, line, names, soon
from tests.ui.test_history_of_chats import answered, said, shape, started

pytestmark = pytest.mark.slow

_house, house, chat = test_chat._house, test_chat.house, test_chat.chat


def labels(chat: Chat) -> list[str]:
    """The buttons on the screen."""
    return [action["label"] for action in chat.actions.values()]


def question(chat: Chat, text: str) -> Row:
    """The row of a question; the page of the tab that asks has it by itself."""
    return next(row for row in chat.of_type("user_message") if row["output"] == text)


def sent(house: House) -> list[tuple[str, str]]:
    """The messages of the last prompt, without the rules and the passages."""
    return [(each["role"], each["content"]) for each in house.models.prompts[-1].data["messages"][1:]]


async def same_everywhere(house: House, *tabs: Chat) -> None:
    """Check that all tabs, and one that is opened now, show the same rows, each once."""
    async with Chat(house.app.url, tabs[0].conversation) as fresh:
        for tab in tabs:
            await tab.until(lambda tab=tab: answered(tab) == answered(fresh))
            assert len(tab.rows) == len({*tab.rows})
        await fresh.until(lambda: labels(fresh) == labels(tabs[0]))


async def test_answer_again_replaces_the_last_answer_by_another_one(house: House, chat: Chat) -> None:
    await chat.ask("Which lantern burns red?", "small")
    first = await chat.ask("When does the ferry leave?", "small")
    async with Chat(house.app.url, chat.conversation) as other:
        await chat.press(button(chat, "Answer again"))

        assert first["id"] not in chat.rows
        assert [row["output"][:29] for row in chat.answers] == [
            "The northern lantern burns re",
            "The ferry leaves at 9:30 [1].",
        ]
        assert re.fullmatch(r"searched again: \d passages? → phi-4-mini \d\.\d\ss", line(chat)["name"])
        asked = [prompt.data for prompt in house.models.prompts]
        assert [data["temperature"] for data in asked] == [0, 0, 0.7]
        assert [text for role, text in sent(house) if role == "assistant"] == ["The northern lantern burns red."]
        assert labels(chat).count("Answer again") == 1
        await same_everywhere(house, chat, other)


async def test_an_answer_comes_back_if_answering_again_is_stopped_before_it_begins(house: House, chat: Chat) -> None:
    first = await chat.ask("When does the ferry leave?", "small")
    before = answered(chat)
    house.models.fault = test_chat.Fault(delay=3.0, times=1)
    pressing = asyncio.create_task(chat.press(button(chat, "Answer again")))
    await chat.until(lambda: first["id"] not in chat.rows)
    await chat.until(lambda: "phi-4-mini is asked" in " ".join(names(chat.steps)))

    await chat.stop()
    await pressing

    await chat.until(lambda: first["id"] in chat.rows)
    assert answered(chat) == before
    await chat.press(button(chat, "Ask the large model"))
    await same_everywhere(house, chat)


async def test_an_edited_question_is_answered_in_place_of_all_that_followed(house: House, chat: Chat) -> None:
    await chat.ask("Which lantern burns red?", "small")
    await chat.ask("When does the ferry leave?", "small")
    await chat.ask("Explain why the tide turns late.", "small")
    async with Chat(house.app.url, chat.conversation) as other:
        answer = await other.edit(question(other, "When does the ferry leave?"), "When is the museum open?")

        assert answer["output"].startswith("It is open on Mondays [1].")
        assert said(other)[::2] == ["Which lantern burns red?", "When is the museum open?"]
        memory = sent(house)[:-1]
        assert memory == [("user", "Which lantern burns red?"), ("assistant", "The northern lantern burns red.")]
        await same_everywhere(house, chat, other)
        await chat.ask("And when does the ferry leave?", "small")
        assert "tide" not in str(sent(house)[:-1])
        assert ("user", "When is the museum open?") in sent(house)
        assert labels(chat).count("Answer again") == 1


async def test_a_conversation_is_named_by_the_other_wording_of_its_first_question_unless_it_was_renamed(
    house: House, chat: Chat
) -> None:
    first, second = "Which lantern is red?", "Which lantern burns red?"
    await chat.ask(first, "small")
    await chat.ask("When does the ferry leave?", "small")
    async with Chat(house.app.url, chat.conversation) as tab:
        await tab.edit(question(tab, "When does the ferry leave?"), "When is the museum open?")
        assert await tab.title() == first
        await tab.edit(question(tab, first), second)
        assert await tab.title() == second
        assert ("first_interaction", {"interaction": second, "thread_id": tab.conversation}) in tab.history
        await tab.request("PUT", "/project/thread", threadId=tab.conversation, name="Lanterns")
        await tab.edit(question(tab, second), first)
        assert await tab.title() == "Lanterns"


async def test_stop_ends_the_answer_to_an_edited_question(house: House, chat: Chat) -> None:
    await chat.ask("When does the ferry leave?", "small")
    async with Chat(house.app.url, chat.conversation) as tab:
        slow = house.models.slow()
        await tab.send_edit(question(tab, "When does the ferry leave?"), "What does the journal say?")
        await tab.until_written(LONG, 40)

        await tab.stop()

        await tab.until(lambda: "Continue" in labels(tab), 1)
        assert await soon(lambda: house.models.writing == 0, 10) < 8  # the rest would take longer
        slow.pace = 0
        assert LONG.startswith(tab.answers[-1]["output"])
        await same_everywhere(house, tab, chat)


async def test_only_a_question_can_be_edited(house: House, chat: Chat) -> None:
    answer = await chat.ask("When does the ferry leave?", "small")
    before = answered(chat)

    await chat.edit(answer, "When is the museum open?")

    async with Chat(house.app.url, chat.conversation) as fresh:
        assert answered(fresh) == before
    assert len(house.models.prompts) == 1


async def test_an_edit_ends_the_answer_that_is_being_written(house: House, chat: Chat) -> None:
    slow = house.models.slow()
    await chat.send("What does the journal say?", "small")
    await chat.until_written(LONG, 40)
    async with Chat(house.app.url, chat.conversation) as other:
        await other.send_edit(question(other, "What does the journal say?"), "When does the ferry leave?")
        await soon(lambda: house.models.writing == 0 or len(house.models.prompts) > 1, 10)
        slow.pace = 0
        await other.until(lambda: [row["output"][:17] for row in other.answers] == ["The ferry leaves "])
        await other.until(lambda: "Answer again" in labels(other))
        await same_everywhere(house, chat, other)


async def test_an_edit_is_found_after_a_restart_and_its_answer_can_be_had_again(house: House, tmp_path: Path) -> None:
    with started(tmp_path, house) as app:
        async with Chat(app.url) as chat:
            await chat.until_read(5)
            await chat.ask("Which lantern burns red?", "small")
            await chat.ask("Explain why the tide turns late.", "small")
        async with Chat(app.url, chat.conversation) as chat:
            await chat.edit(question(chat, "Explain why the tide turns late."), "When does the ferry leave?")
    with started(tmp_path, house) as app:
        async with Chat(app.url, chat.conversation) as again:
            assert shape(again) == shape(chat)
            assert "tide" not in str(said(again))
            figures = ["Times and tokens", "Export"]
            offered = [*figures, "Answer again", "Ask the large model", "Compare both", *figures]
            await again.until(lambda: labels(again) == offered)
            await again.call(button(again, "Times and tokens"))
            await again.until(lambda: again.elements[-1]["name"] == "Times and tokens")
            key = again.elements[-1]["chainlitKey"]
            text = (await again.content(f"/project/file/{key}?session_id={again.session}")).decode()
            assert "Answers by models: 2. Drafts set aside: 0." in text
            assert "|  | phi-4-mini |" in text.partition("**This answer**")[2]
            assert re.search(r"Finished after \| [\d.]+\xa0s \|", text)

            while again.answers[-1]["name"] == "phi-4-mini":  # it comes back while the models are not found yet
                await again.press(button(again, "Ask the large model"))

            assert [row["name"] for row in again.answers] == ["phi-4-mini", "gpt-oss-20b"]
            assert line(again)["name"].startswith("searched again: ")
            assert ("assistant", "The northern lantern burns red.") in sent(house)
            assert "Times and tokens" in labels(again)


async def test_a_stopped_answer_is_written_on_as_one_message_with_its_sources(house: House, chat: Chat) -> None:
    slow = house.models.slow()
    await chat.send("What does the journal say?", "small")
    await chat.until_written(LONG, 150)
    await chat.stop()
    await chat.until(lambda: "Export" in labels(chat))
    assert labels(chat) == ["Continue", "Answer again", "Ask the large model", "Compare both", "Export"]
    await chat.until_rest()
    slow.pace = 0
    part = chat.answers[0]["output"]

    await chat.press(button(chat, "Continue"))

    [answer] = chat.answers
    assert answer["output"].startswith(LONG.replace(" [1]", "").strip()[:100])
    assert "The model was given: " in answer["output"]
    assert answer["output"].count(part[:40].replace(" [1]", "")) == 1
    *_, begun, instruction = sent(house)
    assert begun[0] == "assistant"
    assert part.startswith(begun[1])
    assert begun[1].rstrip().endswith((".", "]"))
    assert instruction[1].startswith("Your answer broke off.")
    assert "Continue" not in labels(chat)
    await same_everywhere(house, chat)


async def test_an_answer_that_reached_its_longest_length_is_written_on(house: House, tmp_path: Path) -> None:
    with started(tmp_path, house, ESCALATOR_MAX_TOKENS="40", ESCALATE="never") as app:
        async with Chat(app.url) as chat:
            await chat.until_read(5)
            first = await chat.ask("What does the journal say?", "small")
            assert "breaks off" in first["output"]

            await chat.press(button(chat, "Continue"))

            assert [row["id"] for row in chat.answers] == [first["id"]]


async def test_what_was_stopped_before_it_began_can_be_asked_again(house: House, chat: Chat) -> None:
    house.models.fault = test_chat.Fault(delay=3.0, times=1)
    await chat.send("Explain why the tide turns late.", "large")
    await chat.until(lambda: "gpt-oss-20b is asked" in " ".join(names(chat.steps)))
    await chat.stop()
    await chat.until(lambda: "Answer again" in labels(chat))
    await chat.until_rest()

    await chat.press(button(chat, "Answer again"))

    assert [row["name"] for row in chat.answers] == ["gpt-oss-20b"]


async def test_what_to_ask_next_is_below_the_last_answer_only_and_asks_at_a_click_also_after_a_restart(
    house: House, tmp_path: Path, corpus: Path
) -> None:
    more = "# The harbour\n\n## Ferry\n\nThe ferry leaves at 9:30.\n\n## Tickets on board\n\nThe ferry sells tickets.\n"
    (corpus / "harbour.md").write_text(more, encoding="utf-8")

    def leading_on(chat: Chat) -> list[str]:
        return [each["label"] for each in chat.actions.values() if each["name"] == "follow"]

    with running(tmp_path, corpus, FOUNDRY_LOCAL_ENDPOINT=f"{house.models.url}/v1/") as app:
        async with Chat(app.url) as chat:
            await chat.until_read(2)
            await chat.ask("When does the ferry leave?", "small")
            assert 1 <= len(leading_on(chat)) <= 3
    with running(tmp_path, corpus, FOUNDRY_LOCAL_ENDPOINT=f"{house.models.url}/v1/") as app:
        async with Chat(app.url, chat.conversation) as again:
            await again.until(lambda: leading_on(again) == leading_on(chat))
            first = button(again, leading_on(again)[0])

            await again.press(first)

            assert said(again)[::2] == ["When does the ferry leave?", first["label"]]
            assert first["id"] not in again.actions
            assert labels(again).count("Answer again") == 1
            await again.ask("Thank you!")
            assert not leading_on(again)
            assert "Answer again" not in labels(again)


@pytest.mark.parametrize("chosen", [True, False])
async def test_search_shows_the_hits_with_their_reasons_and_asks_no_model(
    house: House, chat: Chat, chosen: bool
) -> None:
    assert [each["id"] for each in chat.commands] == ["search", "sources", "why", "compare", "export"]

    row = await (chat.ask("ferry", command="search") if chosen else chat.ask("/search ferry"))

    shown = row["output"]

    assert re.match(r"Found \d passages? · \d documents? · \d+ ms\n\nSearched for: ferry\n\n", shown)
    assert "| [1] | ferry.md, The ferry |" in shown
    assert house.models.prompts == []
    await chat.until(lambda: any(each["name"] == "[1]" for each in chat.elements))
    await chat.ask("Which lantern burns red?", "small")
    assert len(sent(house)) == 1


async def test_why_says_why_the_last_answer_was_or_was_not_escalated_also_after_a_restart(
    house: House, tmp_path: Path
) -> None:
    with started(tmp_path, house) as app:
        async with Chat(app.url) as chat:
            await chat.until_read(5)
            assert (await chat.ask("/why"))["output"] == "There is no answer in this conversation yet."
            await chat.ask("When does the ferry leave?")
            kept = (await chat.ask("", command="why"))["output"]
            assert kept.startswith("The small model’s answer was kept. ")
            assert "\n- phi-4-mini · first word after " in kept
            await chat.ask("When is the museum open?")
            why = (await chat.ask("/why"))["output"]
            assert why.startswith(
                "The small model’s draft was set aside, and the large model was asked. The small model"
            )
            assert "“I am not sure" in why
            assert "\n- gpt-oss-20b · " in why
    with started(tmp_path, house) as app:
        async with Chat(app.url, chat.conversation) as again:
            later = (await again.ask("/why"))["output"]
            assert later == why


async def test_sources_lists_what_the_last_answer_rests_on_and_all_documents_used(house: House, chat: Chat) -> None:
    await chat.ask("Explain why the tide turns late.", "small")
    await chat.ask("When does the ferry leave?", "small")

    shown = (await chat.ask("/sources"))["output"]

    assert "- [1] ferry.md, The ferry: “The ferry leaves at 9:30 from the old harbour.”" in shown
    assert "Documents used in this conversation: tide.md" in shown
    await chat.until(lambda: any(each["name"] == "[1] ferry.md, The ferry" for each in chat.elements))


async def test_compare_asks_both_models_once_and_leaves_the_mode(house: House, chat: Chat) -> None:
    await chat.ask("Which lantern burns red?", "small")
    await chat.send("/compare When does the ferry leave?", "small")
    await chat.until(lambda: len(chat.answers) == 2 and "Answer again" in labels(chat))

    assert [prompt.data["model"] for prompt in house.models.prompts].count(SMALL.full_id) == 2
    assert chat.answers[-1]["output"].startswith("Both models on the same passages:")
    async with Chat(house.app.url) as later:
        await later.until(lambda: later.modes)
        assert [each["id"] for each in later.modes[0]["options"] if each["default"]] == ["small"]


async def test_a_slash_that_is_no_command_is_part_of_a_question(house: House, chat: Chat) -> None:
    answer: Any = await chat.ask("/ferry when does it leave?", "small")

    assert answer["name"] == "phi-4-mini"


async def test_what_was_sent_can_be_looked_at_also_if_its_answer_was_stopped_before_it_began(
    tmp_path: Path, corpus: Path
) -> None:
    async def never(_: Asked) -> bytes:
        await asyncio.Event().wait()
        return b""

    async with Elsewhere("big") as far:
        far.answers["/v1/chat/completions"] = never
        with running(tmp_path, corpus, LLM_ALIAS="big", LLM_ENDPOINT=far.url) as app:
            async with Chat(app.url) as chat:
                await chat.until_read(1)
                await chat.send("When does the ferry leave?", "large")
                await soon(lambda: bool(far.completions), 20)
                await chat.stop()
                await chat.until(lambda: "What was sent" in labels(chat))

                await chat.call(button(chat, "What was sent"))

                await chat.until(lambda: chat.elements and chat.elements[-1]["name"] == "What was sent")
                file = chat.elements[-1]["chainlitKey"]
                shown = (await chat.content(f"/project/file/{file}?session_id={chat.session}")).decode()
    assert shown.startswith("**big on 127")
    assert far.completions[0].data["messages"][-1]["content"] in shown
