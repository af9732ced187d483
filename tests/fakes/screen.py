"""A screen that keeps what a command shows, with a user who answers nothing."""

from pathlib import Path

from chatcli.events import Event


class QuietScreen:
    """Keeps the events of commands in `shown`: see `chatcli.commands.registry.Screen`."""

    def __init__(self) -> None:
        self.shown: list[Event] = []

    async def show(self, event: Event) -> None:
        self.shown.append(event)

    async def choose(self, what: str, choices: object, printed: Event | None = None) -> str:
        return ""

    async def walk(self, rows: object, read: object) -> None:
        return None

    async def confirm(self, question: str, line: str, *, by_key: bool = False) -> None:
        return None

    async def ask_key(self, provider: str) -> bool:
        return False

    async def edit(self, path: Path) -> None:
        return None

    def prefill(self, text: str, *, optional: bool = False, in_editor: bool = False) -> None:
        return None
