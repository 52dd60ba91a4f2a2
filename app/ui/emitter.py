"""How events reach the page: what changes the screen goes to all tabs of a conversation, the rest to one of them."""

from collections.abc import Callable, Coroutine
from typing import Any

import chainlit as cl
from chainlit.config import config
from chainlit.emitter import ChainlitEmitter
from chainlit.session import WebsocketSession
from chainlit.types import MessagePayload

from app.settings import load
from app.translation import choose
from app.ui.screen import Keeper, Screen, send
from app.ui.server_guard import is_local, log_in

PICTURES = ("image/png", "image/jpeg", "image/gif", "image/webp", "image/avif", "image/bmp", "image/svg+xml")
"""What browsers show; of other pictures that are dropped, such as a telephone's, the name is shown."""


class Emitter(ChainlitEmitter):
    """Sends what changes the screen to all tabs of the conversation, and everything else to the tab of its session."""

    _asked = False

    def __init__(self, session: WebsocketSession) -> None:
        super().__init__(session)
        choose(session.language)  # each event of a tab makes an emitter, in the task that handles it

    @property
    def emit(self) -> Callable[[str, Any], Coroutine[Any, Any, None]]:
        """The function that sends an event."""
        return self._deliver

    async def process_message(self, payload: MessagePayload) -> cl.Message:
        """Take a question, which the other tabs have not seen."""
        self._asked = True
        message: cl.Message = await super().process_message(payload)
        screen, question = Screen.of(self.session.thread_id), {**message.to_dict()}
        screen.take("new_message", question)
        await screen.emit("new_message", question, but=self.session)
        self.session.thread_id_to_resume = self.session.thread_id  # a lost connection shows what it missed
        return message

    async def init_thread(self, interaction: str) -> None:
        """Begin a conversation with its first question; a button that was pressed before, as in a panel, is none."""
        if self._asked:
            await super().init_thread(interaction)
            await self.send_window_message({"about": "conversation", "id": self.session.thread_id})
        else:
            self.session.has_first_interaction = False

    async def _deliver(self, event: str, data: Any) -> None:
        screen = Screen.of(self.session.thread_id)
        if event == "element" and data["type"] == "image" and data["mime"] not in PICTURES:
            data = {**data, "type": "file"}
        if event == "resume_thread":
            await screen.show(data, self.session)
        elif screen.take(event, data):
            await screen.emit(event, data)
        else:
            await send(self.session, event, data)


def install() -> None:
    """Have Chainlit use the emitter of this module, and on loopback the history: its one user is whoever sits here.

    Raises SettingsError, which Chainlit reports when it reads a changed file again.
    """
    import chainlit.emitter

    chainlit.emitter.ChainlitEmitter = Emitter  # type: ignore[misc]
    if is_local():
        settings = load()
        cl.data_layer(lambda: Keeper(settings))
        if upload := config.features.spontaneous_file_upload:
            upload.max_size_mb = settings.max_file_mb
        config.ui.default_sidebar_state = config.ui.default_sidebar_state if settings.history else "hidden"
        log_in()
