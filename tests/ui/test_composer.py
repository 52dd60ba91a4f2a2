"""What a person chooses in the composer."""

from typing import get_args

from app.settings import RouteName
from app.ui.composer import modes
from tests.support.chat import App, Chat


def offers(chat: Chat) -> list[list[str]]:
    """What was offered in the composer, each time."""
    return [[each["id"] for each in data] for name, data in chat.history if name == "set_modes"]


async def test_modes_and_folders_are_offered_once_so_that_nothing_chosen_is_set_back(without_models: App) -> None:
    (without_models.corpus / "hr").mkdir()
    (without_models.corpus / "hr" / "leave.md").write_text("# Leave\n\nThirty days a year.\n", encoding="utf-8")
    async with Chat(without_models.url) as chat:
        await chat.until_read(2)
    async with Chat(without_models.url) as chat:
        await chat.ask("How many days of leave?", "small")
        assert offers(chat) == [["mode", "scope"]]
        assert [each["default"] for each in chat.modes[1]["options"]] == [True, False]

        await chat.ask("in: hr/ How many days of leave?", "small")
        await chat.until(lambda: offers(chat) == [["mode", "scope"]] * 2)
        assert [each["id"] for each in chat.modes[1]["options"] if each["default"]] == ["hr/"]


def test_the_mode_auto_is_described_by_the_route_that_it_takes() -> None:
    described = [modes("auto", route).options[0].description for route in get_args(RouteName)]

    assert described == ["The small model; the large one when needed", "Cloud first", "By task"]
