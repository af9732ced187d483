"""Measures the terminal renderer: `python tests/bench/render.py`.

Heavy Markdown goes through a pseudo-terminal of 120x40, once as fast as it is read and once at 100 tokens
a second; rich's own `Live(Markdown)` runs beside it.
"""

import asyncio
import fcntl
import math
import os
import pty
import re
import statistics
import struct
import termios
import threading
import time
import tty
from bisect import bisect_left
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TextIO

from rich.console import Console
from rich.live import Live
from rich.markdown import Markdown

from chatcli.events import TextDelta, TurnFinished, Usage
from chatcli.rendering.terminal.answer import INTERVAL
from chatcli.rendering.terminal.renderer import TerminalRenderer

WIDTH, HEIGHT = 120, 40
RATE = 100  # tokens a second
Feed = tuple[Callable[[str], None], Callable[[], None]]  # takes a token, ends the answer
Kind = Callable[[TextIO], Feed]
SECTION = '''\
## Section {n}: how the *cache* works

The cache keeps the **last {n} entries** in `lru_cache`, and drops the others; see
[the documentation](https://docs.python.org/3/library/functools.html#functools.lru_cache) for the details. It is
a plain dictionary with a linked list, so that a hit costs $O(1)$ and a miss costs what the function costs.

1. First, look up the key:
   - a hit moves the entry to the front,
   - a miss calls `function(*args)` and stores what it returns.
2. Then, drop the **oldest** entry when there are more than `maxsize`.
3. 缓存命中率决定性能 其余的都不重要。

```python
def lookup_{n}(self, key: str, default: int = {n}) -> int:
    """Return the value of `key`, or `default` when there is none."""
    with self._lock:
        node = self._nodes.get(key)
        if node is None:  # a miss
            return default
        self._list.move_to_front(node)
    return node.value + {n} * 17
```

| Operation | Cost | Note {n} |
|:----------|:----:|---------:|
| hit | O(1) | moves a node |
| miss | O(f) | calls the **function** |
| clear | O(n) | frees `everything` |

> A cache is a *memory leak* with a better reputation.

'''


@dataclass
class Output:
    """What came out of the pseudo-terminal, and when."""

    chunks: list[tuple[float, bytes]] = field(default_factory=list)


def tokens(count: int) -> list[str]:
    """Return the first `count` pieces of a long answer, cut as tokenizers cut: some four characters each."""
    found: list[str] = []
    section = 0
    while len(found) < count:
        section += 1
        found += re.findall(r" ?\w{1,6}|\s+|[^\w\s]{1,3}", SECTION.replace("{n}", str(section)))
    return found[:count]


@contextmanager
def terminal() -> Iterator[tuple[TextIO, Output]]:
    """Open a raw pseudo-terminal whose other end is read by a thread."""
    master, slave = pty.openpty()
    tty.setraw(slave)
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", HEIGHT, WIDTH, 0, 0))
    output = Output()

    def read() -> None:
        while True:
            try:
                chunk = os.read(master, 1 << 16)
            except OSError:  # the other end was closed
                return
            output.chunks.append((time.perf_counter(), chunk))

    reader = threading.Thread(target=read)
    reader.start()
    with open(slave, "w", encoding="utf-8") as stream:  # noqa: PTH123 - a descriptor, not a path
        yield stream, output
        time.sleep(0.1)
    reader.join()
    os.close(master)


def console(stream: TextIO) -> Console:
    return Console(file=stream, force_terminal=True, color_system="truecolor", width=WIDTH, height=HEIGHT)


def ours(stream: TextIO) -> Feed:
    screen = console(stream)
    renderer = TerminalRenderer(screen, screen)
    finished = TurnFinished("t", "c", "m", "", "stop", Usage(), 0, 0, 0)
    return lambda text: renderer.render(TextDelta(text)), lambda: renderer.render(finished)


def live(stream: TextIO) -> Feed:
    display = Live(console=console(stream), auto_refresh=False, vertical_overflow="visible")
    display.start()
    parts: list[str] = []
    painted = 0.0

    def feed(text: str) -> None:
        nonlocal painted
        parts.append(text)
        if time.perf_counter() - painted >= INTERVAL:
            painted = time.perf_counter()
            display.update(Markdown("".join(parts)), refresh=True)

    def finish() -> None:
        display.update(Markdown("".join(parts)), refresh=True)
        display.stop()

    return feed, finish


def flat_out(kind: Kind, count: int) -> float:
    """Feed `count` tokens as fast as they are taken; print the figures and return the CPU seconds."""
    pieces = tokens(count)
    with terminal() as (stream, output):
        feed, finish = kind(stream)
        started = time.thread_time()
        for piece in pieces:
            feed(piece)
        finish()
        cpu = time.thread_time() - started
    print(
        f"  {kind.__name__:5} {count:6} tokens  {cpu:6.2f} CPU s  {ratio(output, pieces):6.2f} bytes written per byte"
    )
    return cpu


async def paced(kind: Kind, count: int) -> None:
    """Feed `count` tokens, `RATE` a second, from an asyncio loop; print the figures."""
    pieces = tokens(count)
    arrivals: list[float] = []
    with terminal() as (stream, output):
        feed, finish = kind(stream)
        started, cpu = time.perf_counter(), time.thread_time()
        for number, piece in enumerate(pieces):
            await asyncio.sleep(max(0.0, started + number / RATE - time.perf_counter()))
            arrivals.append(time.perf_counter())
            feed(piece)
        finish()
        cpu = time.thread_time() - cpu
        elapsed = time.perf_counter() - started
    writes = [moment for moment, _ in output.chunks]
    # The first write after a token shows it, unless it is one that changes nothing: then it counts as late.
    waits = sorted(writes[min(bisect_left(writes, moment), len(writes) - 1)] - moment for moment in arrivals)
    busiest = max(bisect_left(writes, moment + 1) - index for index, moment in enumerate(writes))
    median, late = 1000 * statistics.median(waits), 1000 * waits[len(waits) * 99 // 100]
    print(
        f"  {kind.__name__:5} {count:6} tokens  {cpu:6.2f} CPU s  {ratio(output, pieces):6.2f} bytes written per byte"
    )
    print(f"        latency median {median:.1f} ms, p99 {late:.1f} ms")
    print(f"        {len(writes) / elapsed:.1f} writes a second, at most {busiest} within one second")


def ratio(output: Output, pieces: list[str]) -> float:
    """Return how many bytes were written for each byte of the answer."""
    return sum(len(chunk) for _, chunk in output.chunks) / len("".join(pieces).encode())


def main() -> None:
    """Print the figures."""
    flat_out(ours, 500)  # what is imported late is imported now
    print("as fast as it goes")
    small, large = flat_out(ours, 2000), flat_out(ours, 20000)
    print(f"        growth exponent {math.log10(large / small):.2f} (1 is linear)")
    flat_out(live, 2000)
    print(f"{RATE} tokens a second")
    asyncio.run(paced(ours, 2000))
    asyncio.run(paced(live, 2000))


if __name__ == "__main__":
    main()
