"""What one run is asked: the prompt or the script, what goes along with it, and the form of the answer."""

import os
import stat
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from chatcli.attachments import STDIN
from chatcli.cli.run.piped_text import prompt_text, read_pipe
from chatcli.config.settings import Settings
from chatcli.errors import UsageError

if TYPE_CHECKING:
    from chatcli.attachments.attachment import Attachment
    from chatcli.cli.run.script import Question
    from chatcli.graphs.chat.answer_schema import AnswerSchema


@dataclass(frozen=True, slots=True)
class Request:
    """What one run is asked; without `prompt` and `script`, it is the REPL's to ask."""

    prompt: str | None
    attachments: "tuple[Attachment, ...]" = ()
    script: "tuple[Question, ...]" = ()
    schema: "AnswerSchema | None" = None
    answer: str | None = None
    """The answer to what the thread waits for, as it was typed."""


def read_request(settings: Settings, words: list[str], *, from_stdin: bool = False) -> Request:
    """Read everything that the command line names, before anything is opened or sent.

    With `from_stdin`, the prompt is what stands on standard input, even when that is a terminal.

    Raises:
        ChatcliError: Something can't be read, or the prompt is empty.

    """
    if settings.file.count(STDIN) + (settings.script == STDIN) + from_stdin > 1:
        raise UsageError("standard input can be read once only", remedy='Give "-" once.')
    settings.servers()  # a file of them that can't be read is told now, not with the first question
    schema = None
    if settings.schema_file is not None:
        from chatcli.graphs.chat.answer_schema import load_schema

        schema = load_schema(settings.schema_file)
    if settings.resume_with is not None:
        if words or from_stdin or settings.script is not None or settings.file:
            raise UsageError(
                "--resume-with goes on with a turn: it takes no prompt, script or file", remedy="Leave it out."
            )
        if settings.thread is None:
            raise UsageError("--resume-with needs the thread that waits", remedy="Name it: --thread ID")
        return Request(None, answer=settings.resume_with)
    attachments = _read_attachments(settings)
    if settings.script is not None:
        if words or from_stdin:
            raise UsageError("--script and a prompt exclude each other", remedy="Make it the script's first line.")
        from chatcli.cli.run.script import read_script

        return Request(None, attachments, tuple(read_script(settings.script, quiet=settings.quiet)), schema)
    if not settings.quiet:
        _tell_mentions(" ".join(words))
    piped = None if STDIN in settings.file else read_pipe(_stdin(), quiet=settings.quiet, terminal_too=from_stdin)
    if words and piped is not None and not piped.strip() and not settings.quiet and _is_pipe():
        print("warning: nothing came through the pipe; the question is asked without it", file=sys.stderr)
    asks = bool(words) or from_stdin or piped is not None or STDIN in settings.file
    return Request(prompt_text(words, piped) if asks else None, attachments, (), schema)


def _tell_mentions(text: str) -> None:
    """Say of a file that `text` mentions that it is text here: `@path` attaches one in a conversation alone."""
    if "@" not in text:
        return
    from chatcli.attachments.mentions import find_mentions, missing_mentions

    if sources := [*find_mentions(text), *missing_mentions(text)]:
        print(f"note: @{sources[0]} is sent as text; attach a file with -f", file=sys.stderr)


def _read_attachments(settings: Settings) -> "tuple[Attachment, ...]":
    if not settings.file:
        return ()
    from chatcli.attachments.read import read_attachment

    read = []
    for source in settings.file:
        attachment = read_attachment(
            source, stdin=_stdin(), allow_private=settings.allow_private_urls, timeout=settings.timeout
        )
        if attachment.kind == "text" and not attachment.encoding.startswith("utf") and not settings.quiet:
            print(f"note: {attachment.name} is read as {attachment.encoding}", file=sys.stderr)
        read.append(attachment)
    return tuple(read)


def _stdin() -> BinaryIO | None:
    return sys.stdin.buffer if sys.stdin is not None else None


def _is_pipe() -> bool:
    """Return whether standard input is a pipe; under cron, systemd and `ssh -n` it is /dev/null."""
    return stat.S_ISFIFO(os.fstat(sys.stdin.fileno()).st_mode)
