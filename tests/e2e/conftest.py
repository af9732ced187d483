"""Fixtures of the end-to-end tests: the program in a terminal."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Protocol

import pytest

from tests.e2e.program import EXECUTABLE, Chat, Home
from tests.e2e.terminal import Terminal


class OpenTerminal(Protocol):
    """Starts `chat ARGS` in a new terminal."""

    def __call__(
        self,
        *args: str,
        env: Mapping[str, str] | None = None,
        size: tuple[int, int] = (100, 30),
        piped: str | None = None,
        typed: str = "",
    ) -> Terminal: ...


@pytest.fixture
def terminal(chat: Chat, home: Home) -> Iterator[OpenTerminal]:
    """Give what starts the program in a terminal of its own."""
    with ExitStack() as stack:

        def start(
            *args: str,
            env: Mapping[str, str] | None = None,
            size: tuple[int, int] = (100, 30),
            piped: str | None = None,
            typed: str = "",
        ) -> Terminal:
            opened = Terminal(
                [str(EXECUTABLE), *args],
                env={**home.env, **(env or {})},
                cwd=home.work,
                size=size,
                piped=piped,
                typed=typed,
                forks=chat.forks,
            )
            stack.callback(opened.close)
            return opened

        yield start


@pytest.fixture
def at_server(chat: Chat, home: Home, langgraph_server: str) -> Chat:
    """Give the program with a LangGraph server in its environment."""
    home.env["CHATCLI_URL"] = langgraph_server
    return chat
