"""A screen that keeps what a command shows, with a user who answers nothing, or every question alike."""

from pathlib import Path

from chatcli.events import Event


class QuietScreen:
    """Keeps the events of commands in `shown`: see `chatcli.commands.registry.Screen`.

    `agrees` answers what is `asked`; `prefilled` are the questions to be edited.
    """

    def __init__(self, *, agrees: bool | None = None) -> None:
        self.agrees = agrees
        self.shown: list[Event] = []
        self.asked: list[str] = []
        self.prefilled: list[str] = []

    async def show(self, event: Event) -> None:
        self.shown.append(event)

    async def choose(self, what: str, choices: object, printed: Event | None = None) -> str:
        return ""

    async def walk(self, rows: object, read: object) -> None:
        return None

    async def confirm(self, question: str, line: str, *, by_key: bool = False) -> bool | None:
        self.asked.append(question)
        return self.agrees

    async def ask_key(self, provider: str) -> bool:
        self.asked.append(provider)
        return bool(self.agrees)

    async def edit(self, path: Path) -> None:
        return None

    def prefill(self, text: str, *, optional: bool = False, in_editor: bool = False) -> None:
        self.prefilled.append(text)
