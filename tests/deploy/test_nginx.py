"""Two chats on one state folder behind a real nginx, with the configuration that is shipped."""

import asyncio
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from app.settings import ROOT
from tests.support.chat import App, Chat, free_port, running
from tests.support.corpora import FERRY
from tests.support.waiting import until

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/bin:/opt/homebrew/bin")
CONFIGURATION = ROOT / "deploy" / "nginx.conf"
QUESTION, BREAD = "When does the ferry leave?", b"Ada bakes the bread at dawn.\n"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(NGINX is None, reason="nginx is not installed (Debian: nginx-light)"),
]


@contextmanager
def nginx(folder: Path, port: int, ports: list[int]) -> Iterator[None]:
    """Run nginx on a port, before chats on these ports."""
    text = CONFIGURATION.read_text(encoding="utf-8")
    for number, each in enumerate(ports, 11):
        text = text.replace(f"172.30.7.{number}:8000", f"127.0.0.1:{each}")
    own = "".join(
        f"    {kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    text = text.replace("http {\n", f"http {{\n{own}").replace("listen 80;", f"listen 127.0.0.1:{port};")
    text = text.replace("/tmp/nginx.pid", f"{folder}/nginx.pid")
    (folder / "nginx.conf").write_text(text, encoding="utf-8")
    own_user = "user root;" if os.geteuid() == 0 else ""  # in the namespace of the gate there is no other
    line = [str(NGINX), "-p", str(folder), "-e", "stderr", "-c", "nginx.conf", "-g", f"daemon off; {own_user}"]
    with (folder / "nginx.log").open("w", encoding="utf-8") as log, subprocess.Popen(line, stderr=log) as process:
        try:
            assert until(lambda: _listens(port), 10), (folder / "nginx.log").read_text(encoding="utf-8")
            yield
        finally:
            process.terminate()


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


@dataclass(frozen=True)
class House:
    """The chats, and the address of the nginx before them."""

    apps: list[App]
    url: str

    def serving(self, chat: Chat) -> App:
        """Return the app that the cookie of a tab names."""
        [cookie] = [each.value for each in chat.cookies or () if each.key == "escalator_process"]
        return self.apps[("first", "second").index(cookie)]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    corpus, port = tmp_path / "corpus", free_port()
    corpus.mkdir()
    (corpus / "ferry.md").write_text(FERRY, encoding="utf-8")
    with (
        running(tmp_path, corpus) as first,
        running(tmp_path, corpus) as second,
        nginx(tmp_path, port, [first.port, second.port]),
    ):
        yield House([first, second], f"http://localhost:{port}")


async def test_a_conversation_outlives_its_process_and_documents_are_found_by_both(house: House) -> None:
    async with AsyncExitStack() as tabs:
        chat = other = await tabs.enter_async_context(Chat(house.url))
        while house.serving(other) is house.serving(chat):  # any of the two is chosen
            other = await tabs.enter_async_context(Chat(house.url))
        answer = await chat.ask(QUESTION)
        assert "9:30" in answer["output"]

        # A document that is dropped at one of them, and kept, is found by the other.
        await chat.ask("Who bakes the bread?", files=[await chat.upload("bread.txt", BREAD, "text/plain")])
        [keep] = [each for each in chat.actions.values() if each["name"] == "keep-file"]
        await chat.press(keep)
        async with asyncio.timeout(2):
            while not (await other.documents())["facts"][0].startswith("2 documents"):  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        assert "Ada bakes the bread at dawn." in (await other.ask("Who bakes the bread?"))["output"]

        # Its process is killed: the tab connects again, to the other one, and has its conversation.
        before, lost = [row["output"] for row in chat.answers], house.serving(chat)
        await asyncio.sleep(1)  # what is shown is kept within half a second
        lost.process.kill()
        assert await asyncio.to_thread(until, lambda: lost.process.poll() is not None)
        async with Chat(house.url, chat.conversation, cookies=chat.cookies) as again:
            assert [row["output"] for row in again.answers] == before
            assert house.serving(again) is house.serving(other)
            assert "9:30" in (await again.ask("And from which harbour does it leave?"))["output"]

            # The first one is back, and the tab stays where its conversation is now.
            with running(lost.state.parent, lost.corpus, port=lost.port):
                await asyncio.sleep(5.5)
                panel = await again.documents()
                assert panel["facts"][0].startswith("2 documents")
                assert house.serving(again) is house.serving(other)


def test_the_cookie_names_each_process_of_the_configuration() -> None:
    text = CONFIGURATION.read_text(encoding="utf-8")
    named = re.findall(r"^    upstream (\w+)", text, re.MULTILINE)

    assert named == ["first", "second"]
    for name in named:
        assert re.search(rf"^        {name} +{name};", text, re.MULTILINE)
        assert f'"escalator_process={name};' in text
