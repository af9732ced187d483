"""Order the pieces of messages that arrive at the same time: one message is shown to its end, the others wait."""

from collections.abc import Iterator
from dataclasses import replace

from chatcli.events import TextDelta

SEPARATOR = "\n\n"


class MessageSequencer:
    """Orders the pieces of a turn's messages: the first is shown as it arrives, the others wait until it has ended."""

    def __init__(self) -> None:
        self._current = ""
        self._waiting: dict[str, list[TextDelta]] = {}
        self._ended: set[str] = set()
        self._spoken = False

    def say(self, message_id: str, piece: TextDelta) -> Iterator[TextDelta]:
        """Take the next `piece` of a message; yield the pieces to show now."""
        if self._current not in ("", message_id):
            self._waiting.setdefault(message_id, []).append(piece)
            return
        if not self._current:
            self._current = message_id
            if self._spoken:
                yield replace(piece, text=SEPARATOR)
        self._spoken = True
        yield piece

    def end(self, message_id: str) -> Iterator[TextDelta]:
        """Take the end of a message; yield the pieces that waited for it."""
        self._ended.add(message_id)
        if message_id == self._current:
            self._current = ""
        while not self._current and self._waiting:
            following = next(iter(self._waiting))
            for piece in self._waiting.pop(following):
                yield from self.say(following, piece)
            if following in self._ended:
                self._current = ""

    def end_all(self) -> Iterator[TextDelta]:
        """End all messages; yield the pieces that still wait."""
        for message_id in [self._current, *self._waiting]:
            yield from self.end(message_id)
