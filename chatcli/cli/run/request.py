"""Reads what a run asks: the prompt or the script, its attachments, and the schema of the answer."""

import os
import stat
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from chatcli.attachments import STDIN, piped_block, read_all
from chatcli.cli.load_settings import report_servers
from chatcli.config.settings import Settings
from chatcli.errors import UsageError
from chatcli.runtime.program import command, current_program
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
