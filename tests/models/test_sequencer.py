"""Messages that arrive at the same time, in an order that can be read."""

from chatcli.events import TextDelta
from chatcli.models.sequencer import MessageSequencer


def test_one_is_shown_to_its_end_and_the_others_wait() -> None:
    speakers = MessageSequencer()

    def say(message: str, text: str) -> list[str]:
        return [piece.text for piece in speakers.say(message, TextDelta(text, message))]

    assert say("a", "A1") == ["A1"]
    assert say("b", "B1") == []
    assert say("c", "C1") == []
    assert say("a", "A2") == ["A2"]
    assert list(speakers.end("b")) == []
    assert [piece.text for piece in speakers.end("a")] == ["\n\n", "B1", "\n\n", "C1"]
    assert say("c", "C2") == ["C2"]
    assert say("d", "D1") == []
    assert [piece.text for piece in speakers.end_all()] == ["\n\n", "D1"]
