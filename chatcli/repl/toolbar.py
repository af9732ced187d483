"""The line below the input line, which shows the state of the conversation."""

import asyncio
from collections.abc import Callable, Mapping

from chatcli.conversation.backend import Backend
from chatcli.conversation.conversation import Conversation
from chatcli.errors import ChatcliError
from chatcli.events import Event, Notice, TurnFinished
from chatcli.models.prices import dollars, spent
from chatcli.rendering.display import ThemeChosen, ThreadChanged
from chatcli.rendering.plain import short_name
from chatcli.rendering.renderer import Renderer
from chatcli.sanitize import sanitize_line
from chatcli.text import truncate

NARROW = 60
"""The least number of columns: a narrower screen shows no toolbar."""
_TITLE = 30
"""The most columns of a thread's title."""


class Toolbar:
    """Shows the thread, the model, the context and its budget, and the tokens and cost of the thread so far.

    It is a renderer, which learns from each event and passes it on to `renderer`. `titles` returns the titles of the
    stored threads; it may take some time.
    """

    def __init__(self, conversation: Conversation, renderer: Renderer, titles: Callable[[], Mapping[str, str]]) -> None:
        self.on_change: Callable[[], None] = lambda: None
        """Called when the text changes without an event."""
        self.on_theme: Callable[[str], None] = lambda name: None
        """Called with the name of the theme that the user chooses."""
        self._conversation = conversation
        self._renderer = renderer
        self._titles = titles
        self._known: Mapping[str, str] = {}
        self._learning: asyncio.Task[None] | None = None
        self._spent: dict[str, tuple[int, float]] = {}  # the known tokens and cost of each thread
        self._adding: asyncio.Task[None] | None = None
        self._finished = 0

    def render(self, event: Event) -> None:
        """Update tokens, cost and titles from `event`, and show it."""
        match event:
            case TurnFinished():
                tokens, cost = self._spent.get(event.thread_id, (0, 0.0))
                self._spent[event.thread_id] = tokens + event.usage.total_tokens, cost + (event.cost_usd or 0.0)
                self._finished += 1
                self.learn_titles()
            case ThreadChanged():
                self.learn_thread()
            case ThemeChosen(name):
                self.on_theme(name)
            case Notice():  # for example the notice of /rename
                self.learn_titles()
        self._renderer.render(event)

    def close(self) -> None:
        """Close the renderer."""
        self._renderer.close()

    def learn_thread(self) -> None:
        """Read the titles, and the usage of the current thread in earlier runs, after the engine is open."""
        self.learn_titles()
        self._adding = asyncio.get_running_loop().create_task(self._read_cost())

    async def _read_cost(self) -> None:
        thread_id, finished = self._conversation.thread_id, self._finished
        try:
            answers = await self._conversation.answered()
            used = await asyncio.to_thread(spent, answers)
        except ChatcliError:  # the next turn reports it
            return
        if finished == self._finished and thread_id == self._conversation.thread_id and used.turns:
            self._spent[thread_id] = used.tokens.input + used.tokens.output, used.cost_usd
            self.on_change()

    def learn_titles(self) -> None:
        """Read the titles again."""
        self._learning = asyncio.get_running_loop().create_task(self._read_titles())

    async def _read_titles(self) -> None:
        known = await asyncio.to_thread(self._titles)
        if known != self._known:
            self._known = known
            self.on_change()

    def text(self, columns: int) -> str:
        """Return the toolbar for a screen of `columns`, empty if the screen is too narrow."""
        if columns < NARROW:
            return ""
        thread_id = self._conversation.thread_id
        title = sanitize_line(self._known.get(thread_id) or thread_id)
        model = short_name(str(self._conversation.model_name))
        parts = [truncate(title, _TITLE), model]
        used, budget = self._conversation.context_usage
        if used:
            parts.append(f"context {_count(used)}{f'/{_count(budget)}' if budget else ''}")
        tokens, cost = self._spent.get(thread_id, (0, 0.0))
        if tokens:
            price = f", {dollars(cost)}" if cost else ""
            parts.append(f"{_count(tokens)} tokens{price} so far")
        if self._conversation.engine.is_opening:
            parts.append("starting")
        return truncate(f" {' · '.join(parts)}", columns)


def thread_titles(backend: Backend) -> dict[str, str]:
    """Return the titles of the threads in a store's file by ID, the newest first; none if it can't be read."""
    if not backend.size:
        return {}
    try:
        return {thread.thread_id: thread.title for thread in backend.threads().recent()}
    except ChatcliError:
        return {}


def _count(number: int) -> str:
    return str(number) if number < 1000 else f"{number / 1000:.1f}k"
