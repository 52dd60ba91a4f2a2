"""`escalator serve` as its users have it: a process that OpenAI's client and curl ask, and that stays reachable."""

import json
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import openai
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import not_a_server_error

from app.settings import ROOT
from tests.support.chat import environment, free_port, served
from tests.support.corpora import FERRY
from tests.support.gateway import GOOD, QUESTION, Models, text_of

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Running:
    """A server, what it has written, and the models behind it."""

    url: str
    port: int
    log: Path
    models: Models
    process: "subprocess.Popen[bytes]"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server that reports what it imports; it is ended as by Ctrl+C."""
    folder = tmp_path_factory.mktemp("serve")
    corpus, log, port = folder / "corpus", folder / "log", free_port()
    corpus.mkdir()
    (corpus / "ferry.md").write_text(FERRY, encoding="utf-8")
    with served(Models()) as models:
        script = "from app.cli.commands import main; from app.web import application as it; it.HEAD_SECONDS = 1; main()"
        command = [sys.executable, "-X", "importtime", "-c", script, "serve", "--port", str(port)]
        settings = environment(folder, corpus, FOUNDRY_LOCAL_ENDPOINT=models.url, PYTHONPATH=str(ROOT))
        with log.open("wb") as written:
            process = subprocess.Popen(command, cwd=folder, env=settings, stdout=written, stderr=written)
        running = Running(f"http://127.0.0.1:{port}/v1", port, log, models, process)
        try:
            _wait(running)
            yield running
        finally:
            process.kill()
            process.wait()


def _wait(server: Running) -> None:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(server.url + "/models", timeout=5):
                return
        except OSError:
            assert server.process.poll() is None, server.log.read_text(encoding="utf-8")
            time.sleep(0.05)
    raise AssertionError("not up after 30 seconds")


def test_the_client_of_openai_gets_an_answer_whole_and_as_a_stream(server: Running) -> None:
    with openai.OpenAI(base_url=server.url, api_key="none", max_retries=0) as client:
        names = [each.id for each in client.models.list()]
        whole = client.chat.completions.create(model=names[0], messages=[{"role": "user", "content": QUESTION}])
        with client.chat.completions.create(
            model="escalator",
            messages=[{"role": "user", "content": QUESTION}],
            stream=True,
            stream_options={"include_usage": True},
        ) as stream:
            chunks = [*stream]
        with pytest.raises(openai.NotFoundError, match="There is no model gpt-4o"):
            client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": QUESTION}])

    assert names == ["escalator", "escalator-small", "escalator-large"]
    assert (whole.choices[0].message.content or "").startswith(GOOD)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices).startswith(GOOD)
    assert chunks[-1].usage is not None
    assert chunks[-1].usage == whole.usage


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_the_line_that_serve_prints_for_curl_works(server: Running) -> None:
    said = server.log.read_text(encoding="utf-8")
    line = "curl" + said.partition("    curl")[2].partition("\n\n")[0].replace("What is BM25?", QUESTION)

    done = subprocess.run(line, shell=True, capture_output=True, check=True, timeout=30)

    *events, last = done.stdout.decode().strip().split("\n\n")
    assert last == "data: [DONE]"
    assert text_of([json.loads(each.removeprefix("data: ")) for each in events]).startswith(GOOD)


def test_no_request_that_the_description_leads_to_is_an_accident(server: Running) -> None:
    statuses = set()
    for result in schemathesis.openapi.from_url(f"{server.url}/openapi.json").get_all_operations():
        for generation in schemathesis.GenerationMode:

            @settings(max_examples=6, derandomize=True, deadline=None, suppress_health_check=[*HealthCheck])
            @given(case=result.ok().as_strategy(generation))
            def check(case: schemathesis.Case) -> None:
                if isinstance(case.body, dict) and "model" in case.body and len(statuses) % 2:
                    case.body["model"] = "escalator"
                response = case.call()
                statuses.add(response.status_code)
                case.validate_response(response, checks=[not_a_server_error])

            with suppress(Unsatisfiable):  # a request without parameters cannot be wrong
                check()
    assert statuses >= {200, 400, 404}


def test_connections_that_send_nothing_keep_nobody_out_and_are_closed(server: Running) -> None:
    idle = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(100)]
    for each in idle[::2]:
        each.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\n")
    try:
        with urllib.request.urlopen(server.url + "/models", timeout=5) as answer:
            assert answer.status == 200
        for each in idle:
            each.settimeout(5)
            assert each.recv(1) == b""
    finally:
        for each in idle:
            each.close()


def test_chainlit_is_not_needed_and_ctrl_c_ends_the_server_in_peace(server: Running) -> None:
    server.process.send_signal(signal.SIGINT)
    code = server.process.wait(15)

    said = server.log.read_text(encoding="utf-8")
    assert code == 0
    assert "uvicorn" in said
    assert "chainlit" not in said
    assert "Traceback" not in said
