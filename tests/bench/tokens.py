"""Measures what a streamed chunk costs: `python -m tests.bench.tokens [--llm PATH/TO/llm]`.

First CPU a chunk, for readers from a bare httpx to the whole program, of chunks that come one by one; then, with
--llm, how long 20,000 tokens that come at once take to be on the screen, beside simonw/llm.
"""

import argparse
import asyncio
import io
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path
from typing import Any

import httpx2
import openai
from langchain_core.messages import HumanMessage
from langchain_openai import ChatOpenAI
from langgraph.graph import START, MessagesState, StateGraph
from pydantic import SecretStr

from chatcli.config.secrets import Secret
from chatcli.config.settings import Settings
from chatcli.conversation.backend import LocalBackend
from chatcli.conversation.compose import compose
from chatcli.rendering.json import JsonLinesRenderer
from chatcli.rendering.plain import PlainRenderer
from chatcli.rendering.renderer import Renderer, consume
from chatcli.sessions.requests import Ask
from chatcli.store.location import StoreLocation
from tests.bench.processes import Program, run_in_terminal
from tests.e2e.program import EXECUTABLE, Home

FEW, MANY = 100, 1100
PAUSE = 2  # milliseconds: slower than the slowest reader, so that each chunk comes alone
ROUNDS = 5
ANSWER = 20_000  # tokens
Read = Callable[[str, str], AsyncIterator[object]]  # base URL and model -> what comes


async def httpx_lines(url: str, model: str) -> AsyncIterator[object]:
    body = {"model": model, "stream": True, "messages": []}
    async with httpx2.AsyncClient() as client, client.stream("POST", f"{url}/chat/completions", json=body) as response:
        async for line in response.aiter_lines():
            yield line


async def sdk(url: str, model: str) -> AsyncIterator[object]:
    client = openai.AsyncOpenAI(base_url=url, api_key="none")
    async for chunk in await client.chat.completions.create(model=model, stream=True, messages=[]):
        yield chunk


async def langchain(url: str, model: str) -> AsyncIterator[object]:
    async for chunk in ChatOpenAI(model=model, base_url=url, api_key=SecretStr("none")).astream("hi"):
        yield chunk


def langgraph(url: str, model: str, **how: Any) -> AsyncIterator[object]:
    client = ChatOpenAI(model=model, base_url=url, api_key=SecretStr("none"))

    async def call_model(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await client.ainvoke(state["messages"])]}

    graph = StateGraph(MessagesState).add_node("model", call_model).add_edge(START, "model").compile()
    parts: AsyncIterator[object] = graph.astream({"messages": [HumanMessage("hi")]}, **how)
    return parts


async def chat(url: str, model: str, renderer: Renderer) -> AsyncIterator[object]:
    settings = Settings(base_url=url, model=f"openai:{model}", openai_api_key=Secret("none"))
    conversation = compose(settings, "bench", backend=LocalBackend(StoreLocation())).conversation()
    async with aclosing(conversation.run(Ask("hi"))) as events:
        yield await consume(events, renderer)
    await conversation.close()


READERS: dict[str, Read] = {
    "httpx2, lines": httpx_lines,
    "OpenAI SDK": sdk,
    "ChatOpenAI.astream": langchain,
    'LangGraph, stream_mode="messages"': lambda url, model: langgraph(url, model, stream_mode="messages"),
    "LangGraph, two modes, version v2": lambda url, model: langgraph(
        url, model, stream_mode=["messages", "custom"], version="v2"
    ),
    "chat, plain text": lambda url, model: chat(url, model, PlainRenderer(io.StringIO(), io.StringIO())),
    "chat --format jsonl": lambda url, model: chat(url, model, JsonLinesRenderer(io.StringIO(), io.StringIO())),
}


@contextmanager
def chunk_server() -> Iterator[str]:
    """Run the server; give its base URL."""
    command = [sys.executable, "-m", "tests.bench.chunk_server"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}/v1"
        process.kill()


async def cpu(read: Read, url: str, count: int) -> float:
    """Return the CPU seconds of reading `count` chunks."""
    began = time.process_time()
    async for _ in read(url, f"{count}@{PAUSE}"):
        pass
    return time.process_time() - began


async def measure_chunks(url: str) -> None:
    costs: dict[str, list[float]] = {name: [] for name in READERS}
    for _ in range(ROUNDS):
        for name, read in READERS.items():
            few, many = await cpu(read, url, FEW), await cpu(read, url, MANY)
            costs[name].append((many - few) / (MANY - FEW) * 1000)
    print(f"CPU a chunk, {PAUSE} ms apart, medians of {ROUNDS} rounds")
    for name, found in costs.items():
        print(f"  {name:36} {statistics.median(found):6.3f} ms")
    own = statistics.median(costs["LangGraph, two modes, version v2"])
    for name in ("chat, plain text", "chat --format jsonl"):
        print(f"  {name} adds {statistics.median(costs[name]) - own:+.3f} ms to LangGraph's own")


def measure_answer(url: str, llm: Path) -> None:
    """Time 20,000 tokens that are sent at once, from start to end, each program in a terminal."""
    with tempfile.TemporaryDirectory() as folder:
        home = Home.below(Path(folder))
        model = f"{ANSWER}@0"
        env = home.env | {"OPENAI_API_KEY": "none", "OPENAI_BASE_URL": url, "LLM_USER_PATH": str(home.root)}
        entry = f"- model_id: bench\n  model_name: {model}\n  api_base: {url}\n"
        (home.root / "extra-openai-models.yaml").write_text(entry)
        programs = {
            "chat, Markdown rendered": [str(EXECUTABLE), "-m", f"openai:{model}", "hi"],
            "llm, not rendered": [str(llm), "-m", "bench", "hi"],
        }
        times: dict[str, list[float]] = {name: [] for name in programs}
        for _ in range(ROUNDS):
            for name, argv in programs.items():
                times[name].append(run_in_terminal(Program(argv, env, home.work)).wall)
    print(f"{ANSWER:,} tokens sent at once, in a terminal, from start to end, medians of {ROUNDS} rounds")
    for name, found in times.items():
        print(f"  {name:36} {statistics.median(found):6.2f} s")
    ours, theirs = times.values()
    ratio = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
    print(f"  ratio {ratio:.2f}")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--llm", type=Path, help="simonw/llm's executable, in an environment of its own")
    llm = options.parse_args().llm
    os.environ.pop("OPENAI_BASE_URL", None)
    with chunk_server() as url:
        asyncio.run(measure_chunks(url))
        if llm is not None:
            measure_answer(url, llm)


if __name__ == "__main__":
    main()
