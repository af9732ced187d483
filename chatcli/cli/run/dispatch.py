"""Starts a command line without a sub-command: reads what it asks, and runs a one-shot or the REPL."""

import asyncio
import os
import stat
import sys
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from chatcli import paths
from chatcli.attachments import STDIN, piped_block, read_all
from chatcli.cli.load_settings import report_servers
from chatcli.config.providers import LOCAL, PROVIDERS
from chatcli.config.settings import Settings
from chatcli.conversation.backend import choose_backend
from chatcli.conversation.compose import Composition, compose, recorded_graph, recorded_model
from chatcli.errors import ExitCallError, ExitCode, UsageError
from chatcli.models.names import ModelName
from chatcli.rendering.build import build_renderer
from chatcli.runtime.program import CHAT, command, current_program
from chatcli.runtime.signals import leave_signals_to_python
from chatcli.runtime.tracing import leave_out_tracing
from chatcli.text import tell

if TYPE_CHECKING:
    from chatcli.attachments.attachment import Attachment
    from chatcli.graphs.chat.answer_schema import AnswerSchema

Question = tuple[int, str]
"""A question of a script: the number of its line, from 1 on, and its text."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a command line asks, and whether its conversation continues."""

    prompt: str | None
    attachments: "tuple[Attachment, ...]" = ()
    resources: tuple[tuple[str, str], ...] = ()
    """The resources that go along with the prompt, each as its MCP server and its URI."""
    script: "tuple[Question, ...]" = ()
    schema: "AnswerSchema | None" = None
    answer: str | None = None
    """The answer to the request that the thread is waiting on, as it was typed."""
    resume: bool = False
    """Whether the user chooses a thread first."""
    stays: bool = False
    """Whether the conversation continues after the answer: then the user types in the REPL."""

    @property
    def asks(self) -> bool:
        """Return whether the command line itself asks or answers something."""
        return bool(self.prompt or self.script or self.answer is not None)


def fits_helper(settings: Settings, *, continue_: bool = False) -> bool:
    """Return whether a one-shot with these settings only asks a model: it runs no user graph and no tools."""
    elsewhere = settings.graph or settings.url or settings.resume_with or settings.script
    tools = settings.tools or settings.recall or settings.mcp_file or settings.mcp_servers
    if not settings.helper or elsewhere or tools:
        return False
    backend, thread = choose_backend(settings), settings.thread
    if continue_ and (newest := backend.threads().recent(limit=1)):
        thread = newest[0].thread_id
    return thread is None or not recorded_graph(recorded_model(backend, thread))


def _converse(settings: Settings, request: Request, *, continue_: bool) -> ExitCode:
    """Ask the `request`, then what the user types if the conversation continues; return the exit code.

    Wrong options are refused here, before anything is opened or a prompt is shown.
    """
    thread_id = settings.thread
    if continue_:
        newest = choose_backend(settings).threads().recent(limit=1)
        if not newest:
            raise UsageError("there is no thread to continue yet", remedy=f"Begin one: {command()}")
        thread_id = newest[0].thread_id
    composed = compose(settings, thread_id, stored=thread_id is not None)
    if _may_choose(settings, request, composed.name) and not composed.recorded():
        from chatcli.cli.run.first_run import choose_first

        chosen = choose_first(settings)
        if isinstance(chosen, ExitCode):
            return chosen
        settings = chosen
        composed = compose(settings, composed.thread_id, stored=composed.stored)
    if composed.graph_notice and not settings.quiet:
        tell(composed.graph_notice)
    if composed.is_plain:
        leave_out_tracing()
        ask_missing_key(settings, _first_model(composed))
        if request.asks and not composed.stored:  # a thread may remember another server
            from chatcli.models.early_connection import connect_early

            connect_early(composed.name, settings.credentials)
    renderer = build_renderer(settings)
    if request.stays:
        from chatcli.cli.run.interactive import run_interactive

        with closing(renderer):
            return asyncio.run(run_interactive(composed, renderer, request))
    from chatcli.cli.run.one_shot import has_user, run_once

    conversation = replace(composed, schema=request.schema, can_ask=has_user(settings)).conversation()
    return run_once(settings, conversation, renderer, request)


def _may_choose(settings: Settings, request: Request, name: ModelName) -> bool:
    """Return whether a user at a terminal begins a conversation, and nothing says what answers: see `first_run`."""
    if name.provider != LOCAL or not request.stays or request.asks or request.resume:
        return False
    if settings.model or settings.local_model or settings.langflow_url or settings.format in ("json", "jsonl"):
        return False
    if not (sys.stdin.isatty() and sys.stdout.isatty() and sys.stderr.isatty()):
        return False
    return not os.access(paths.local_mark(), os.F_OK) and not any(map(settings.credentials.has_key, PROVIDERS))


def _first_model(composed: Composition) -> ModelName | None:
    """Return the model that the first turn asks: `composed.name`, unless a stored thread has its own.

    None means a model at a server that the thread remembers, which may need no key.
    """
    settings = composed.settings
    chosen = any(settings.is_option(option) for option in ("model", "base_url", "role"))
    if not composed.stored or chosen or not composed.backend.keeps_threads or not sys.stdin.isatty():
        return composed.name
    last = composed.recorded().partition(":")[0]
    if last not in PROVIDERS or not settings.credentials.lacks_key(last):
        return composed.name
    from chatcli.roles import Setup, opening_model

    # Only now, since it takes LangGraph: the index also has the models of threads from elsewhere, which remember none.
    first = opening_model(settings, asyncio.run(composed.backend.reader().setup(composed.thread_id)) or Setup())
    return None if first.base_url else first


def ask_missing_key(settings: Settings, name: ModelName | None) -> None:
    """Ask for the key of the model `name` if it is missing and a user can be asked; offer to keep it.

    The key goes to `settings` only, not to the environment, which every child process would inherit.
    """
    if name is None:
        return
    provider = PROVIDERS[name.provider]
    if not settings.credentials.lacks_key(provider.prefix) or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return
    from chatcli.cli.subcommands.keys import ask_key, keep_key

    leave_signals_to_python()
    tell(f"{name} needs a key, and {provider.key_variables[0]} is not set.")
    key = ask_key(provider)
    if not key.get_secret_value():
        return  # the turn that needs it reports what to do
    settings.credentials.use_key(provider.prefix, key)
    print("Keep the key for the next time? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() in ("y", "yes"):
        keep_key(provider, key)


def start(
    settings: Settings,
    words: list[str],
    *,
    from_stdin: bool = False,
    continue_: bool = False,
    resume: bool = False,
    interactive: bool = False,
) -> ExitCode:
    """Ask the prompt `words`, or start a conversation; return the exit code.

    With `from_stdin`, the prompt is read from standard input, even from a terminal. `continue_` goes on with the thread
    used last, `resume` lets the user choose one, and `interactive` stays in the conversation after the answer.
    """
    request = read_request(settings, words, from_stdin=from_stdin, resume=resume)
    request = replace(request, resume=resume, stays=interactive or resume or not request.asks)
    if request.stays and request.script:
        raise UsageError("a script does not stay in the conversation", remedy="Leave out --interactive and --resume.")
    if request.stays and not sys.stdout.isatty():
        example = command('"your question"') if current_program().name else ""
        remedy = f"For a pipe, give a prompt: {example}" if example else "Send the question through a pipe."
        raise UsageError("a conversation needs a terminal", remedy=remedy)
    try:
        code = _converse(settings, request, continue_=continue_)
    except SystemExit as end:  # asyncio lets it through, out of any task; its code is none of ours
        raise ExitCallError(end) from end
    if not request.stays and code is ExitCode.OK and current_program() is CHAT and fits_helper(settings):
        from chatcli.helper.spawn import spawn_helper  # it could have run this one-shot, and may run the next one

        spawn_helper()
    return code


def read_request(settings: Settings, words: list[str], *, from_stdin: bool = False, resume: bool = False) -> Request:
    """Return the request of the command line; read all that it names before anything is opened or sent.

    With `from_stdin`, the prompt is read from standard input, even when that is a terminal. With `resume`, the user
    picks a thread first.
    """
    if settings.file.count(STDIN) + (settings.script == STDIN) + from_stdin > 1:
        raise UsageError("standard input can be read once only", remedy='Give "-" once.')
    report_servers(settings)  # and refuse an unreadable file of MCP servers now, not with the first question
    schema = None
    if settings.schema_file is not None:
        from chatcli.graphs.chat.answer_schema import load_schema

        schema = load_schema(settings.schema_file)
    if settings.resume_with is not None:
        if words or from_stdin or settings.script is not None or settings.file or settings.is_option("input"):
            problem = "--resume-with continues a turn: it takes no prompt, script, file or input"
            raise UsageError(problem, remedy="Leave them out.")
        if settings.thread is None:
            raise UsageError("--resume-with needs the thread that is waiting", remedy="Name it: --thread ID")
        return Request(None, answer=settings.resume_with)
    attachments = _read_attachments(settings)
    if settings.script is not None:
        if words or from_stdin:
            raise UsageError("--script and a prompt exclude each other", remedy="Make it the script's first line.")
        script = tuple(read_script(settings.script, quiet=settings.quiet))
        return Request(None, attachments, script=script, schema=schema)
    if not settings.quiet:
        _print_mentions(" ".join(words))
    piped = None if STDIN in settings.file else read_pipe(_stdin(), quiet=settings.quiet, terminal_too=from_stdin)
    is_empty = words and piped is not None and not piped.strip() and not settings.quiet
    # Under cron, systemd and `ssh -n`, it is no pipe but /dev/null.
    if is_empty and stat.S_ISFIFO(os.fstat(sys.stdin.fileno()).st_mode):
        tell("warning: nothing came through the pipe; the question is asked without it")
    resources = _find_resources(settings, " ".join(words))
    asks = bool(words) or from_stdin or piped is not None or STDIN in settings.file
    prompt = prompt_text(words, piped, resume=resume) if asks else None
    return Request(prompt, attachments, resources, schema=schema)


def prompt_text(words: list[str], piped: str | None, *, resume: bool = False) -> str:
    """Return the prompt: the words of the command line, then the piped text in a labelled block.

    Raises `UsageError` if there is neither. With `resume`, its remedy says how to pick or name a thread.
    """
    prompt = " ".join(words).strip()
    text = piped if piped is not None and piped.strip() else None
    if prompt and text:
        return f"{prompt}\n\n{piped_block(text)}"
    if text:
        return text
    if not prompt and resume:
        remedy = f'Run it without the pipe, or name the thread: {command("--thread ID")} "your question"'
        raise UsageError("--resume picks a thread at a terminal, which standard input is not", remedy=remedy)
    if not prompt:
        example = f'Give one: {command()} "why is the sky blue?"'
        raise UsageError("the prompt is empty", remedy=example if current_program().name else "")
    return prompt


def read_pipe(stream: BinaryIO | None, *, quiet: bool, terminal_too: bool = False) -> str | None:
    """Return the whole of `stream`; None if it is closed, or a terminal, unless that is read too (`terminal_too`)."""
    if stream is None or stream.closed:
        return None
    if stream.isatty():
        if not terminal_too:
            return None
        if not quiet:
            tell("Type the prompt, and end it with Ctrl-D on a line of its own.")
    return read_text(stream, quiet=quiet)


def read_text(stream: BinaryIO, *, quiet: bool) -> str:
    """Return the whole of `stream`, read as UTF-8; refuse one that is longer than any model accepts.

    Undecodable bytes are replaced, and reported on stderr unless `quiet`.
    """
    data = read_all("the input", stream)
    text = data.decode("utf-8", errors="replace")
    lost = text.count("\N{REPLACEMENT CHARACTER}") - data.count("\N{REPLACEMENT CHARACTER}".encode())
    if lost and not quiet:
        tell(f"warning: the input is not all UTF-8; {lost} bytes were replaced")
    return text


def _print_mentions(text: str) -> None:
    """Print a note where `text` mentions a file: `@path` attaches one in a conversation only."""
    if "@" not in text:
        return
    from chatcli.attachments.attachment import find_folders, find_mentions, missing_mentions

    if folders := find_folders(text):
        tell(f"note: @{folders[0]} is sent as text; for answers from its files, use --docs")
    if sources := [*find_mentions(text), *missing_mentions(text)]:
        tell(f"note: @{sources[0]} is sent as text; attach a file with -f")


def _find_resources(settings: Settings, text: str) -> tuple[tuple[str, str], ...]:
    """Return the resources of MCP servers that `text`, the words of the command line, mentions."""
    if "@" not in text or settings.tools is False or not (servers := settings.servers()):
        return ()
    from chatcli.attachments.attachment import find_resources

    return tuple(find_resources(text, [name for name, server in servers.items() if not server.disabled]))


def _read_attachments(settings: Settings) -> "tuple[Attachment, ...]":
    if not settings.file:
        return ()
    from chatcli.attachments.attachment import read_attachment

    read = []
    for source in settings.file:
        attachment = read_attachment(
            source, stdin=_stdin(), allow_private=settings.allow_private_urls, timeout=settings.timeout
        )
        if attachment.kind == "text" and not attachment.encoding.startswith("utf") and not settings.quiet:
            tell(f"note: {attachment.name} is read as {attachment.encoding}")
        read.append(attachment)
    return tuple(read)


def _stdin() -> BinaryIO | None:
    return sys.stdin.buffer if sys.stdin is not None else None


def read_script(source: str, *, quiet: bool) -> list[Question]:
    """Return the questions of the script `source`, a path or "-" for stdin; empty lines do not count."""
    try:
        if source == STDIN:
            text = read_text(sys.stdin.buffer, quiet=quiet) if sys.stdin is not None else ""
        else:
            with Path(source).expanduser().open("rb") as file:
                text = read_text(file, quiet=quiet)
    except OSError as error:
        raise UsageError(f"the script {source} can't be read: {(error.strerror or str(error)).lower()}") from None
    questions = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    if not questions:
        raise UsageError(f"the script {source} holds no question", remedy="Write one a line.")
    return questions
