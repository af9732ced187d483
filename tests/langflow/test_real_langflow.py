"""`chat -m langflow:FLOW` and a real Langflow server: that the scripted one speaks as it does."""

import json
import os
from pathlib import Path

import httpx2
import pytest

from tests.e2e.checks import assert_reported
from tests.e2e.program import Chat, Home

pytestmark = pytest.mark.langflow


@pytest.fixture(scope="module")
def server() -> dict[str, str]:
    """Make the flows and a key on the server that `run` started; give what finds them."""
    if "LANGFLOW_TEST_URL" not in os.environ:
        pytest.skip("needs a Langflow server: tests/langflow/run")
    url = os.environ["LANGFLOW_TEST_URL"]
    with httpx2.Client(base_url=f"{url}/api/v1", timeout=60) as client:
        token = client.get("/auto_login").raise_for_status().json()["access_token"]
        client.headers["Authorization"] = f"Bearer {token}"
        for flow in json.loads(Path(os.environ["LANGFLOW_TEST_FLOWS"]).read_text()):
            client.post("/flows/", json=flow).raise_for_status()
        key = client.post("/api_key/", json={"name": "test"}).raise_for_status().json()["api_key"]
    return {"LANGFLOW_URL": url, "LANGFLOW_API_KEY": key}


@pytest.fixture(autouse=True)
def langflow(server: dict[str, str], home: Home) -> None:
    home.env.update(server)


def test_langflow_remembers_the_thread(chat: Chat) -> None:
    first = chat("-m", "langflow:parrot", "-t", "abc", "--json", "one").json()
    assert first["content"].strip() == "plain: one, number 1"
    assert first["langflow"] == {"session_id": "abc", "sender": "Machine", "text": first["content"]}
    # The question and its answer, and the new question.
    assert chat("-t", "abc", "two").stdout.strip() == "plain: two, number 3"
    assert chat("-m", "langflow:parrot", "-t", "other", "one").stdout.strip() == "plain: one, number 1"


def test_tokens_and_tweaks(chat: Chat) -> None:
    events = chat("-m", "langflow:parrot", "--tweak", "Parrot.tone=loud", "--format", "jsonl", "one").events()
    assert "".join(e["text"] for e in events if e["type"] == "text_delta").strip() == "loud: one, number 1"
    assert chat("-m", "langflow:plain", "no tokens").stdout == "no tokens\n"


def test_failures(chat: Chat) -> None:
    faulty = chat("-m", "langflow:faulty", "one")
    assert_reported(faulty, 4)
    assert "failed at Faulty: no such model" in faulty.stderr
    silent = chat("-m", "langflow:silent", "one")
    assert_reported(silent, 4)
    assert "no chat output" in silent.stderr
    assert_reported(chat("-m", "langflow:nowhere", "one"), 4)
    assert_reported(chat("-m", "langflow:parrot", "one", env={"LANGFLOW_API_KEY": ""}), 3)
    assert_reported(chat("-m", "langflow:parrot", "one", env={"LANGFLOW_API_KEY": "sk-wrong"}), 3)


def test_the_flows_are_listed(chat: Chat) -> None:
    assert {flow["endpoint"] for flow in chat("models", "langflow", "--json").json()} >= {"parrot", "plain", "faulty"}
