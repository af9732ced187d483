"""The first run at a terminal: with nothing configured, the user chooses what answers."""

import asyncio
import signal
import sys
import termios
import textwrap
import threading
from collections.abc import Sequence
from contextlib import closing, suppress
from functools import partial
from typing import Any

import httpx2
from prompt_toolkit import print_formatted_text
from prompt_toolkit.completion import WordCompleter
from prompt_toolkit.formatted_text import FormattedText
from prompt_toolkit.input import create_input
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.keys import Keys
from prompt_toolkit.output import create_output

from chatcli import paths
from chatcli.cli.subcommands.keys import check_key, keep_key
from chatcli.config.files import set_value
from chatcli.config.installation import install_command, is_local_installed, is_local_possible
from chatcli.config.providers import LOCAL, OPENAI, OTHER_NAMES, PROVIDERS, Provider
from chatcli.config.secrets import Secret, redact
from chatcli.config.settings import Settings
from chatcli.config.values import http_url
from chatcli.errors import AuthError, ChatcliError, ExitCode, NetworkError, UsageError
from chatcli.models.local.choice import default_weights
from chatcli.models.local.fetch import fetch
from chatcli.models.usable import SERVER_SECONDS, served_names
from chatcli.rendering.build import build_renderer
from chatcli.repl.prompt import ask_line
from chatcli.roles import find_role
from chatcli.runtime.http import async_hooks
from chatcli.runtime.signals import leave_signals_to_python, silence_dead_terminal, take_signals
from chatcli.sanitize import sanitize_line

_MEGABITS = 100
"""The speed of the connection for which the time of the download is shown."""
_WIDTH = 78
"""The columns of the text at most."""
_KEYS = {"local model": ("l", "L", "enter", "c-j"), "key": ("k", "K"), "base URL": ("b", "B")}


def choose_first(settings: Settings) -> Settings | ExitCode:
    """Let the user choose what answers, unless they did before; return the new settings, or the exit code to leave.

    They keep the local model, which is fetched, a key, or the URL of a server. Leaving changes nothing.
    """
    if settings.role and find_role(settings.role).model:
        return settings
    leave_signals_to_python()
    try:
        return asyncio.run(_FirstRun(settings).run())
    except (KeyboardInterrupt, asyncio.CancelledError):
        return ExitCode.INTERRUPTED
    except EOFError:
        return ExitCode.OK


class _BackError(Exception):
    """The user goes back to the choice."""


class _FirstRun:
    """Asks the user, and does what they choose; `EOFError` and `KeyboardInterrupt` mean that they leave."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._input = create_input(always_prefer_tty=True)
        self._output = create_output(always_prefer_tty=True)

    async def run(self) -> Settings:
        task = asyncio.current_task()
        assert task is not None

        def stop() -> None:
            silence_dead_terminal()
            task.cancel()

        take_signals(asyncio.get_running_loop(), stop, (signal.SIGTERM, signal.SIGHUP))
        # Held from one line to the next, since an early key must not be shown.
        with self._input.raw_mode():
            termios.tcflush(self._input.fileno(), termios.TCIFLUSH)  # a key typed before the question is no answer
            self._show_choices()
            while True:
                chosen = await self._ask("Enter, l, k or b (Esc leaves): ", keys=_choice_keys())
                with suppress(_BackError):
                    return await {"key": self._use_key, "base URL": self._use_server}.get(chosen, self._use_local)()

    async def _ask(self, question: str, *, keys: KeyBindings | None = None, **options: Any) -> str:
        keys = keys or _escape_keys(_BackError)
        return await ask_line(question, self._input, self._output, key_bindings=keys, **options)

    def _show_choices(self) -> None:
        weights = default_weights()
        minutes = max(1, round(weights.size * 8 / (_MEGABITS * 1e6) / 60))
        size = f"{weights.size / 1e6:,.0f} MB are fetched once: about {minutes} min at {_MEGABITS} Mbit/s"
        if weights.is_fetched:
            size = "it is on this machine already"
        rows = [
            ("l", f"the local model {weights.title}: free, and nothing leaves this machine"),
            ("", _missing_runtime() or size),
            ("k", "a model of a provider, such as OpenAI or Anthropic: you type its key"),
            ("b", "a server with OpenAI's protocol, such as vLLM: you type its base URL"),
        ]
        text: list[tuple[str, str]] = [("bold", "What should answer?"), ("", "\n\n")]
        for key, meaning in rows:
            lines = textwrap.wrap(meaning, self._width() - 5, break_on_hyphens=False)
            text += [("bold", f"  {key or ' '}  "), ("", "\n     ".join(lines)), ("", "\n")]
        print_formatted_text(FormattedText(text), output=self._output)

    async def _use_local(self) -> Settings:
        if missing := _missing_runtime():
            self._report(f"The local model can't answer: {missing}")
            raise _BackError
        stopped = threading.Event()
        # If they stop the download, the first question goes on with it.
        with suppress(OSError):  # then they are asked once more
            paths.private_dir(paths.state_dir())
            paths.local_mark().touch(0o600)
        try:
            # In the cooked mode, Ctrl-C is a signal.
            with closing(build_renderer(self._settings)) as renderer, self._input.cooked_mode():
                await asyncio.to_thread(fetch, default_weights(), on_progress=renderer.render, cancel=stopped)
        except ChatcliError as error:
            with suppress(OSError):
                paths.local_mark().unlink()
            self._report_error(error)
            raise _BackError from None
        except asyncio.CancelledError:
            stopped.set()
            print(file=sys.stderr)  # behind the ^C
            self._report("What has arrived is kept: the first question to the local model fetches the rest.")
            raise
        return self._settings

    async def _use_key(self) -> Settings:
        provider = await self._choose_provider()
        key = await self._ask_key(f"Key for {provider.title}")
        if key is None:
            raise _BackError
        self._save_key(provider, key)
        return self._settings

    async def _choose_provider(self) -> Provider:
        rows = [row for row in PROVIDERS.values() if row.default_model and not row.keyless]
        here = [row.prefix for row in rows if row.is_installed]
        others = [row.prefix for row in rows if not row.is_installed]
        self._report(f"Installed: {', '.join(here)}.")
        if others:
            self._report(f"To be installed first: {', '.join(others)}.")
        completer = WordCompleter([row.prefix for row in rows], ignore_case=True)
        while True:
            name = await self._ask(f"Provider (Enter: {OPENAI}, Tab completes): ", completer=completer)
            provider = _find_provider(name or OPENAI, rows)
            if provider is None:
                self._report(f"{name} is none of them.")
            elif provider not in rows:
                self._report(f"{provider.title} needs more, or something else, than a key: `chat help providers`.")
            elif not provider.is_installed:
                self._report(f"{provider.title} needs a package. Leave, and run: {install_command(provider.extra)}")
            else:
                return provider

    async def _ask_key(self, question: str) -> Secret | None:
        """Return the key that the user types, None for an empty one."""
        while True:
            key = Secret(await self._ask(f"{question} (empty: go back): ", hidden=True))
            if not key:
                return None
            try:
                check_key(key)
            except UsageError as error:
                self._report_error(error)
            else:
                return key

    def _save_key(self, provider: Provider, key: Secret) -> None:
        """Keep `key`, and use it in this run even if it can't be kept."""
        try:
            keep_key(provider, key)
        except ChatcliError as error:
            self._report_error(error)
            self._report("The key is used for this conversation only.")
        self._settings.credentials.use_key(provider.prefix, key)

    async def _use_server(self) -> Settings:
        while True:
            text = await self._ask("Base URL (empty: go back): ")
            if not text:
                raise _BackError
            key: Secret | None = None
            try:
                url = http_url(text)
                try:
                    with self._input.cooked_mode():  # Ctrl-C is a signal
                        models = await _served(url, key)
                except AuthError as error:
                    self._report_error(error)
                    if (key := await self._ask_key("Key for this server")) is None:
                        continue
                    with self._input.cooked_mode():
                        models = await _served(url, key)
            except ValueError as error:
                self._report(f"{error}: http://localhost:8000/v1")
            except ChatcliError as error:
                self._report_error(error)
            else:
                which = f", the first of {len(models)} models there. To change it: /model" if models[1:] else ""
                self._report(f"Using {models[0]}{which}")
                self._save_url(url)
                if key is not None:
                    self._save_key(PROVIDERS[OPENAI], key)
                return self._settings

    def _save_url(self, url: str) -> None:
        """Write `url` to config.toml, and use it in this run even if it can't be written."""
        try:
            set_value(("base_url",), url)
            self._settings = self._settings.read_again()
        except ChatcliError as error:
            self._report_error(error)
            self._report("The server is used for this conversation only.")
            self._settings = self._settings.with_options({"base_url": url})

    def _report(self, text: str) -> None:
        print("\n".join(textwrap.wrap(sanitize_line(text), self._width(), break_on_hyphens=False)), file=sys.stderr)

    def _width(self) -> int:
        return max(min(_WIDTH, self._output.get_size().columns - 1), 20)

    def _report_error(self, error: ChatcliError) -> None:
        self._report(f"{redact(error.message, [])}. {error.remedy}".rstrip())


def _find_provider(name: str, rows: Sequence[Provider]) -> Provider | None:
    """Return the provider of that name, or the only one of `rows` whose name begins like that."""
    typed = OTHER_NAMES.get(name.lower(), name.lower())
    if typed in PROVIDERS:
        return PROVIDERS[typed]
    names = {row.prefix: (row.prefix, row.title.lower(), *row.other_names) for row in rows}
    found = [row for row in rows if any(name.startswith(typed) for name in names[row.prefix])]
    return found[0] if len(found) == 1 else None


def _missing_runtime() -> str:
    """Return why the local model can't answer; an empty text if it can."""
    if is_local_installed():
        return ""
    if not is_local_possible():
        return "it is not available for this system and processor"
    return f"it needs a package first: {install_command(LOCAL)}"


async def _served(url: str, key: Secret | None) -> list[str]:
    """Return the models that the server at `url` lists.

    Raises `AuthError` if it wants a key, or another one, `NetworkError` if it can't be reached, and `UsageError` if it
    lists no models: the URL's path may be wrong.
    """
    shown = redact(url, [])  # it may hold a password
    headers = {} if key is None else {"Authorization": f"Bearer {key.get_secret_value()}"}
    try:
        async with (
            asyncio.timeout(SERVER_SECONDS),
            httpx2.AsyncClient(timeout=SERVER_SECONDS, event_hooks=async_hooks()) as client,
        ):
            response = await client.get(f"{url}/models", headers=headers)
    except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError) as error:
        reason = str(error) or type(error).__name__
        raise NetworkError(f"{shown} can't be reached: {reason}", remedy="Does the server run?") from None
    if response.status_code in (401, 403):
        raise AuthError(f"{shown} {'wants a key' if key is None else 'refused the key'}")
    try:
        models = served_names(response.content)
    except ValueError:
        models = []
    if not models:
        remedy = f"Most base URLs end in /v1: {shown}/v1"
        raise UsageError(f"{shown} lists no models (status {response.status_code})", remedy=remedy)
    return models


def _escape_keys(exception: type[Exception]) -> KeyBindings:
    """Return the binding of Esc, which raises `exception`; Ctrl-C and Ctrl-D on an empty line leave anyway."""
    keys = KeyBindings()
    keys.add("escape", eager=True)(lambda event: event.app.exit(exception=exception))
    return keys


def _choice_keys() -> KeyBindings:
    """Return the bindings of the choices, one key each; others do nothing."""
    keys = _escape_keys(EOFError)

    def choose(choice: str, event: KeyPressEvent) -> None:
        event.current_buffer.insert_text(choice)
        event.current_buffer.validate_and_handle()

    for choice, names in _KEYS.items():
        for name in names:
            keys.add(name, eager=True)(partial(choose, choice))
    for other in (Keys.Any, Keys.BracketedPaste):
        keys.add(other)(lambda event: None)
    return keys
