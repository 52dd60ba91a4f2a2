"""Who asks, and from where."""

import weakref
from typing import Any

import pytest

from app.guard import Guard, is_here, organises


@pytest.mark.parametrize(
    ("client", "headers", "here"),
    [
        (("127.0.0.1", 5000), [], True),
        (("127.0.1.1", 5000), [], True),
        (("::1", 5000), [], True),
        (("::ffff:127.0.0.1", 5000), [], True),
        (("192.168.1.7", 5000), [], False),
        (("::ffff:192.168.1.7", 5000), [], False),
        (None, [], False),
        (("127.0.0.1", 5000), [(b"x-forwarded-for", b"192.168.1.7")], False),
        (("127.0.0.1", 5000), [(b"X-Real-IP", b"127.0.0.1")], False),
        (("192.168.1.7", 5000), [(b"x-forwarded-for", b"127.0.0.1")], False),
        (("127.0.0.1", 5000), [(b"X-Forwarded-Proto", b"https")], False),
        (("127.0.0.1", 5000), [(b"host", b"Localhost:8000")], True),
        (("127.0.0.1", 5000), [(b"host", b"room.test:8000")], False),
        (("127.0.0.1", 5000), [(b"host", b"[::1")], False),
    ],
)
def test_only_a_program_on_this_machine_is_here_and_organises(
    client: tuple[str, int] | None, headers: list[tuple[bytes, bytes]], here: bool
) -> None:
    scope = {"type": "http", "client": client, "headers": headers}

    assert is_here(scope) == organises(scope) == here


async def test_a_connection_that_is_over_is_not_kept_by_what_still_refers_to_its_request() -> None:
    class Connection:
        async def receive(self) -> dict[str, Any]:
            return {"type": "websocket.connect"}

        async def send(self, message: Any) -> None:
            """Take a message."""

    left = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        assert (await receive())["type"] == "websocket.connect"
        left.append(receive)

    connection = Connection()
    over = weakref.ref(connection)
    scope = {"type": "websocket", "headers": [(b"host", b"localhost")]}
    await Guard(application, lambda: ())(scope, connection.receive, connection.send)  # type: ignore[arg-type]
    del connection

    assert over() is None
    assert (await left[0]())["type"] == "http.disconnect"
