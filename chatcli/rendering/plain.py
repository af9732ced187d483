"""Plain text output, and the lines that other renderers use too, such as those of tool calls and requests."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TextIO

from chatcli import events
from chatcli.errors import ChatcliError
from chatcli.fences import unmarked
from chatcli.message import (
    DECISIONS,
    SPEAKERS,
    Cited,
    MessageShown,
    call_text,
    decision_keys,
    is_form,
    is_review,
    result_text,
    reviewed_actions,
)
from chatcli.rendering import display
from chatcli.sanitize import Sanitizer, reveal, reveal_lines, sanitize, sanitize_line
from chatcli.text import broken_for, display_width, format_size

_FORMS = {"edit": "edit {new arguments as JSON}", "reject": "reject [reason]", "respond": "respond TEXT"}

_STEP = 10
"""The percentage of a download after which progress is reported again."""


@dataclass
class OpenCalls:
    """The tool calls of a turn that are running, each with the line that shows it."""

    _calls: dict[str, str] = field(default_factory=dict)

    def start(self, event: events.ToolCallStarted) -> None:
        """Remember a call that has begun."""
        self._calls[event.call_id] = sanitize_line(call_text(event.name, event.arguments))

    def finish(self, event: events.ToolCallFinished) -> str:
        """Remove a call that has ended, and return its line with the result."""
        call = self._calls.pop(event.call_id, sanitize_line(event.name))
        return f"{call} {sanitize_line(result_text(event.content, failed=event.status == 'error'))}"

    def drop(self, call_id: str) -> bool:
        """Remove a call that is shown in another way; return whether there was one."""
        return self._calls.pop(call_id, None) is not None

    @property
    def lines(self) -> list[str]:
        """The line of each running call."""
        return list(self._calls.values())

    def clear(self) -> list[str]:
        """Remove all running calls, and return their lines."""
        lines = self.lines
        self._calls.clear()
        return lines


def request_lines(request: events.ApprovalRequested) -> list[str]:
    """Return the request of a graph and how to answer it, with its ID if the graph waits for several answers."""
    lines = [f"Interrupt {sanitize_line(request.interrupt_id)}:"] if request.among > 1 else []
    if not is_form(request.payload) and not is_review(request.payload):
        schema = request.response_schema or {}
        kind = f" ({schema['type']})" if isinstance(schema.get("type"), str) else ""
        return [*lines, *payload_lines(request.payload), f"Type the answer{kind}: text, or a JSON object or list."]
    problem = request.payload.get("problem")  # our own graph: why the last answer was not a decision
    lines += [f"error: {sanitize_line(str(problem))}"] if problem else []
    if is_form(request.payload):
        return [*lines, *_form_lines(request.payload)]
    actions = reviewed_actions(request.payload)
    for action in actions:
        lines += [line for line, _ in action_lines(action)]
    scopes = [str(scope) for scope in (actions[0].get("scopes") or ())] if actions else []
    rules = dict.fromkeys(reveal(str(action["rule"])) for action in actions if action.get("rule"))
    if rules and scopes:
        lines.append(f"approve thread or always: every call like {', '.join(rules)}")
    return [*lines, answer_forms(actions)]


def _form_lines(payload: Mapping[str, Any]) -> list[str]:
    """Return the lines of a form: who asks for what; the fields are asked for one by one."""
    lines = [f"The MCP server {reveal(str(payload.get('server')))} asks you; what you answer goes to it:"]
    lines += [f"  {reveal(line)}" for line in str(payload.get("message")).splitlines() if line.strip()]
    if url := payload.get("url"):
        lines.append(f"Open this address only if you trust it, then answer y: {reveal(str(url))}")
    return lines


def action_lines(action: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the lines that show a call to be approved, each with its style.

    Nothing is shortened or left out: the user must see all of what they approve.
    """
    name, arguments, diff = str(action.get("name", "")), action.get("args") or {}, str(action.get("diff") or "")
    # langchain's own description repeats the call.
    description = str(action.get("description") or "").removesuffix(f"\n\nTool: {name}\nArgs: {arguments}")
    if diff and isinstance(arguments, Mapping):  # the others are in the diff
        arguments = {key: value for key, value in arguments.items() if key == "path"}
    lines = [(reveal(call_text(name, arguments, whole=True)), "bold")]
    lines += [(f"  {line}", "") for line in reveal_lines(description) if line.strip()]
    return [*lines, *(display.diff_lines(diff) if diff else [])]


def decision_lines(
    action: Mapping[str, Any], number: int = 1, among: int = 1, problem: str = ""
) -> list[tuple[str, str]]:
    """Return the call `action`, on which the user is to decide by a key, as lines with their styles.

    It is one of those that a graph's request reviews. `problem` says why the request comes again.
    """
    lines = [(f"error: {sanitize_line(problem)}", "red")] if problem else []
    lines += [(f"call {number} of {among}:", "dim")] if among > 1 else []
    lines += action_lines(action)
    if (rule := action.get("rule")) and "t" in decision_keys(action):
        lines.append((f"t and a allow every call like {reveal(str(rule))}", "dim"))
    return lines


def keys_line(keys: Mapping[str, str], question: str) -> str:
    """Return the line that offers `keys`, each with what it means, perhaps as the answer to `question`."""
    offered = ", ".join(f"{key} {meaning}" for key, meaning in keys.items())
    return f"{sanitize_line(question)} {offered}".lstrip()


def answer_forms(actions: Sequence[Mapping[str, Any]]) -> str:
    """Return the line that says how the review of `actions` is answered in words."""
    allowed = [kind for kind in DECISIONS if all(kind in (a.get("allowed") or DECISIONS) for a in actions)]
    allowed += ["respond"] if all("respond" in (a.get("allowed") or ()) for a in actions) else []
    forms = [_FORMS.get(kind, kind) for kind in allowed]
    for scope in (actions[0].get("scopes") or ()) if actions else ():
        forms.insert(1, f"approve {sanitize_line(str(scope))}")
    return f"Answer: {', '.join(forms)}."


def payload_lines(payload: object) -> list[str]:
    """Return any payload as lines: each field of an object on its own line, lists and nested values as JSON."""
    if isinstance(payload, str):
        return sanitize(payload).splitlines() or [""]
    if isinstance(payload, Mapping):
        lines = []
        for key, value in payload.items():
            shown = sanitize(value) if isinstance(value, str) else _json(value)
            lines += f"{sanitize_line(str(key))}: {shown}".splitlines()
        return lines
    return _json(payload).splitlines()


def _json(value: object) -> str:
    return sanitize(json.dumps(value, ensure_ascii=False, indent=2, default=str))


class PlainRenderer:
    """Writes the answer to `out` as it arrives, with one newline at its end; notices, progress and errors to `err`.

    With `quiet`, only answers and errors. With `lists_sources`, the documents that an answer cites follow it. With
    `chosen_nodes`, the user chose the nodes of a graph whose text is the answer: that is known at once.
    """

    def __init__(
        self,
        out: TextIO,
        err: TextIO,
        *,
        quiet: bool = False,
        lists_sources: bool = True,
        chosen_nodes: bool = False,
    ) -> None:
        self._out = out
        self._err = err
        self._quiet = quiet
        self._lists_sources = lists_sources
        self._waits = not chosen_nodes and not out.isatty()
        """Whether text of a graph's node is kept back: what is the answer of it is known at the end."""
        self._aside = ""
        """The open line of an intermediate text."""
        self._sanitizer = Sanitizer()
        self._progress = ProgressLines()
        self._calls = OpenCalls()
        self._line_open = False
        self._shown = False
        self._answered = False
        self._node = ""

    def render(self, event: events.Event) -> None:
        """Show `event`; the caller handles a broken pipe."""
        match event:
            case events.TextDelta():
                self._read_text(event)
            case events.IntermediateText() if self._waits:
                self._print_aside(f"{event.text}\n", event.node)
            case events.ToolCallStarted():
                self._calls.start(event)
            case events.ToolCallFinished():
                self._print(self._calls.finish(event))
            case events.ApprovalRequested():
                self._request(event)
            case display.LinesShown():
                for line, _ in event.lines:
                    self._print(line, "error")
            case events.TurnFinished() | events.TurnInterrupted() | events.TurnFailed():
                self._end_turn(event)
            case _:
                self._render_aside(event)

    def _render_aside(self, event: events.Event) -> None:
        """Show an event that is not part of the answer."""
        match event:
            case events.Notice(passing=True) if not self._err.isatty():
                pass
            case events.Notice():
                self._print(notice_text(event), "error" if event.urgent else event.level)
            case display.MarkdownShown():
                self._calls.drop(event.call_id)
                self._print(event.text)
            case events.Progress():
                if line := self._progress.line(event):
                    self._print(line)
            case events.Listing():
                self._show("".join(f"{line}\n" for line in listing_lines(event)))
                if not event.rows:
                    self._print(f"{sanitize_line(event.title)}: none")
            case MessageShown() | display.MatchShown():
                self._show(message_block(event) if isinstance(event, MessageShown) else match_block(event))
            case display.ThreadChanged():
                self._print(f"thread {sanitize_line(event.thread_id)}")
                self._show("".join(message_block(message) for message in event.messages))
            case _:
                pass  # the others have no text

    def close(self) -> None:
        """Complete an answer that a failure has cut off."""
        self._write_answer(self._sanitizer.flush())
        self._end_line()

    def _write_answer(self, text: str) -> None:
        if not text:
            return
        self._answered = True
        self._line_open = not text.endswith("\n")
        self._show(text)

    def _end_line(self) -> None:
        if self._line_open:
            self._line_open = False
            self._show("\n")

    def _read_text(self, event: events.TextDelta) -> None:
        if self._waits and event.node:
            return
        if event.node != self._node:
            self._end_aside()
        if event.draft:
            self._print_aside(event.text, event.node)
        else:
            if self._answered and event.node != self._node:
                self._print(f"[{event.node}]")  # to `err`: `out` gets the answer only
            text = event.text if self._answered or not event.node else event.text.lstrip("\n")  # after a draft
            self._write_answer(self._sanitizer.feed(text))
        self._node = event.node

    def _print_aside(self, text: str, node: str) -> None:
        """Print the lines of an intermediate text, each with its node; an unfinished one waits for its end."""
        *lines, self._aside = f"{self._aside}{text}".split("\n")
        for line in filter(str.strip, lines):
            self._print(f"[{node}] {line}")

    def _end_aside(self) -> None:
        if self._aside:
            self._print_aside("\n", self._node)

    def _request(self, event: events.ApprovalRequested) -> None:
        for line in self._calls.clear():
            self._print(f"{line} waits")
        for line in request_lines(event):
            self._print(line, "error")  # shown with `quiet` too: the user has to answer

    def _end_turn(self, event: events.TerminalEvent) -> None:
        self._end_aside()
        self._write_answer(self._sanitizer.flush())
        if not self._answered:  # a model that does not stream
            self._write_answer(sanitize(event.content))
        self._end_line()
        if self._lists_sources and (sources := source_lines(event.cited)):
            self._show("".join(f"{line}\n" for line in ("", *sources)))
        self._answered = False
        for line in self._calls.clear():
            self._print(f"{line} was interrupted")
        if isinstance(event, events.TurnInterrupted):
            self._print("[interrupted]")
        elif isinstance(event, events.TurnFailed):
            for line in error_lines(event.error):
                self._print(line, "error")

    def _show(self, text: str) -> None:
        self._shown = True
        self._out.write(text)
        self._out.flush()

    def _print(self, text: str, level: str = "info") -> None:
        if self._quiet and level != "error":
            return
        self._err.write(f"{self._fresh_line()}{broken_for(self._err, sanitize(text))}\n")
        self._err.flush()

    def _fresh_line(self) -> str:
        """Return the text that moves a terminal's cursor to the start of a line.

        The column of the cursor is not known, since `out` may reach the same terminal through another program
        (`chat ... | cat`), at any time. As many spaces as the screen has columns move the cursor to the next line
        from every column except the first, since terminals wrap a full line only when more text arrives.
        """
        if not self._shown or not self._err.isatty():
            return ""
        try:
            columns = os.get_terminal_size(self._err.fileno()).columns
        except OSError:
            return ""
        return " " * columns + "\r"


class ScriptRenderer(PlainRenderer):
    """Writes each question after `User: `, and its answer, as it arrives, after `AI: `."""

    def render(self, event: events.Event) -> None:
        """Show `event`; the caller handles a broken pipe."""
        if isinstance(event, MessageShown):
            self._show(f"User: {sanitize_line(event.text)}\n")
        else:
            super().render(event)

    def _write_answer(self, text: str) -> None:
        super()._write_answer(f"AI: {text}" if text and not self._answered else text)


def notice_text(notice: events.Notice) -> str:
    """Return the text of a notice, with its level unless that is "info"; not sanitised."""
    return notice.text if notice.level == "info" else f"{notice.level}: {notice.text}"


def error_lines(error: ChatcliError) -> list[str]:
    """Return the lines that tell the user about `error`: what failed and, if there is one, the remedy."""
    lines = [f"error: {sanitize_line(error.message)}"]
    if error.remedy:
        lines.append(sanitize_line(error.remedy))
    return lines


def message_block(message: MessageShown) -> str:
    """Return a past message as a block: its speaker, its text, and a blank line."""
    speaker = SPEAKERS.get(message.role, sanitize_line(message.role))
    text = sanitize(unmarked(message.text)).rstrip("\n")
    sources = "".join(f"\n{line}" for line in ("", *lines)) if (lines := source_lines(message.cited)) else ""
    interrupted = "\n[interrupted]" if message.interrupted else ""
    return f"{speaker}: {text}{sources}{interrupted}".rstrip("\n") + "\n\n"


def source_lines(cited: Cited | None) -> list[str]:
    """Return the list of the documents that an answer cites, a line each, safe for a terminal."""
    return [] if cited is None else [sanitize_line(line) for line, _ in cited.lines()]


def match_block(match: display.MatchShown) -> str:
    """Return a search result as a block: its thread, its speaker, its text, and a blank line."""
    speaker = SPEAKERS.get(match.role, sanitize_line(match.role))
    snippet = sanitize_line("".join(text for text, _ in match.parts))
    return f"{sanitize_line(match.thread_id)}  {sanitize_line(match.title)}\n{speaker}: {snippet}\n\n"


def listing_lines(listing: events.Listing) -> list[str]:
    """Return a table as aligned columns, two spaces apart, without its title, which only screens show."""
    table = [tuple(sanitize_line(cell) for cell in row) for row in (listing.columns, *listing.rows)]
    widths = [max(map(display_width, column)) for column in zip(*table, strict=True)]
    padded = (
        [text + " " * (width - display_width(text)) for text, width in zip(row, widths, strict=True)] for row in table
    )
    return ["  ".join(row).rstrip() for row in padded]


def format_amount(amount: int, unit: str) -> str:
    """Return `amount`, of a `Progress` in `unit`, for people."""
    if unit == "percent":
        return f"{amount} %"
    return f"{amount:,} files" if unit == "files" else format_size(amount)


def progress_text(event: events.Progress) -> str:
    """Return the progress of a tool call on one line: `fake/search: reading b.txt 40 %`."""
    detail = f": {sanitize_line(event.detail)}" if event.detail else ""
    return f"{sanitize_line(event.label)}{detail}{f' {event.done} %' if event.total else ''}"


class ProgressLines:
    """Turns the `Progress` events of a label into a few lines: the start, each tenth of what has a size, the end."""

    def __init__(self) -> None:
        self._shown_percent: dict[str, int] = {}  # label -> the last percentage shown

    def line(self, event: events.Progress) -> str | None:
        """Return the line to show for `event`; None if there is nothing new."""
        label = sanitize_line(event.label)
        percent = 100 * event.done // event.total if event.unit and event.total else 0
        if event.finished:
            self._shown_percent.pop(label, None)
            return f"{label}: done" if event.done >= event.total else f"{label}: stopped at {percent} %"
        step = percent // _STEP * _STEP
        if label not in self._shown_percent:
            self._shown_percent[label] = step
            sized = event.total and event.unit != "percent"
            return f"{label} ({format_amount(event.total, event.unit)})..." if sized else f"{label}..."
        if step <= self._shown_percent[label]:
            return None
        self._shown_percent[label] = step
        return f"{label}: {step} % {sanitize_line(event.detail)}".rstrip()


def short_name(model: str) -> str:
    """Return the name of a model unchanged, and the name of a graph without its folder: `graph:agent.py:agent`."""
    kind, colon, name = model.partition(":")
    return sanitize_line(f"{kind}:{name.rpartition('/')[2]}" if colon and kind == "graph" else model)
