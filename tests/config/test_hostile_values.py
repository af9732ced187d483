"""Settings, roles, servers, graphs and streams from anywhere: read, or refused by the error that is meant for it."""

import json
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatcli.config.mcp_servers import read_servers
from chatcli.config.settings import Settings
from chatcli.config.thread_ids import check_thread_id
from chatcli.config.values import parse_entry, parse_variables, read_value
from chatcli.errors import ChatcliError
from chatcli.graphs.user.spec import find_graph
from chatcli.models.openai_stream import DeltaJoiner, as_events
from chatcli.roles import read_role
from chatcli.sessions.interrupt_answers import read_value as read_answer
from tests.examples import few_examples

_ODD = ["{", "}", "[", "]", '"', "=", ":", ",", ".", "http://", "[x", "9" * 400, "1e999", "nan", "\0", "\n", "+++\n"]
_ODD += [
    "system",
    "variables",
    "'''",
    "{a}",
    "{{",
    "{a.b}",
    "{a!r}",
    "\\u",
    "~nobody/",
    "./x.py:y",
    "x" * 300,
    "\ud800",
]
_TEXTS = st.lists(st.sampled_from(_ODD) | st.text(max_size=3), max_size=12).map("".join)
_KEYS = ["a", "command", "url", "args", "env", "type", "mcpServers", "graphs", "path", "choices", "delta", "message"]
_KEYS += ["content", "error", "usage", "tool_calls", "index", "finish_reason"]
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.just(10**400) | st.floats() | _TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_KEYS) | _TEXTS, inner, max_size=4),
    max_leaves=12,
)
_WRITTEN = _TEXTS | _VALUES.map(json.dumps)
_SETTINGS = [(one.name, one.type) for one in fields(Settings) if not one.name.startswith("_")]


@pytest.mark.parametrize(("name", "kind"), _SETTINGS, ids=[name for name, _ in _SETTINGS])
@few_examples
@given(value=_VALUES.filter(lambda value: value is not None) | _WRITTEN)
def test_any_value_of_a_setting_is_read_or_refused(name: str, kind: Any, value: object) -> None:
    try:
        read_value(kind, value)
    except (ValueError, ChatcliError) as error:
        message = str(error)
    else:
        message = ""
    assert len(message) < 3000


@given(_TEXTS)
def test_any_text_is_read_or_refused(text: str) -> None:
    for read in (parse_variables, parse_entry, check_thread_id):
        with suppress(ValueError):
            read(text)
    for find in (find_graph, read_answer):
        with suppress(ChatcliError):
            find(text)


@given(text=_TEXTS, document=_WRITTEN)
def test_any_file_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, text: str, document: str) -> None:
    folder = tmp_path_factory.getbasetemp()
    names = {"a.toml": text, "a.md": f"+++\n{text}\n+++\n{document}", "a.json": document}
    names["langgraph.json"] = f'{{"graphs": {{"a": {document}}}}}'
    for name, content in names.items():
        (folder / name).write_bytes(content.encode("utf-8", "surrogatepass"))
    for name in ("a.toml", "a.md"):
        with suppress(ChatcliError):
            read_role(folder / name).fill({})
    with suppress(ChatcliError):
        read_servers(folder / "a.json")
    with suppress(ChatcliError):
        find_graph(f"{folder / 'langgraph.json'}:a")


@given(_WRITTEN, st.integers(1, 40))
def test_any_stream_passes(document: str, size: int) -> None:
    data = document.encode("utf-8", "surrogatepass")
    as_events(data)
    stream, joiner = b"data: " + data + b"\n\n" + data + b"\r\n\r\n", DeltaJoiner()
    for start in range(0, len(stream), size):
        joiner.feed(stream[start : start + size])
    joiner.rest()


@pytest.mark.parametrize("spec", ["x" * 5000 + ".py:a", "a\0/b.py:c", "~nobody/x.py:a", "a/\ud800.py:x"])
def test_a_graph_that_no_path_can_name_is_refused(spec: str, tmp_path: Path) -> None:
    (tmp_path / "langgraph.json").write_text(json.dumps({"graphs": {"a": spec}}))
    for named in (spec, f"{tmp_path / 'langgraph.json'}:a"):
        with pytest.raises(ChatcliError):
            find_graph(named)
