"""Puts messages that arrive at the same time in order: one is shown to its end while the others wait."""

from collections.abc import Iterator

from chatcli.events import TextDelta

SEPARATOR = "\n\n"
"""The text between two messages of one turn."""


class Speakers:
    """Puts the pieces of a turn's messages in an order that can be read.

    The first message that begins is shown as it comes; the pieces of the others are kept until it has ended.
    """

    def __init__(self) -> None:
        self._current = ""
        self._waiting: dict[str, list[TextDelta]] = {}
        self._ended: set[str] = set()
        self._spoken = False

    def say(self, message_id: str, piece: TextDelta) -> Iterator[TextDelta]:
        """Yield the pieces to show after `piece` of a message has arrived."""
        if self._current not in ("", message_id):
            self._waiting.setdefault(message_id, []).append(piece)
            return
        if not self._current:
            self._current = message_id
            if self._spoken:
                yield TextDelta(SEPARATOR, piece.node)
        self._spoken = True
        yield piece

    def end(self, message_id: str) -> Iterator[TextDelta]:
        """Yield the pieces that have waited for the end of a message."""
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
        """Yield all pieces that are still waiting."""
        for message_id in [self._current, *self._waiting]:
            yield from self.end(message_id)
