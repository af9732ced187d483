"""The ways in which a turn begins: each is a value, and `Session.run` takes them all."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from chatcli.attachments.attachment import Attachment


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask `text`, which `attachments` go along with."""

    # The question is stored before it is sent, unless it can't be taken at all, or the thread waits for an answer. A
    # text that was `typed` at a prompt may be that answer: where the thread waits for several, each is answered by a
    # text of its own, and the turn goes on after the last one. `interrupt_answers` reads what a text means.
    text: str
    attachments: Sequence[Attachment] = ()
    typed: bool = False


@dataclass(frozen=True, slots=True)
class AnswerInWords:
    """Answer all that the thread waits for with `text`; `null` goes on where the graph stopped at a breakpoint."""

    text: str


@dataclass(frozen=True, slots=True)
class Resume:
    """Answer the only request with `value`, or several with a mapping by ID; None also goes on after a breakpoint."""

    value: Any


@dataclass(frozen=True, slots=True)
class Continue:
    """Go on where the graph stopped at a breakpoint."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Ask the last question again: on a new branch, or, if it was never answered, where it is."""


TurnRequest = Ask | AnswerInWords | Resume | Continue | Retry
