"""A model server in a process of its own; a model is `COUNT@MILLISECONDS`: so many chunks, so far apart."""

import asyncio
import json
import sys

from tests.bench.render import tokens


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
    model = json.loads(await reader.readexactly(length))["model"]
    count, _, pause = model.partition("@")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
    for text in tokens(int(count)):
        _send(writer, json.dumps(_chunk(model, {"content": text}, None)))
        if float(pause):
            await writer.drain()
            await asyncio.sleep(float(pause) / 1000)
    _send(writer, json.dumps(_chunk(model, {}, "stop")))
    _send(writer, "[DONE]")
    writer.write(b"0\r\n\r\n")
    await writer.drain()
    writer.close()


def _chunk(model: str, delta: dict[str, str], finish_reason: str | None) -> dict[str, object]:
    choices = [{"index": 0, "delta": delta, "finish_reason": finish_reason}]
    return {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": model, "choices": choices}


def _send(writer: asyncio.StreamWriter, data: str) -> None:
    event = f"data: {data}\n\n".encode()
    writer.write(f"{len(event):x}\r\n".encode() + event + b"\r\n")


async def _main() -> None:
    server = await asyncio.start_server(_serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)  # until the benchmark ends


if __name__ == "__main__":
    asyncio.run(_main())
