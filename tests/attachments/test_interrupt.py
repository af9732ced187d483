import asyncio
import threading
from collections.abc import Iterator

from chatcli.attachments.attachment import Attachment
from chatcli.events import TurnFinished, TurnInterrupted, TurnStarted
from chatcli.sessions.requests import Ask
from tests.conversing import ask, conversing
from tests.fakes.openai_server import FakeOpenAI
from tests.waiting import WAIT_SECONDS


class SlowFiles(tuple[Attachment, ...]):
    """Files that take until `go` to be read."""

    def __init__(self) -> None:
        self.reading, self.go = threading.Event(), threading.Event()

    def __iter__(self) -> Iterator[Attachment]:
        self.reading.set()
        self.go.wait(WAIT_SECONDS)
        return iter(())


async def test_an_interrupt_while_files_are_read_ends_the_turn_and_stores_nothing(model: FakeOpenAI) -> None:
    files = SlowFiles()

    async def interrupt() -> None:
        await asyncio.to_thread(files.reading.wait, WAIT_SECONDS)
        conversation.interrupt()
        files.go.set()

    async with conversing(model, no_save=True) as conversation:
        interrupting = asyncio.create_task(interrupt())
        stopped = [event async for event in conversation.run(Ask("the first", files))]
        await interrupting
        *_, end = await ask(conversation, "the second")
    assert [type(event) for event in stopped[:2]] == [TurnStarted, TurnInterrupted]
    assert isinstance(end, TurnFinished)
    assert [request.messages for request in model.requests] == [[("user", "the second")]]
