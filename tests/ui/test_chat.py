"""Whole conversations over the socket that a browser uses, with the app in a process of its own and real models."""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from reportlab.pdfgen.canvas import Canvas

from app.settings import ROOT
from app.ui.conversation import GONE_SECONDS
from app.ui.corpus_panel import PRESS
from app.ui.sources import HITS
from tests.support import scripted
from tests.support.chat import App, Chat, Row, command, environment, free_port, launched, running, served
from tests.support.corpora import prose
from tests.support.runtime import held
from tests.support.scripted import Script
from tests.support.servers import Asked, Fault, FaultProxy

LONG = prose(16, " [1]")
UNMARKED = LONG.replace(" [1]", "").strip()
"""What stays of it: no passage says so."""

PARTS = ["its beginning", "the timetable", "the old engine", "a hard winter", "the fare", "the crew", "fog", "the end"]
CHRONICLE = " ".join(
    f"Chapter {n} of the chronicle tells, in its very own words, of {p} [1]." for n, p in enumerate(PARTS)
)

SMALL = Script(
    alias="phi-4-mini",
    id="Phi-4-mini-instruct-generic-cpu:5",
    say="Script missing.",
    when={
        "ferry": "The ferry leaves at 9:30 [1].",
        "tide": "The moon does it [1].",
        "museum": "It is open on Mondays [1]. I am not sure whether that holds in winter.",
        "lantern": "The northern lantern burns red [1].",
        "journal": LONG,
        "chronicle": CHRONICLE,
        "fog": "The fog horn sounds again. " * 200,
    },
)
LARGE = Script(
    alias="gpt-oss-20b",
    id="gpt-oss-20b-generic-cpu:1",
    say="The large model answers at length.",
    when={
        "tide": "Because the moon pulls the water, the tide turns late [1].",
        "museum": "The museum is open on Mondays [1].",
        "harbour": "Nobody has written that down.",
        "journal": LONG,
    },
)

TEXTS = {
    "chronicle.txt": CHRONICLE.replace(" [1]", "") + "\n",
    "ferry.md": "# The ferry\n\nThe ferry leaves at 9:30 from the old harbour. Tickets are sold on board.\n",
    "tide.md": "# The tide\n\nThe moon pulls the water, so the tide turns late in winter.\n",
    "museum.txt": "The museum shows the old ferry and its journal. It is open on Mondays.\n",
}


class Models(FaultProxy):
    """Stands between the app and the models: notes what they are asked, and can slow their answers."""

    @property
    def prompts(self) -> list[Asked]:
        """The requests for an answer."""
        return [asked for asked in self.asked if asked.path.endswith("/chat/completions")]

    @property
    def writing(self) -> int:
        """How many requests are being answered."""
        return len(self._tasks)

    def slow(self) -> Fault:
        """Slow the answers that begin from now on, until the result's `pace` is set to 0."""
        self.fault = Fault(pace=0.02)
        return self.fault


def pdf(path: Path, *pages: str) -> None:
    canvas = Canvas(str(path))
    for text in pages:
        canvas.drawString(72, 700, text)
        canvas.showPage()
    canvas.save()


@dataclass(frozen=True, slots=True)
class House:
    """The app, in an environment whose proxies lead nowhere, and the models that it asks."""

    app: App
    models: Models


@pytest.fixture(scope="module")
def _house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("with-models")
    corpus = folder / "corpus"
    corpus.mkdir()
    for name, text in TEXTS.items():
        (corpus / name).write_text(text, encoding="utf-8")
    pdf(corpus / "lights.pdf", "Lights of the harbour", "The northern lantern burns red.")
    proxies = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), f"http://127.0.0.1:{free_port()}")
    with (
        held(scripted.make(folder / "cache", SMALL, LARGE)) as lease,
        served(Models(lease.url)) as models,
        running(folder, corpus, FOUNDRY_LOCAL_ENDPOINT=models.url + "/v1/", **proxies) as app,
    ):
        asyncio.run(_until_read(app, len(TEXTS) + 1))
        yield House(app, models)


async def _until_read(app: App, documents: int) -> None:
    """Wait for the corpus, which a question on a busy machine would not do."""
    async with Chat(app.url) as chat:
        await chat.until_read(documents)


@pytest.fixture
def house(_house: House) -> House:
    """The house at rest, with nothing asked yet."""
    _house.models.fault = None
    _house.models.lost = 0
    _house.models.asked.clear()
    (_house.app.state / "choices.json").unlink(missing_ok=True)
    return _house


@pytest.fixture
async def chat(house: House) -> AsyncIterator[Chat]:
    """A tab of a browser."""
    async with Chat(house.app.url) as tab:
        yield tab


def names(rows: list[Row]) -> list[str]:
    return [row["name"] for row in rows]


async def soon(true: Callable[[], bool], seconds: float) -> float:
    """Wait for something in another process; returns after how many seconds it came."""
    start = time.monotonic()
    async with asyncio.timeout(seconds):
        while not true():  # noqa: ASYNC110 - nothing in another process sets an event here
            await asyncio.sleep(0.01)
    return time.monotonic() - start


def line(chat: Chat) -> Row:
    """The line above the latest answer."""
    return [row for row in chat.steps if chat.rows[row["parentId"]]["type"] == "run"][-1]


def inside(chat: Chat) -> list[Row]:
    """The rows that the line above the latest answer unfolds to."""
    return [row for row in chat.steps if row["parentId"] == line(chat)["id"]]


def written_by(attempt: str, role: str) -> str:
    """The badge of an answer."""
    return f"`{attempt} · {role} model`"


@pytest.mark.slow
async def test_a_turn_is_one_line_and_a_streamed_answer_with_its_author_and_its_source(chat: Chat) -> None:
    answer = await chat.ask("When does the ferry leave?")

    assert [row["type"] for row in chat.rows.values() if row["parentId"] == line(chat)["parentId"]] == [
        "tool",
        "assistant_message",
    ]
    assert re.fullmatch(r"2 passages → phi-4-mini \d\.\d\ss", line(chat)["name"])
    search, model = inside(chat)
    assert search["name"].startswith("Found 2 passages · 2 documents · ")
    assert "Searched for: When does the ferry leave?" in search["output"]
    assert "| [1] | ferry.md, The ferry |" in search["output"]
    assert model["name"].startswith("phi-4-mini · first word after ")
    assert re.search(r" · [\d,]+ tokens read, \d+ written$", model["name"])
    assert answer["name"] == "phi-4-mini"
    badge = written_by("phi-4-mini", "small")
    assert answer["output"] == f"The ferry leaves at 9:30 [1].\n\n{badge} Sources: [1] ferry.md, The ferry"
    assert not answer["streaming"]
    [source] = chat.sources(answer)
    assert (source["name"], source["display"]) == ("[1] ferry.md, The ferry", "page")
    assert (
        marked(await chat.page(source))
        == source["props"]["quotes"]
        == ["The ferry leaves at 9:30 from the old harbour."]
    )
    assert "ferry" in source["props"]["why"]
    labels = [action["label"] for action in chat.actions.values()]
    assert labels == ["Answer again", "Ask the large model", "Compare both", "Times and tokens", "Export"]


async def test_times_and_tokens_of_the_conversation_and_of_an_answer_open_beside_the_chat(chat: Chat) -> None:
    await chat.ask("When does the ferry leave?")

    await chat.call(button(chat, "Times and tokens"))

    await chat.until(lambda: chat.elements[-1]["name"] == "Times and tokens")
    [figures] = [element for element in chat.elements if element["name"] == "Times and tokens"]
    text = (await chat.content(f"/project/file/{figures['chainlitKey']}?session_id={chat.session}")).decode()
    assert "Answers by models: 1. Drafts set aside: 0." in text
    assert text.index("| As answered | ") < text.index("|  | phi-4-mini |")


async def test_panels_open_at_once_while_an_answer_is_written_and_stop_nothing(house: House, chat: Chat) -> None:
    await chat.ask("When does the ferry leave?", "small")
    looks = [button(chat, "Times and tokens"), button(chat, "Export")]
    slow = house.models.slow()
    await chat.send("What does the journal say?", "small")
    await chat.until(lambda: len(chat.answers) == 2 and len(chat.answers[1]["output"]) > 20)
    before = len(chat.history)

    await chat.call(looks[0])
    await chat.tell(looks[1]["id"])  # as the page does, whose own buttons wait

    await chat.until(lambda: [each["name"] for each in chat.elements][-2:] == ["Times and tokens", "Export"], 2)
    assert not {"task_start", "task_end"} & {name for name, _ in chat.history[before:]}
    assert house.models.writing == 1
    slow.pace = 0
    await chat.until(lambda: "The model was given: " in chat.answers[1]["output"])
    assert chat.answers[1]["output"].startswith(UNMARKED)


async def test_the_table_of_hits_compares_our_ranks_with_those_of_plain_bm25_on_demand(chat: Chat) -> None:
    await chat.ask("When does the ferry leave?")
    [search, *_] = inside(chat)
    [button] = [element for element in chat.elements if element["name"] == "PlainRanks"]
    assert button["forId"] == search["id"]
    ours = search["output"]
    assert "Plain BM25" not in ours

    async def press(**payload: Any) -> Any:
        return await chat.call({"name": HITS, "payload": payload})

    assert await press(step=button["props"]["step"], shown=True) is True
    await chat.until(lambda: "| Source | Passage | Rank | Plain BM25 | Score |" in chat.rows[search["id"]]["output"])
    rows = re.findall(r"^\| .* \| (\d+) \| (\d+|–) \| [\d.]+ \| .* \|$", chat.rows[search["id"]]["output"], re.M)
    assert [ours for ours, _ in rows] == [str(number) for number in range(1, len(rows) + 1)]
    assert rows[0] == ("1", "1")

    assert await press(step=button["props"]["step"], shown=False) is False
    await chat.until(lambda: chat.rows[search["id"]]["output"] == ours)
    assert await press(step="conversation", shown=True) is False


@pytest.mark.slow
async def test_an_answer_comes_in_pieces(house: House, chat: Chat) -> None:
    slow = house.models.slow()
    await chat.send("What does the journal say?", "small")

    await chat.until(lambda: len([name for name, _ in chat.history if name == "stream_token"]) >= 3)
    [growing] = chat.answers
    so_far = growing["output"]
    assert 0 < len(so_far) < len(LONG)
    assert LONG.startswith(so_far)
    slow.pace = 0
    await chat.until(lambda: "The model was given: " in chat.answers[-1]["output"])
    assert chat.answers[-1]["output"].startswith(UNMARKED)
    assert list(chat.rows).count(growing["id"]) == 1


async def test_sources_come_in_the_order_of_their_numbers(chat: Chat) -> None:
    for _ in range(3):
        answer = await chat.ask("Are the ferry and the museum at the harbour?", "large")

        found = [source["name"] for source in chat.sources(answer)]
        assert [name[:3] for name in found] == ["[1]", "[2]", "[3]"]
        assert f"The model was given: {' · '.join(found)}" in answer["output"]


async def test_a_source_in_a_pdf_opens_at_its_page(house: House, chat: Chat) -> None:
    answer = await chat.ask("Which lantern burns red?")

    [source] = chat.sources(answer)
    assert source["name"] == "[1] lights.pdf, page 2"
    assert source["props"]["caption"] == "lights.pdf, page 2"
    page = await chat.page(source)
    assert marked(page) == ["The northern lantern burns red."]
    assert page["picture"].startswith("data:image/png;base64,")
    assert len(page["boxes"]) == 1
    link, _, fragment = page["link"].partition("#")
    assert fragment == "page=2"
    assert await chat.content(link) == (house.app.corpus / "lights.pdf").read_bytes()


async def test_a_page_is_shown_to_the_conversation_alone_whose_answer_rests_on_it(house: House, chat: Chat) -> None:
    [source] = chat.sources(await chat.ask("Which lantern burns red?"))

    async with Chat(house.app.url) as other:
        assert list(await other.page(source)) == ["note"]
    assert list(await chat.page({"props": {"page": "../lights.pdf"}})) == ["note"]


def marked(page: dict[str, Any]) -> list[str]:
    """What is marked in the lines that the viewer shows."""
    return [text for line in page["lines"] for text, cited in line["parts"] if cited]


@pytest.mark.parametrize(
    ("question", "draft", "why", "final", "label"),
    [
        (
            "Explain why the tide turns late.",
            "The moon does it [1].",
            "The draft has 17 characters",
            "Because the moon pulls the water, the tide turns late [1].",
            "too short for the question",
        ),
        (
            "When is the museum open?",
            "It is open on Mondays [1]. I am not sure whether that holds in winter.",
            "The small model wrote “I am not sure",
            "The museum is open on Mondays [1].",
            "unsure",
        ),
    ],
)
async def test_a_draft_gives_way_to_the_large_models_answer_and_goes_into_the_line_with_its_reason(
    chat: Chat, question: str, draft: str, why: str, final: str, label: str
) -> None:
    answer = await chat.ask(question)

    cascade = rf"\d passages? → phi-4-mini \d\.\d\ss → {label} → gpt-oss-20b \d\.\d\ss"
    assert re.fullmatch(cascade, line(chat)["name"])
    search, small, large = inside(chat)
    assert search["name"].startswith("Found ")
    assert small["name"].startswith("phi-4-mini · ")
    assert small["output"].startswith(f"**Set aside:** {why}")
    assert small["output"].endswith(f"\n\n{draft}")
    assert large["name"].startswith("gpt-oss-20b · ")
    assert [row["id"] for row in chat.answers] == [answer["id"]]
    assert answer["name"] == "gpt-oss-20b"
    assert answer["output"].startswith(f"{final}\n\n{written_by('gpt-oss-20b', 'large')} Sources: ")
    streamed = [(data["id"], data["name"]) for name, data in chat.history if name == "stream_start"]
    assert streamed == [(answer["id"], "phi-4-mini"), (answer["id"], "gpt-oss-20b")]
    labels = [action["label"] for action in chat.actions.values()]
    assert labels == ["Answer again", "Keep the small answer", "Compare both", "Times and tokens", "Export"]


async def test_a_draft_that_goes_in_circles_is_ended_and_leaves_no_traceback(house: House, chat: Chat) -> None:
    """A traceback in the terminal fails the fixture."""
    answer = await chat.ask("What does the ferry do in fog?")

    assert " → repeats itself → gpt-oss-20b" in line(chat)["name"]
    assert answer["name"] == "gpt-oss-20b"


def button(chat: Chat, label: str) -> dict[str, Any]:
    return next(action for action in chat.actions.values() if action["label"] == label)


async def test_the_small_answer_that_was_kept_is_what_the_next_question_builds_on(house: House, chat: Chat) -> None:
    final = await chat.ask("Explain why the tide turns late.")

    await chat.press(button(chat, "Keep the small answer"))

    kept = chat.rows[final["id"]]
    assert kept["name"] == "phi-4-mini"
    assert kept["output"].startswith("The moon does it [1].")
    assert line(chat)["name"].endswith("→ phi-4-mini, kept by you")
    *_, large = inside(chat)
    assert large["output"].startswith("**Set aside** by you\n\nBecause the moon pulls")
    labels = [action["label"] for action in chat.actions.values()]
    assert labels == ["Answer again", "Compare both", "Times and tokens", "Export"]
    await chat.ask("And when does the ferry leave?")
    _, *earlier, _ = house.models.prompts[-1].data["messages"]
    assert earlier == [
        {"role": "user", "content": "Explain why the tide turns late."},
        {"role": "assistant", "content": "The moon does it."},
    ]


async def test_the_large_answer_is_what_the_next_question_builds_on_otherwise(house: House, chat: Chat) -> None:
    await chat.ask("Explain why the tide turns late.")
    await chat.ask("And when does the ferry leave?")

    _, _, said, _ = house.models.prompts[-1].data["messages"]
    assert said["content"] == "Because the moon pulls the water, the tide turns late."


@pytest.mark.parametrize(("mode", "models"), [("small", [SMALL]), ("large", [LARGE]), ("auto", [SMALL, LARGE])])
async def test_the_mode_chooses_who_is_asked(house: House, chat: Chat, mode: str, models: list[Script]) -> None:
    await chat.until(lambda: chat.modes)
    assert [option["id"] for option in chat.modes[0]["options"]] == ["auto", "small", "large", "compare", "refine"]

    answer = await chat.ask("Explain why the tide turns late.", mode)

    assert [asked.data["model"] for asked in house.models.prompts] == [model.full_id for model in models]
    assert answer["name"] == models[-1].alias


async def test_comparing_shows_both_answers_in_one_element(house: House, chat: Chat) -> None:
    message = await chat.ask("Explain why the tide turns late.", "compare")

    *_, element = [item for item in chat.elements if item["name"] == "Compare"]
    assert element["forId"] == message["id"]
    assert [answer["name"] for answer in element["props"]["answers"]] == ["phi-4-mini", "gpt-oss-20b"]
    assert [answer["text"] for answer in element["props"]["answers"]] == [SMALL.when["tide"], LARGE.when["tide"]]
    assert "Sources: [1] tide.md, The tide" in message["output"]
    assert message["output"].startswith("Both models on the same passages:")
    assert columns(chat, "note") == ["1 passage", "1 passage"]
    assert all("tokens read" in foot for foot in columns(chat, "foot"))
    labels = [action["label"] for action in chat.actions.values()]
    assert labels == ["Answer again", "Times and tokens", "Export"]


def comparison(chat: Chat) -> dict[str, Any]:
    """What the latest comparison shows now."""
    *_, element = [item["props"] for item in chat.elements if item["name"] == "Compare"]
    return dict(element)


async def prefer(chat: Chat, number: int) -> None:
    """Press the button of a column, or with 0 that for no difference."""
    await chat.press({"name": "prefer", "payload": {"message": comparison(chat)["message"], "attempt": number}})


async def test_the_preferred_answer_is_what_the_next_question_builds_on(house: House, chat: Chat) -> None:
    await chat.ask("Explain why the tide turns late.", "compare")
    assert (comparison(chat)["live"], comparison(chat)["preferred"]) == (True, None)

    await prefer(chat, 1)

    assert comparison(chat)["preferred"] == 1
    assert columns(chat) == [SMALL.when["tide"], LARGE.when["tide"]]
    await chat.ask("And when does the ferry leave?")
    assert {"role": "assistant", "content": "The moon does it."} in house.models.prompts[-1].data["messages"]


async def test_a_conversation_counts_which_model_was_preferred_and_notes_the_last_choice(
    house: House, chat: Chat
) -> None:
    await chat.ask("Explain why the tide turns late.", "compare")
    await prefer(chat, 1)
    await prefer(chat, 2)
    await chat.ask("When is the museum open?", "compare")
    assert comparison(chat)["tally"] == "Preferred in this conversation: gpt-oss-20b (1)"
    await prefer(chat, 0)
    await chat.ask("Explain why the tide turns so late.")
    await chat.press(button(chat, "Keep the small answer"))

    tally = "Preferred in this conversation: gpt-oss-20b (1) · no difference (1) · phi-4-mini (1)"
    assert comparison(chat)["tally"] == tally
    await chat.call(button(chat, "Times and tokens"))
    await chat.until(lambda: chat.elements[-1]["name"] == "Times and tokens")
    [figures] = [element for element in chat.elements if element["name"] == "Times and tokens"]
    text = await chat.content(f"/project/file/{figures['chainlitKey']}?session_id={chat.session}")
    assert tally in text.decode()
    noted = [json.loads(line) for line in (house.app.state / "feedback.jsonl").read_text("utf-8").splitlines()]
    about = [(each["kind"], each["preferred"], each["models"]) for each in noted[-4:]]
    both = ["phi-4-mini", "gpt-oss-20b"]
    assert about == [("preference", name, both) for name in ("phi-4-mini", "gpt-oss-20b", "", "phi-4-mini")]


async def test_a_comparison_says_where_the_models_had_different_passages(house: House, chat: Chat) -> None:
    too_long = {"error": {"message": "Bad request", "code": "context_length_exceeded"}}
    house.models.fault = Fault(status=400, body=too_long, times=1)
    await chat.ask("What does the journal of the museum say about the tide and the ferry?", "small")
    house.models.fault = None

    message = chat.answers[-1]
    await chat.press(button(chat, "Compare both"))

    assert chat.rows[message["id"]]["output"].startswith("The models had different passages:")
    first, *_, last = (asked.data["messages"][-1]["content"].count("\n[") for asked in house.models.prompts)
    assert columns(chat, "note") == ["1 passage", f"{last} passages"]
    assert first == last > 1


@pytest.mark.slow
async def test_comparing_a_model_with_itself_shows_one_answer_and_says_so(
    house: House, tmp_path: Path, corpus: Path
) -> None:
    with running(tmp_path, corpus, FOUNDRY_LOCAL_ENDPOINT=f"{house.models.url}/v1/", LLM_ALIAS=SMALL.alias) as app:
        async with Chat(app.url) as alone:
            await alone.until_read(1)
            message = await alone.ask("When does the ferry leave?", "compare")

            assert columns(alone) == [SMALL.when["ferry"]]
            assert message["output"].startswith(
                "The only model on these passages:\n\n**Note:** There is nothing to compare"
            )


@pytest.mark.slow
async def test_stop_in_a_comparison_says_who_was_stopped(house: House, chat: Chat) -> None:
    house.models.slow()
    await chat.send("What does the journal say?", "compare")
    await chat.until(lambda: any("tide" in text for text in columns(chat)))

    await chat.stop()

    await chat.until(lambda: columns(chat, "note") == ["stopped", "stopped"])


def columns(chat: Chat, what: str = "text") -> list[str]:
    """What the two columns of a comparison show now."""
    shown = [item["props"]["answers"] for item in chat.elements if item["name"] == "Compare"]
    return [answer[what] for answer in shown[-1]] if shown else []


async def test_refining_lets_the_large_model_polish_a_long_draft(house: House, chat: Chat) -> None:
    await chat.ask("What does the chronicle tell?", "refine")

    asked = [prompt.data for prompt in house.models.prompts]
    assert [data["model"] for data in asked] == [SMALL.full_id, LARGE.full_id]
    assert "Polish the draft" in asked[1]["messages"][-1]["content"]
    assert "Polish the draft" not in asked[0]["messages"][-1]["content"]


async def test_the_large_model_is_asked_when_its_button_is_pressed_and_the_draft_is_not_written_again(
    house: House, chat: Chat
) -> None:
    draft = await chat.ask("When does the ferry leave?")

    await chat.press(button(chat, "Ask the large model"))

    assert button(chat, "Keep the small answer")
    assert [(row["id"], row["name"]) for row in chat.answers] == [(draft["id"], "gpt-oss-20b")]
    assert re.search(r" → phi-4-mini \d\.\d\ss → you asked → gpt-oss-20b \d\.\d\ss$", line(chat)["name"])
    _, small, _ = inside(chat)
    assert small["output"] == "**Set aside:** You asked for the large model.\n\nThe ferry leaves at 9:30 [1]."
    assert [asked.data["model"] for asked in house.models.prompts] == [SMALL.full_id, LARGE.full_id]


async def test_both_are_compared_when_the_button_is_pressed_without_asking_the_small_one_again(
    house: House, chat: Chat
) -> None:
    await chat.ask("When does the ferry leave?")

    await chat.press(button(chat, "Compare both"))

    await chat.until(lambda: any(item["name"] == "Compare" for item in chat.elements))
    assert comparison(chat)["live"]
    assert [asked.data["model"] for asked in house.models.prompts] == [SMALL.full_id, LARGE.full_id]


async def test_stop_in_the_large_models_answer_lets_the_draft_stand_again(house: House, chat: Chat) -> None:
    draft = await chat.ask("What does the journal of the museum say?", "small")
    slow = house.models.slow()
    pressing = asyncio.create_task(chat.press(button(chat, "Ask the large model")))
    await chat.until(lambda: any(row["name"] == "gpt-oss-20b" for row in chat.answers))

    await chat.stop()
    await pressing
    slow.pace = 0

    await chat.until(lambda: chat.rows[draft["id"]]["name"] == "phi-4-mini")
    await chat.until(lambda: "Sources: " in chat.rows[draft["id"]]["output"])
    assert line(chat)["name"].endswith("gpt-oss-20b stopped")
    assert "Ask the large model" in [action["label"] for action in chat.actions.values()]
    await chat.ask("And when does the ferry leave?", "small")
    earlier = house.models.prompts[-1].data["messages"][2]["content"]
    assert earlier == "It is open on Mondays. I am not sure whether that holds in winter."


async def test_a_large_model_that_died_in_its_answer_begins_anew_when_it_is_asked_once_more(
    house: House, chat: Chat
) -> None:
    draft = await chat.ask("What does the journal of the museum say?", "small")
    house.models.fault = Fault(after=900, how="reset", times=1)
    await chat.press(button(chat, "Ask the large model"))
    assert chat.rows[draft["id"]]["name"] == "phi-4-mini"

    await chat.press(button(chat, "Ask the large model"))

    answer = chat.rows[draft["id"]]
    assert answer["name"] == "gpt-oss-20b"
    assert answer["output"].startswith("The museum is open on Mondays [1].\n\n`gpt-oss-20b")
    _, small, *_ = inside(chat)
    assert small["output"].count("I am not sure whether that holds in winter.") == 2  # set aside twice
    assert "The museum" not in small["output"]


async def test_a_button_pressed_while_the_server_is_gone_leaves_the_answer_and_a_note(house: House, chat: Chat) -> None:
    answer = await chat.ask("When does the ferry leave?")
    compare = button(chat, "Compare both")
    house.models.lost = 1_000
    await chat.ask("When is the museum open?")  # it is noticed now

    await chat.press(compare)
    house.models.lost = 0

    shown = chat.rows[answer["id"]]
    assert shown["output"].startswith("The ferry leaves at 9:30 [1].")
    assert "**Note:** There is no model server where FOUNDRY_LOCAL_ENDPOINT says (" in shown["output"]
    assert not [row for row in chat.answers if "went wrong" in row["output"]]


async def test_a_question_that_found_nothing_is_no_part_of_what_a_model_remembers(house: House, chat: Chat) -> None:
    await chat.ask("Pumpkin soup?")

    await chat.ask("When does the ferry leave?")

    assert [message["role"] for message in house.models.prompts[-1].data["messages"]] == ["system", "user"]


async def test_the_dial_that_was_turned_stays_in_conversations_that_are_begun_later(house: House, chat: Chat) -> None:
    await chat.settings(dial="never")

    kept = await chat.ask("Explain why the tide turns late.")

    assert kept["name"] == "phi-4-mini"
    assert [asked.data["model"] for asked in house.models.prompts] == [SMALL.full_id]
    async with Chat(house.app.url) as later:
        assert (await later.ask("Explain why the tide turns late."))["name"] == "phi-4-mini"


@pytest.mark.slow
async def test_stop_ends_the_models_work_and_the_next_question_is_answered(house: House, chat: Chat) -> None:
    slow = house.models.slow()
    await chat.send("What does the journal say?", "small")
    await chat.until_written(LONG, 20)
    assert house.models.writing == 1

    await chat.stop()

    assert await soon(lambda: house.models.writing == 0, 10) < 8  # the rest would take longer
    slow.pace = 0
    answer = await chat.ask("When does the ferry leave?")
    assert answer["output"].startswith("The ferry leaves at 9:30 [1].")
    stopped, *_ = chat.answers
    assert LONG.startswith(stopped["output"])
    assert not stopped["streaming"]
    assert any(name.endswith("phi-4-mini stopped") for name in names(chat.steps))


QUOTED = "From **ferry.md, The ferry**, until the answer begins:\n\n> The ferry leaves at 9:30 from the old harbour."


def quoting(chat: Chat) -> Row | None:
    return next((row for row in chat.answers if row["output"] == QUOTED), None)


@pytest.mark.slow
async def test_while_a_model_reads_a_quote_stands_where_its_answer_then_begins(house: House, chat: Chat) -> None:
    house.models.fault = Fault(delay=2.0, times=1)
    await chat.send("When does the ferry leave?")

    await chat.until(lambda: quoting(chat) and " reads " in line(chat)["name"])
    place = quoting(chat)
    assert place is not None
    assert place["createdAt"] > line(chat)["createdAt"]
    announced = [
        data["text"] for name, data in chat.history if name == "window_message" and data["about"] == "announcement"
    ]
    assert announced == ["ferry.md: The ferry leaves at 9:30 from the old harbour."]
    await chat.until(lambda: "Times and tokens" in [action["label"] for action in chat.actions.values()])
    [answer] = chat.answers
    assert answer["id"] == place["id"]
    assert answer["name"] == "phi-4-mini"
    assert answer["output"].startswith("The ferry leaves at 9:30 [1].\n\n`phi-4-mini")


@pytest.mark.slow
async def test_a_model_that_is_stopped_before_its_first_token_leaves_the_quote(house: House, chat: Chat) -> None:
    house.models.fault = Fault(delay=3.0, times=1)
    await chat.send("When does the ferry leave?")
    await chat.until(lambda: quoting(chat))

    await chat.stop()

    await chat.until(lambda: line(chat)["name"].endswith("phi-4-mini stopped"))
    await chat.until(lambda: QUOTED.replace(", until the answer begins", "") in [row["output"] for row in chat.answers])
    await chat.ask("When does the ferry leave?")
    assert [message["role"] for message in house.models.prompts[-1].data["messages"]] == ["system", "user"]
    await soon(lambda: house.models.writing == 0, 10)


@pytest.mark.slow
async def test_a_large_model_that_steps_in_is_named_in_the_line_above_the_quote(house: House, chat: Chat) -> None:
    house.models.fault = Fault(delay=1.0, status=400, body={"error": {"message": "no"}}, times=1)
    await chat.send("Which lantern is in the journal?")
    await chat.until(lambda: any("until the answer begins" in row["output"] for row in chat.answers))
    house.models.fault = Fault(delay=1.0)

    await chat.until(lambda: "Times and tokens" in [action["label"] for action in chat.actions.values()])

    assert re.search(r" → phi-4-mini failed → gpt-oss-20b \d", line(chat)["name"])
    assert [row["name"] for row in chat.answers] == ["gpt-oss-20b"]


@pytest.mark.slow
async def test_a_comparison_begins_where_it_stood_and_the_quote_goes(house: House, chat: Chat) -> None:
    house.models.fault = Fault(delay=1.0)
    await chat.send("When does the ferry leave?", "compare")
    await chat.until(lambda: quoting(chat))

    await chat.until(lambda: "Times and tokens" in [action["label"] for action in chat.actions.values()])

    [answer] = chat.answers
    assert answer["output"].startswith("Both models on the same passages:")


async def test_passages_that_do_not_answer_are_called_near_and_not_found(chat: Chat) -> None:
    await chat.ask(
        "Does the harbour restaurant serve soup, salad, pasta, cheese, dessert, coffee, beer, pizza or burgers?"
    )

    assert re.fullmatch(r"nothing that answers, nearest \w+\.\w+", line(chat)["name"])


async def test_two_users_are_kept_apart_and_the_second_is_told_that_it_waits(house: House, chat: Chat) -> None:
    waiting = "phi-4-mini is answering another question; you are next"
    async with Chat(house.app.url) as other:
        slow = house.models.slow()
        await chat.send("What does the journal say?", "small")
        await chat.until(lambda: chat.answers)
        await other.send("When does the ferry leave?", "small")
        await other.until(lambda: any(waiting in name for name in names(other.steps)))
        slow.pace = 0
        await other.until(lambda: other.answers and "Sources: " in other.answers[0]["output"])
        await chat.until(lambda: "The model was given: " in chat.answers[0]["output"])

        [mine], [theirs] = chat.answers, other.answers
        assert mine["output"].startswith(UNMARKED)
        assert theirs["output"].startswith("The ferry leaves at 9:30 [1].")
        assert waiting not in " ".join(names(chat.steps) + names(other.steps))
        assert {element["forId"] for element in chat.elements} == {mine["id"], inside(chat)[0]["id"]}
        assert {element["forId"] for element in other.elements} == {theirs["id"], inside(other)[0]["id"]}
        await other.ask("And where does it leave?")
    assert "journal" not in str(house.models.prompts[-1].data["messages"][1:-1])


@pytest.mark.slow
async def test_a_new_chat_ends_the_models_work_for_the_old_one(house: House, chat: Chat) -> None:
    house.models.slow()
    await chat.send("What does the journal say?", "small")
    await chat.until(lambda: chat.answers)

    await chat.clear()

    assert await soon(lambda: house.models.writing == 0, 10) < 8  # before GONE_SECONDS


@pytest.mark.slow
async def test_a_turn_outlives_a_dropped_connection_but_not_a_closed_tab(house: House, chat: Chat) -> None:
    async with Chat(house.app.url) as closed:
        slow = house.models.slow()
        await chat.send("What does the journal say?", "large")
        await closed.send("What does the journal say?", "small")
        await chat.until(lambda: chat.answers)
        await closed.until(lambda: closed.answers)
        assert house.models.writing == 2
    gone = time.monotonic()
    await chat.drop()
    await chat.open()

    await soon(lambda: house.models.writing == 1, GONE_SECONDS + 5)

    assert GONE_SECONDS - 1 < time.monotonic() - gone < GONE_SECONDS + 2
    slow.pace = 0
    await chat.until(lambda: "The model was given: " in chat.answers[-1]["output"])
    assert chat.answers[-1]["output"].startswith(UNMARKED)


@pytest.mark.slow
async def test_without_models_the_best_sentences_are_quoted_within_a_second(without_models: App) -> None:
    seconds = []
    for _ in range(3):
        async with Chat(without_models.url) as chat:
            start = time.monotonic()
            answer = await chat.ask("When does the ferry leave?")
            seconds.append(time.monotonic() - start)

            quote, note, listed = answer["output"].split("\n\n")
            assert quote == "> The ferry leaves at 9:30 from the old harbour. [1]"
            assert "There is no model on this machine: " in note
            assert "escalator models get tiny" in note
            assert listed == "`quotes · no model` Sources: [1] ferry.md, The ferry"
            assert not answer.get("isError")
            assert len(chat.sources(answer)) == 1
    assert min(seconds) < 1  # the others may share the machine with other tests


async def test_why_there_is_no_model_is_told_at_length_once_in_a_conversation(without_models: App) -> None:
    async with Chat(without_models.url) as chat:
        first = await chat.ask("When does the ferry leave?")
        second = await chat.ask("When does the ferry leave?")

    assert "**Note:** There is no model on this machine: " in first["output"]
    assert "\n\n**Note:** There is no model on this machine.\n\n" in second["output"]


@pytest.mark.slow
async def test_files_that_cannot_be_read_are_named_in_the_search_step(without_models: App) -> None:
    from pypdf import PdfWriter

    (without_models.corpus / "blank.txt").touch()
    writer = PdfWriter()
    writer.add_blank_page(200, 200)
    writer.encrypt("secret", algorithm="RC4-128")
    writer.write(without_models.corpus / "locked.pdf")
    async with Chat(without_models.url) as chat:
        async with asyncio.timeout(20):
            while len((await chat.call({"name": PRESS, "payload": {}}))["files"]) < 3:  # noqa: ASYNC110 - it is read
                await asyncio.sleep(0.05)
        answer = await chat.ask("When does the ferry leave?")

        search, *_ = inside(chat)
        assert "Not read: blank.txt – it is empty" in search["output"]
        assert "Not read: locked.pdf – it is encrypted; save it without a password" in search["output"]
        assert answer["output"].startswith("> The ferry leaves")


async def test_a_file_dropped_into_the_corpus_is_in_the_next_answer(without_models: App) -> None:
    async with Chat(without_models.url) as chat:
        before = await chat.ask("Who bakes the bread?")
        assert before["output"].startswith("Nothing in your documents matches this question")
        assert "“bakes”" in before["output"]

        (without_models.corpus / "bread.txt").write_text("Ada bakes the bread at dawn.\n", encoding="utf-8")

        assert (await chat.ask("Who bakes the bread?"))["output"].startswith("> Ada bakes the bread at dawn. [1]")


@pytest.mark.parametrize(
    ("question", "says"),
    [(" \n", "The question is empty. Type a question"), ("ferry " * 2000, "the limit is 8,000. Shorten it")],
)
async def test_a_question_that_cannot_be_asked_is_an_error_in_the_chat(
    without_models: App, question: str, says: str
) -> None:
    async with Chat(without_models.url) as chat:
        answer = await chat.ask(question)

        assert answer["isError"]
        assert says in answer["output"]
        assert not (await chat.ask("When does the ferry leave?")).get("isError")


async def test_a_mode_that_does_not_exist_is_an_error_in_the_chat(without_models: App) -> None:
    async with Chat(without_models.url) as chat:
        answer = await chat.ask("When does the ferry leave?", "huge")

        assert answer["isError"]
        assert answer["output"].startswith("The mode is 'huge'; it must be one of auto, small, large")


@pytest.mark.parametrize("missing", [True, False])
@pytest.mark.slow
async def test_a_corpus_without_documents_is_an_error_in_the_chat_until_it_has_one(
    without_models: App, missing: bool
) -> None:
    (without_models.corpus / "ferry.md").unlink()
    if missing:
        without_models.corpus.rmdir()
    async with Chat(without_models.url) as chat:
        answer = await chat.ask("When does the ferry leave?")

        assert answer["isError"]
        assert str(without_models.corpus) in answer["output"]
        without_models.corpus.mkdir(exist_ok=True)
        (without_models.corpus / "ferry.txt").write_text("The ferry leaves at noon.\n", encoding="utf-8")
        assert "at noon" in (await chat.ask("When does the ferry leave?"))["output"]


@pytest.mark.slow
async def test_an_endpoint_where_nothing_answers_is_named_beside_the_quotes(
    tmp_path: Path, corpus: Path, unused_port: int
) -> None:
    url = f"http://127.0.0.1:{unused_port}"
    with running(tmp_path, corpus, FOUNDRY_LOCAL_ENDPOINT=url) as app:
        async with Chat(app.url) as chat:
            answer = await chat.ask("When does the ferry leave?")

            quote, note, _ = answer["output"].split("\n\n")
            assert quote.startswith("> The ferry leaves")
            said = f"There is no model server where FOUNDRY_LOCAL_ENDPOINT says ({url[7:]}: nothing answers). Start one"
            assert said in note


@pytest.mark.slow
@pytest.mark.parametrize("more", [[], ["--watch"]], ids=["started", "watching its files"])
@pytest.mark.parametrize("where", ["environment", ".env"])
def test_a_setting_that_is_not_allowed_ends_the_start(
    tmp_path: Path, corpus: Path, unused_port: int, where: str, more: list[str]
) -> None:
    given = {"ESCALATOR_PARALLEL": "many"} if where == "environment" else {}
    (tmp_path / ".env").write_text("" if given else "ESCALATOR_PARALLEL=many\n", encoding="utf-8")
    line = [str(ROOT / it) if it == "app/main.py" else it for it in [*command(unused_port), *more]]

    env = environment(tmp_path, corpus, **given)
    output, errors = tmp_path / "output", tmp_path / "errors"
    code = launched(line, tmp_path, env, output, errors).wait(60)

    place = "" if given else " in .env"
    assert errors.read_text("utf-8") == (
        f"The setting ESCALATOR_PARALLEL is 'many'{place}; it must be a whole number from 1 to 1024.\n"
    )
    assert (code, "available" in output.read_text("utf-8")) == (1, False)


async def test_what_a_page_of_an_earlier_start_asks_for_is_refused_without_a_traceback(without_models: App) -> None:
    async with Chat(without_models.url) as chat:
        chat.session = "of an earlier start"
        body = {"sessionId": chat.session, "action": {"name": PRESS, "payload": {}}}
        async with chat._http.post(f"{chat.url}/project/action", json=body) as response:
            assert response.status == 404

    assert "Traceback" not in without_models.said
