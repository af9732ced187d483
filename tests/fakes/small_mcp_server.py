"""An MCP server over stdio with one tool and without the SDK, which takes a second of CPU to import: run it by `-IS`.

It speaks the protocol of 2025-06-18. With a folder in MCP_NOTES, it writes its process ID there.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

NUMBER = {"type": "integer"}
ADD = {
    "name": "add",
    "inputSchema": {"type": "object", "properties": {"a": NUMBER, "b": NUMBER}},
    "annotations": {"readOnlyHint": True, "openWorldHint": False},
}
BEGUN = {
    "protocolVersion": "2025-06-18",
    "capabilities": {"tools": {}},
    "serverInfo": {"name": "small", "version": "1"},
}

if "MCP_NOTES" in os.environ:
    Path(os.environ["MCP_NOTES"], "pid").write_text(str(os.getpid()))
for line in sys.stdin:
    message = json.loads(line)
    match message["method"]:
        case "initialize":
            answer: dict[str, Any] = {"result": BEGUN}
        case "tools/list":
            answer = {"result": {"tools": [ADD]}}
        case "tools/call":
            values = message["params"]["arguments"]
            answer = {"result": {"content": [{"type": "text", "text": str(values["a"] + values["b"])}]}}
        case _:
            answer = {"error": {"code": -32601, "message": "Method not found"}}
    if "id" in message:
        sys.stdout.write(json.dumps({"jsonrpc": "2.0", "id": message["id"], **answer}) + "\n")
        sys.stdout.flush()
