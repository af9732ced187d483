"""Measures how long a token takes from its server to the screen: `python -m tests.bench.latency [--source FOLDER]`.

The whole program answers in a pseudo-terminal, 100 tokens a second, from a server that notes when it sends each. The
words of the Markdown are replaced by ones that occur once, so that each is found in what is shown. With --source, the
package in that folder, of another version, runs in turn.
"""

import argparse
import asyncio
import json
import re
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.bench.processes import Program, visible, watch_in_terminal
from tests.bench.render import tokens
from tests.e2e.program import EXECUTABLE, Home

FEW, MANY = 100, 700
PAUSE = 0.01  # seconds from one token to the next
ROUNDS = 3
KEPT = {"python", "def", "self", "str", "int", "return", "with", "if", "is", "None"}  # so that code has its colours


def pieces(count: int) -> list[str]:
    """Return the first `count` tokens of a long answer, each word of it another one."""
    return [_word(number, piece) for number, piece in enumerate(tokens(count))]


def _word(number: int, piece: str) -> str:
    word = piece.strip()
    if not re.fullmatch(r"[A-Za-z]{2,}", word) or word in KEPT:
        return piece
    letters = "".join(chr(ord("a") + number // 26**place % 26) for place in (2, 1, 0))
    return piece.replace(word, f"q{letters}")


class Server:
    """Sends the tokens that the model's name asks for, and notes when."""

    def __init__(self) -> None:
        self.sent: list[float] = []
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
        model = json.loads(await reader.readexactly(length))["model"]
        self.sent.clear()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
        began = time.monotonic()
        for number, text in enumerate(pieces(int(model))):
            await asyncio.sleep(max(0.0, began + number * PAUSE - time.monotonic()))
            self.sent.append(time.monotonic())
            writer.write(_event({"content": text}, None))
        writer.write(_event({}, "stop") + b"data: [DONE]\n\n")
        await writer.drain()
        writer.close()


def _event(delta: dict[str, str], end: str | None) -> bytes:
    choices = [{"index": 0, "delta": delta, "finish_reason": end}]
    chunk = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices}
    return f"data: {json.dumps(chunk)}\n\n".encode()


@contextmanager
def running() -> Iterator[Server]:
    """Run a server in a thread."""
    server, loop, ready = Server(), asyncio.new_event_loop(), threading.Event()

    async def start() -> None:
        listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
        server.port = listening.sockets[0].getsockname()[1]
        ready.set()

    loop.create_task(start())
    threading.Thread(target=loop.run_forever, daemon=True).start()
    ready.wait()
    yield server
    loop.call_soon_threadsafe(loop.stop)


def delays(sent: Sequence[float], shown: Sequence[tuple[float, bytes]]) -> list[float]:
    """Return the seconds from the sending of each word to its being shown."""
    ends, output = [], b""
    for moment, part in shown:
        output += part
        ends.append((len(visible(output)), moment))
    text, found = visible(output), []
    for moment, piece in zip(sent, pieces(len(sent)), strict=True):
        if re.fullmatch(r"q[a-z]{3}", word := piece.strip()) and (place := text.find(word.encode())) >= 0:
            found.append(next(when for end, when in ends if end >= place + len(word)) - moment)
    return found


def main() -> None:
    """Print the figures."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--source", type=Path, help="a folder with another version of the package chatcli")
    source = options.parse_args().source
    versions: dict[str, dict[str, str]] = {"this": {}} | ({"other": {"PYTHONPATH": str(source)}} if source else {})
    found: dict[str, list[list[float]]] = {name: [[], [], []] for name in versions}
    with running() as server, tempfile.TemporaryDirectory() as folder:
        home = Home.below(Path(folder))
        key = {"OPENAI_API_KEY": "none", "OPENAI_BASE_URL": f"http://127.0.0.1:{server.port}/v1"}
        for _ in range(ROUNDS):
            for name, variables in versions.items():
                costs = []
                for count in (FEW, MANY):
                    argv = [str(EXECUTABLE), "--no-helper", "-m", f"openai:{count}", "hi"]
                    cost, shown = watch_in_terminal(Program(argv, home.env | key | variables, home.work))
                    costs.append(cost.cpu)
                waits, ratios, cpu = found[name]
                waits += delays(server.sent, shown)
                ratios.append(sum(len(part) for _, part in shown) / len("".join(pieces(MANY)).encode()))
                cpu.append((costs[1] - costs[0]) / (MANY - FEW))
    print(f"{1 / PAUSE:.0f} tokens a second, {ROUNDS} rounds")
    for name, (waits, ratios, cpu) in found.items():
        late, middle = sorted(waits)[len(waits) * 99 // 100], statistics.median(waits)
        print(f"  {name:6} from server to screen: median {1000 * middle:.1f} ms, p99 {1000 * late:.1f} ms")
        written, each = statistics.median(ratios), 1000 * statistics.median(cpu)
        print(f"         {written:.2f} bytes written per byte, {each:.2f} CPU ms a token")


if __name__ == "__main__":
    main()
