"""Conversations that are kept: found again after a reload, a restart and in a second tab, each row once."""

import asyncio
import json
import random
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import psutil
import pytest

from app.history import FILE, History
from tests.support.chat import App, Chat, running
from tests.support.terminal import escalator
from tests.ui import test_chat
from tests.ui.test_chat import LONG, UNMARKED, House, button, names, pdf, soon

pytestmark = pytest.mark.slow

_house, house, chat = test_chat._house, test_chat.house, test_chat.chat


@contextmanager
def started(folder: Path, house: House, **settings: str) -> Iterator[App]:
    """An app with a history of its own; it need not read the documents, which the house has read."""
    if not (index := folder / "state" / "index").exists():
        shutil.copytree(house.app.state / "index", index)
    with running(folder, house.app.corpus, FOUNDRY_LOCAL_ENDPOINT=house.models.url + "/v1/", **settings) as app:
        yield app


def said(chat: Chat) -> list[str]:
    """The questions and answers on the screen."""
    return [row["output"] for row in chat.of_type("user_message", "assistant_message")]


def shape(chat: Chat) -> list[tuple[str, str, str]]:
    """Everything on the screen, in its order."""
    return [(row["type"], row["name"], row["output"]) for row in chat.rows.values() if row["type"] != "run"]


def answered(chat: Chat) -> list[tuple[str, str, str]]:
    """Everything but the questions, which the page of the tab that asks shows by itself."""
    return [row for row in shape(chat) if row[0] != "user_message"]


def kept(app: App) -> bytes:
    """What the files of the history hold."""
    return b"".join(path.read_bytes() for path in app.state.glob(f"*{FILE}*"))


async def test_a_reload_finds_the_conversation_with_its_steps_sources_and_buttons(house: House, chat: Chat) -> None:
    tide = await chat.ask("Explain why the tide turns late.")
    answer = await chat.ask("Which lantern burns red?", "small")
    await chat.drop()

    async with Chat(house.app.url, chat.conversation) as again:
        assert said(again) == [
            "Explain why the tide turns late.",
            tide["output"],
            "Which lantern burns red?",
            answer["output"],
        ]
        assert names(again.steps) == names(chat.steps)
        shown = [(each["name"], each["props"]) for each in chat.sources(answer)]
        assert [(each["name"], each["props"]) for each in again.sources(answer)] == shown
        [source] = again.sources(answer)
        assert (await again.page(source))["picture"].startswith("data:image/png;base64,")
        await again.until(lambda: again.actions.keys() == chat.actions.keys())
        await again.press(button(again, "Compare both"))


async def test_a_restart_finds_it_too_and_a_follow_up_builds_on_it(house: House, tmp_path: Path) -> None:
    with started(tmp_path, house) as app:
        async with Chat(app.url) as chat:
            await chat.until_read(5)
            await chat.settings(dial="often", figures=False)
            tide = await chat.ask("Explain why the tide turns late.", "auto")
            answer = await chat.ask("Which lantern burns red?", "small")
    with started(tmp_path, house) as app:
        async with Chat(app.url, chat.conversation) as again:
            assert shape(again)[-3:] == shape(chat)[-3:]
            assert said(again)[1::2] == [tide["output"], answer["output"]]
            [source] = again.sources(answer)
            assert (await again.page(source))["picture"].startswith("data:image/png;base64,")
            await again.until(lambda: again.modes)
            assert [option["id"] for option in again.modes[0]["options"] if option["default"]] == ["small"]
            chosen = {each["id"]: each["initial"] for each in dict(again.history)["chat_settings"]}
            assert chosen == {"dial": "often", "figures": False, "keep": True}
            await again.ask("And when does the ferry leave?")
            _, *earlier, _ = house.models.prompts[-1].data["messages"]
            assert [each["content"] for each in earlier] == [
                "Explain why the tide turns late.",
                "Because the moon pulls the water, the tide turns late.",
                "Which lantern burns red?",
                "The northern lantern burns red.",
            ]
            assert await again.listed() == ["Explain why the tide turns late."]


async def test_what_was_wiped_while_it_is_open_ends_with_the_next_question_and_a_new_one_begins(
    house: House, chat: Chat
) -> None:
    await chat.ask("Explain why the tide turns late.", "small")
    await asyncio.to_thread(History(house.app.state).wipe)

    answer = await chat.ask("Which lantern burns red?", "small")

    assert [row["output"] for row in chat.answers] == [answer["output"]]
    toasts = [data["message"] for name, data in chat.history if name == "toast"]
    assert toasts == ["This conversation was deleted outside this page. A new one begins here."]
    assert "moon" not in str(house.models.prompts[-1].data["messages"])
    assert await chat.listed() == ["Which lantern burns red?"]
    async with Chat(house.app.url, chat.conversation) as again:
        assert said(again) == ["Which lantern burns red?", answer["output"]]
    await soon(lambda: b"northern lantern" in kept(house.app), 5)
    assert b"tide turns" not in kept(house.app)


async def test_a_button_below_what_was_wiped_says_so_and_clears_the_page_and_another_wording_is_asked(
    house: House, chat: Chat
) -> None:
    await chat.ask("Explain why the tide turns late.", "small")
    await asyncio.to_thread(History(house.app.state).wipe)
    run = next(row for row in chat.of_type("run") if row["parentId"])
    thumb = {"forId": run["id"], "threadId": chat.conversation, "value": 1}
    with pytest.raises(AssertionError, match="Nothing of this conversation is kept"):
        await chat.request("PUT", "/feedback", feedback=thumb, sessionId=chat.session)
    await chat.press(button(chat, "Compare both"))
    assert (chat.rows, [name for name, _ in chat.history].count("toast")) == ({}, 1)

    await chat.ask("When does the ferry leave?", "small")
    assert await chat.listed() == ["When does the ferry leave?"]
    async with Chat(house.app.url, chat.conversation) as other:
        await asyncio.to_thread(History(house.app.state).wipe)
        [question] = other.of_type("user_message")
        answer = await other.edit(question, "Which lantern burns red?")
        assert said(other) == ["Which lantern burns red?", answer["output"]]
        assert await other.listed() == ["Which lantern burns red?"]


async def exported(chat: Chat, form: str, message: str = "", figures: bool = False) -> dict[str, str]:
    """What the panel *Export* gets when its button is pressed."""
    payload = {"message": message, "form": form, "figures": figures}
    file: dict[str, str] = await chat.call({"name": "export-file", "payload": payload})
    return file


async def test_answers_and_conversations_are_exported_also_after_a_restart_and_from_the_command_line(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with started(tmp_path, house) as app:
        async with Chat(app.url) as chat:
            await chat.until_read(5)
            tide = await chat.ask("Explain why the tide turns late.", "auto")
            thanks = await chat.ask("thanks")
            await chat.ask("When does the ferry leave?", "compare")
            await chat.call(button(chat, "Export"))
            await chat.until(lambda: [each for each in chat.elements if each["name"] == "Export"])
            one = await exported(chat, "md", chat.elements[-1]["props"]["message"], figures=True)
            both = await exported(chat, "html", chat.answers[-1]["id"])
            await chat.ask("/export")
            assert [each["props"] for each in chat.elements if each["name"] == "Export"][-1] == {"message": ""}
            whole = {form: await exported(chat, form) for form in ("md", "html")}
    assert one["name"] == "Explain why the tide turns late.md"
    assert one["text"].startswith("# Explain why the tide turns late.\n\n")
    assert "Because the moon pulls the water, the tide turns late [^1].\n\n- Answered by gpt-oss-20b" in one["text"]
    assert "- Why the large model was asked: " in one["text"]
    assert re.search(r"- phi-4-mini · first word after .*\n- gpt-oss-20b · first word after ", one["text"])
    assert "[^1]: tide.md, The tide “The moon pulls the water, so the tide turns late in winter.”" in one["text"]
    assert re.search(
        "<h3>phi-4-mini · 2 passages</h3>.*9:30.*<h3>gpt-oss-20b · 2 passages</h3>", both["text"], re.DOTALL
    )
    assert f"## thanks\n\n{thanks['output']}\n" in whole["md"]["text"]
    with started(tmp_path, house) as app:
        async with Chat(app.url, chat.conversation) as again:
            assert {form: await exported(again, form) for form in whole} == whole
            await again.until(lambda: [each["label"] for each in again.actions.values()].count("Export") == 2)
            await again.call(button(again, "Export"))
            await again.until(lambda: again.elements[-1]["props"] == {"message": tide["id"]})
            compared = [each["props"] for each in again.elements if each["name"] == "Compare"][-1]
            assert (len(compared["answers"]), compared["live"]) == (2, False)
        monkeypatch.setenv("ESCALATOR_STATE_DIR", str(app.state))
        shown = await asyncio.to_thread(escalator, "history", "--export", "latest")
        assert shown.stdout == whole["md"]["text"]
        to_file = ("--format", "html", "-o", str(tmp_path / "page.html"))
        await asyncio.to_thread(escalator, "history", "--export", chat.conversation, *to_file)
        assert (tmp_path / "page.html").read_text(encoding="utf-8") == whole["html"]["text"]


async def test_a_reload_in_mid_stream_finds_the_answer_going_on(house: House, chat: Chat) -> None:
    slow = house.models.slow()
    await chat.send("What does the journal say?", "small")
    await chat.until_written(LONG, 40)
    await chat.drop()

    async with Chat(house.app.url, chat.conversation) as again:
        await again.until(lambda: again.answers)
        first = again.answers[0]["output"]
        assert len(first) > 40
        assert LONG.startswith(first)
        await again.until(lambda: len(again.answers[0]["output"]) > len(first) + 100)
        assert LONG.startswith(again.answers[0]["output"])
        slow.pace = 0
        await again.until(lambda: "The model was given: " in again.answers[0]["output"])
        assert len(again.answers) == 1
        assert again.answers[0]["output"].startswith(UNMARKED)
        await again.until(lambda: again.history[-1][0] == "task_end")
        async with Chat(house.app.url, chat.conversation) as third:
            assert shape(third) == shape(again)


async def test_an_answer_in_whose_middle_the_app_ends_is_kept_as_far_as_it_was(house: House, tmp_path: Path) -> None:
    with started(tmp_path, house) as app:
        async with Chat(app.url) as chat:
            slow = house.models.slow()
            await chat.send("What does the journal say?", "small")
            await chat.until_written(LONG, 60)
            app.process.terminate()
            app.process.wait(15)
            slow.pace = 0
    with started(tmp_path, house) as app:
        async with Chat(app.url, chat.conversation) as again:
            assert len(again.answers[0]["output"]) > 60
            assert LONG.startswith(again.answers[0]["output"])
            assert not again.answers[0]["streaming"]
            assert "phi-4-mini stopped" in names(again.steps)
            part = again.answers[0]["output"]
            await again.until(lambda: "Continue" in [each["label"] for each in again.actions.values()])
            while again.answers[0]["output"].startswith(part):  # it stays while the models are not found yet
                await again.press(button(again, "Continue"))
            assert re.match(r"In the harbour a captain waits for the tide\..* The moon", again.answers[0]["output"])
            assert "ferry" in str(house.models.prompts[-1].data["messages"])  # the evidence, found again
            begun, instruction = house.models.prompts[-1].data["messages"][-2:]
            assert (begun["role"], begun["content"][:40]) == ("assistant", part[:40])
            assert instruction["content"].startswith("Your answer broke off.")
            await again.ask("When does the ferry leave?", "small")
            _, asked, answered, _ = house.models.prompts[-1].data["messages"]
            assert asked["content"] == "What does the journal say?"
            assert UNMARKED.startswith(answered["content"][:40])


async def test_two_tabs_show_one_conversation_and_either_can_stop_it(house: House, chat: Chat) -> None:
    await chat.ask("When does the ferry leave?")
    async with Chat(house.app.url, chat.conversation) as other:
        slow = house.models.slow()
        await chat.send("What does the journal say?", "small")
        await other.until(lambda: len(other.answers) == 2 and len(other.answers[1]["output"]) > 40)
        assert said(other)[2] == "What does the journal say?"

        await other.stop()

        await chat.until(lambda: "phi-4-mini stopped" in names(chat.steps))
        slow.pace = 0
        await soon(lambda: house.models.writing == 0, 10)
        await other.ask("When is the museum open?", "small")
        await chat.until(lambda: "When is the museum open?" in said(chat) and answered(chat) == answered(other))
        assert "Task manually stopped." not in said(chat) + said(other)


async def test_stop_at_random_moments_loses_and_doubles_nothing(house: House, chat: Chat) -> None:
    chance = random.Random(7)
    slow = house.models.slow()
    for number in range(10):
        before = len([name for name, _ in chat.history if name == "task_end"])
        await chat.send(f"What does the journal say about {number}?", "small")
        await asyncio.sleep(chance.uniform(0, 0.6))
        await chat.stop()
        await chat.until(lambda before=before: len([n for n, _ in chat.history if n == "task_end"]) > before)
    slow.pace = 0
    last = await chat.ask("When does the ferry leave?", "small")

    async with Chat(house.app.url, chat.conversation) as again:
        asked = [row["output"] for row in again.of_type("user_message")]
        assert asked == [*(f"What does the journal say about {n}?" for n in range(10)), "When does the ferry leave?"]
        assert answered(again) == answered(chat)
        assert [row["output"] for row in again.answers].count(last["output"]) == 1
        begun = [row["output"] for row in again.answers[:-1] if row["output"] != "Stopped before the answer began."]
        assert all(LONG.startswith(text) for text in begun)


async def test_stop_at_random_moments_of_edits_and_of_what_buttons_do_loses_and_doubles_nothing(
    house: House, chat: Chat
) -> None:
    chance = random.Random(11)
    await chat.ask("When does the ferry leave?", "small")
    slow = house.models.slow()
    asked = ["When does the ferry leave?"]
    for number in range(12):
        before = len([name for name, _ in chat.history if name == "task_end"])
        pressable = [each for each in chat.actions.values() if each["label"] in ("Answer again", "Continue")]
        questions = chat.of_type("user_message")
        text = f"What does the journal say about {number}?"
        pressed = None
        if number % 3 == 0 or not (pressable and questions):
            await chat.send(text, "small")
            asked.append(text)
        elif number % 3 == 1:
            pressed = asyncio.create_task(chat.call(chance.choice(pressable)))
        else:
            await chat.send_edit(questions[-1], text)
            asked = [*asked[: asked.index(questions[-1]["output"])], text]
        await asyncio.sleep(chance.uniform(0.05, 0.6))
        await chat.stop()
        await chat.until(lambda before=before: len([n for n, _ in chat.history if n == "task_end"]) > before)
        if pressed is not None:
            await pressed
    slow.pace = 0
    last = await chat.ask("When does the ferry leave?", "small")

    async with Chat(house.app.url, chat.conversation) as again:
        assert [row["output"] for row in again.of_type("user_message")] == [*asked, "When does the ferry leave?"]
        assert answered(again) == answered(chat)
        assert [row["id"] for row in again.answers].count(last["id"]) == 1
        below = [again.rows[row["parentId"]]["parentId"] for row in again.answers]
        assert len(below) == len({*below})  # one answer for each question


async def test_the_list_of_conversations_is_searched_renamed_and_shortened(house: House, tmp_path: Path) -> None:
    with started(tmp_path, house) as app:
        async with Chat(app.url) as chat, Chat(app.url) as other:
            assert await chat.listed() == []
            await chat.documents()  # a panel alone begins no conversation
            assert await chat.listed() == []
            await chat.ask("When does the ferry leave?")
            await other.ask("When is the museum\nopen?", "small")
            assert await chat.listed() == ["When is the museum open?", "When does the ferry leave?"]
            assert await chat.listed("HARBOUR") == []
            assert await chat.listed("9:30") == ["When does the ferry leave?"]

            await chat.request("PUT", "/project/thread", threadId=other.conversation, name="Museum")
            assert await chat.listed() == ["Museum", "When does the ferry leave?"]

            await other.request("DELETE", "/project/thread", threadId=chat.conversation)
            assert await chat.listed() == ["Museum"]
            await chat.ask("Which lantern burns red?")  # the tab that has it open goes on, and nothing of it comes back
            assert await chat.listed() == ["Museum"]
        assert b"9:30" not in kept(app)
        assert b"lantern" not in kept(app)


async def test_nothing_is_kept_where_that_is_switched_off_on_the_page(house: House, tmp_path: Path) -> None:
    with started(tmp_path, house) as app:
        async with Chat(app.url) as chat:
            answer = await chat.ask("When does the ferry leave?")
            run = next(row for row in chat.of_type("run") if row["parentId"])

            await chat.settings(dial="when needed", figures=True, keep=False)

            assert await chat.listed() == []
            await chat.ask("Which lantern burns red?")
            async with Chat(app.url, chat.conversation) as again:  # a reload finds it as long as the app runs
                assert answer["output"] in said(again)
            thumb = {"forId": run["id"], "threadId": chat.conversation, "value": 1, "comment": "ferry"}
            with pytest.raises(AssertionError, match="Nothing of this conversation is kept"):
                await chat.request("PUT", "/feedback", feedback=thumb, sessionId=chat.session)
            async with Chat(app.url) as later:
                await later.ask("When is the museum open?", "small")
                assert await later.listed() == []
                await later.settings(keep=True)
            async with Chat(app.url) as last:
                await last.ask("What does the journal say?", "small")
                assert await last.listed() == ["What does the journal say?"]
        files = kept(app) + b"".join(path.read_bytes() for path in app.state.glob("*.jsonl"))
        assert not [word for word in (b"ferry leave", b"lantern", b"museum open") if word in files]
        assert b"journal" in files


async def test_nothing_is_kept_where_a_setting_says_so(house: House, tmp_path: Path) -> None:
    with started(tmp_path, house, ESCALATOR_HISTORY="off") as app:
        async with Chat(app.url) as chat:
            answer = await chat.ask("When does the ferry leave?")
            assert "keep" not in [each["id"] for each in dict(chat.history)["chat_settings"]]
            await chat.drop()
            async with Chat(app.url, chat.conversation) as again:
                assert answer["output"] in said(again)
        assert b"ferry" not in kept(app)


async def test_a_thumb_is_a_line_with_question_answer_and_what_was_decided(house: House, tmp_path: Path) -> None:
    with started(tmp_path, house) as app:
        async with Chat(app.url) as chat:
            await chat.ask("Explain why the tide turns late.")
            run = next(row for row in chat.of_type("run") if row["parentId"])
            thumb = {"forId": run["id"], "threadId": chat.conversation, "value": 0, "comment": "zu kurz"}

            noted = await chat.request("PUT", "/feedback", feedback=thumb, sessionId=chat.session)

            async with Chat(app.url, chat.conversation) as again:
                assert again.rows[run["id"]]["feedback"]["comment"] == "zu kurz"
            await chat.request("DELETE", "/feedback", feedbackId=noted["feedbackId"])
        first, second = [json.loads(line) for line in (app.state / "feedback.jsonl").read_text("utf-8").splitlines()]
        assert (first["value"], first["comment"], second["value"]) == (0, "zu kurz", None)
        assert first["question"] == "Explain why the tide turns late."
        assert first["text"] == "Because the moon pulls the water, the tide turns late [1]."
        assert (first["model"], first["escalated"]) == ("gpt-oss-20b", True)
        assert first["decision"] is not None
        assert (first["follows"], first["by_score"], 0 < first["score"] <= 1) == (False, False, True)
        assert first["evidence"][0].startswith("tide.md#")


async def test_a_damaged_history_costs_no_start_and_is_set_aside_with_a_notice(house: House, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / FILE).write_bytes(b"garbage" * 1000)
    with started(tmp_path, house) as app:
        async with Chat(app.url) as chat:
            await chat.until(lambda: "toast" in [name for name, _ in chat.history])
            assert "was damaged" in dict(chat.history)["toast"]["message"]
            await chat.ask("When does the ferry leave?")
            assert await chat.listed() == ["When does the ferry leave?"]
    assert len([*(tmp_path / "state").glob(f"damaged-*-{FILE}")]) == 1


async def test_a_second_instance_that_ends_breaks_nothing_in_the_first(house: House, tmp_path: Path) -> None:
    with started(tmp_path, house) as first:
        with started(tmp_path, house) as second:
            async with Chat(second.url) as chat:
                await chat.ask("When does the ferry leave?")
        async with Chat(first.url, chat.conversation) as again:
            assert "When does the ferry leave?" in said(again)
            dropped = await again.upload("bread.txt", b"Ada bakes the bread at dawn.\n")
            answer = await again.ask("Who bakes the bread?", files=[dropped])
            assert again.sources(answer)


async def test_a_tab_that_reconnects_after_a_restart_goes_on(house: House, tmp_path: Path) -> None:
    with started(tmp_path, house) as app:
        async with Chat(app.url) as chat:
            await chat.ask("When does the ferry leave?")
    with started(tmp_path, house) as app:
        chat.url = app.url
        async with aiohttp.ClientSession() as chat._http:
            await chat.open()
            await chat.until(lambda: "resume_thread" in [name for name, _ in chat.history])
            assert "The ferry leaves at 9:30" in (await chat.ask("And the ferry?", "small"))["output"]
            await chat.drop()


async def test_a_dropped_file_is_there_in_every_tab_and_after_a_restart_until_its_conversation_is_deleted(
    house: House, tmp_path: Path
) -> None:
    bread, plan = b"Ada bakes the bread at dawn.\n", tmp_path / "plan.pdf"
    pdf(plan, "The harbour.", "The drawbridge opens at seven.")
    with started(tmp_path, house) as app:
        async with Chat(app.url) as chat:
            files = [
                await chat.upload("bread.md", bread, "text/markdown"),
                await chat.upload("plan.pdf", plan.read_bytes(), "application/pdf"),
            ]
            answer = await chat.ask("When does the drawbridge open?", "small", files=files)
            await chat.drop()
            async with Chat(app.url, chat.conversation) as again:
                [file] = [each for each in again.elements if each["type"] == "file"]
                assert await again.content(file["url"]) == bread
                await again.ask("And when does Ada bake the bread?")
                assert "dawn" in str(house.models.prompts[-1].data["messages"])
    kept_files = History(tmp_path / "state")
    for restart in range(2):
        with started(tmp_path, house) as app:
            async with Chat(app.url, chat.conversation) as later:
                [file] = [each for each in later.elements if each["type"] == "file"]
                assert file["name"] == "bread.md"
                assert await later.content(file["url"]) == bread
                await later.ask("Who bakes the bread at dawn?")
                assert "Ada bakes" in str(house.models.prompts[-1].data["messages"])
                page = next(each for each in later.sources(answer) if "plan.pdf" in each["name"])
                assert (await later.page(page))["picture"].startswith("data:image/png;base64,")
            sizes = await asyncio.to_thread(kept_files.files)
            assert sorted(sizes) == sorted([len(bread), plan.stat().st_size])
            if restart == 1:
                async with Chat(app.url) as other:
                    await other.request("DELETE", "/project/thread", threadId=chat.conversation)
    assert await asyncio.to_thread(kept_files.files) == []


async def test_a_dropped_file_that_was_not_kept_is_said_to_be_gone(house: House, tmp_path: Path) -> None:
    with started(tmp_path, house) as app:
        async with Chat(app.url) as chat:
            dropped = await chat.upload("bread.md", b"Ada bakes the bread at dawn.\n", "text/markdown")
            await chat.ask("Who bakes the bread?", files=[dropped])
    shutil.rmtree(tmp_path / "state" / "dropped")
    with started(tmp_path, house) as app:
        async with Chat(app.url, chat.conversation) as later:
            [file] = [each for each in later.elements if each["type"] == "file"]
            assert file["name"] == "bread.md (not kept: drop it again to ask about it)"


@pytest.mark.long
async def test_conversations_that_were_left_take_no_memory(without_models: App) -> None:
    process = psutil.Process(without_models.process.pid)
    for number in range(300):
        async with Chat(without_models.url) as chat:
            await chat.ask("When does the ferry leave?")
            await chat.clear()
        if number == 49:
            await asyncio.sleep(2)
            before = process.memory_info().rss
    await asyncio.sleep(2)

    assert process.memory_info().rss - before < 10_000_000


async def test_the_pages_of_an_answer_that_was_replaced_are_not_kept_and_come_back_with_it(
    house: House, chat: Chat
) -> None:
    def pages() -> set[str]:
        items = History(house.app.state).items(str(chat.conversation))
        return {item.id for item in items if item.kind == "page"}

    async def until_kept(wanted: set[str]) -> None:
        async with asyncio.timeout(10):
            while await asyncio.to_thread(pages) != wanted:  # noqa: ASYNC110 - nothing in another process sets an event here
                await asyncio.sleep(0.05)

    answer = await chat.ask("Which lantern burns red?", "small")
    before = {each["props"]["page"] for each in chat.sources(answer)}
    await until_kept(before)

    await chat.press(button(chat, "Ask the large model"))

    after = {each["props"]["page"] for each in chat.sources(answer)} - before
    await until_kept(after)
    assert after
    house.models.fault = test_chat.Fault(status=500, times=9)
    await chat.press(button(chat, "Answer again"))
    house.models.fault = None
    await until_kept(after)
    assert "picture" in await chat.page(chat.sources(answer)[-1])
