"""What threads cost: `--max-cost`, `/cost`, `/set max_cost`, `threads list --cost` and `chat usage`."""

import json
import re

import pytest

from tests.e2e.conftest import OpenTerminal
from tests.e2e.program import Chat
from tests.fakes.openai_server import FakeOpenAI

PRICED = "openai:gpt-4o-mini"  # 0.15 and 0.60 dollars for a million tokens


@pytest.fixture
def paid(chat: Chat, fake: FakeOpenAI) -> Chat:
    """Give a home with the thread paid, whose one turn cost 0.75 dollars."""
    usage = {"input_tokens": 1_000_000, "output_tokens": 1_000_000, "total_tokens": 2_000_000}
    messages = [
        {"role": "user", "content": "hello", "id": "q"},
        {"role": "assistant", "content": "hi", "id": "a", "usage_metadata": usage},
    ]
    thread = {"format": "chatcli-thread", "version": 1, "thread_id": "paid", "model": PRICED, "messages": messages}
    (chat.home.work / "paid.json").write_text(json.dumps(thread))
    assert chat("threads", "import", "paid.json").returncode == 0
    return chat


def test_a_turn_beyond_the_bound_is_refused_before_anything_is_stored_or_sent(paid: Chat, fake: FakeOpenAI) -> None:
    (paid.home.work / "script").write_text("one\ntwo\n")
    refused = paid("--max-cost", "0.5", "-t", "paid", "again")
    assert (refused.returncode, refused.stdout) == (4, "")
    [line] = refused.stderr.splitlines()
    assert "cost $0.7500" in line
    assert "bound of $0.5000" in line
    assert "genai-prices" in line
    assert " of 20" in line
    assert "--max-cost" in line
    assert "/set max_cost" in line
    result = paid("-t", "paid", "--json", "again", env={"CHATCLI_MAX_COST": "0.5"})
    assert (result.returncode, result.json()["error"]["code"]) == (4, "refused")
    assert paid("--max-cost", "0.5", "-t", "paid", "--script", "script").returncode == 4
    assert [message["content"] for message in paid.messages("paid")] == ["hello", "hi"]
    assert fake.requests == []
    for wrong in ("0", "-1", "nan", "inf", "much"):
        assert paid("--max-cost", wrong, "again").returncode == 2


def test_an_unknown_price_is_said_to_be_unknown_once(paid: Chat, fake: FakeOpenAI) -> None:
    (paid.home.work / "script").write_text("one\ntwo\n")
    asked = paid("--max-cost", "0.8", "-t", "paid", "--script", "script")
    assert asked.returncode == 0
    assert asked.stderr.count("no known price") == 1
    [listed] = paid("threads", "list", "--cost", "--json").json()
    assert (listed["cost_usd"], listed["cost_complete"], listed["unpriced_turns"]) == (0.75, False, 2)
    assert paid("threads", "fork", "paid", "copy").returncode == 0
    used = paid("usage", "--since", "1d", "--json").json()
    assert (used["total"]["turns"], used["total"]["cost_usd"], used["total"]["unpriced_turns"]) == (3, 0.75, 2)
    assert used["total"]["input_tokens"] > 1_000_000
    shown = paid("usage")
    assert "$0.7500 + unknown" in shown.stdout
    assert "genai-prices" in shown.stderr
    assert paid("usage", "--since", "soon").returncode == 2


def test_a_conversation_shows_and_bounds_its_cost(paid: Chat, fake: FakeOpenAI, terminal: OpenTerminal) -> None:
    del paid.home.env["PROMPT_TOOLKIT_NO_CPR"]  # else there would be no toolbar
    tty = terminal("-t", "paid")
    tty.answer_positions()
    tty.wait_for("2000.0k tokens, $0.7500 so far")
    tty.send_line("/set max_cost=0.5")
    tty.wait_for("a thread may cost $0.5000")
    tty.send_line("/config")
    assert re.search(r"max_cost +0\.5 +this conversation", tty.wait_for("/config all"))
    tty.send_line("again")
    tty.wait_for("more than its")
    tty.send_line("/retry")
    tty.wait_for(lambda text: text.count("more than its") == 2)
    tty.send_line("/cost")
    tty.wait_for("total")
    tty.send_line("/set max_cost=-1")
    tty.wait_for("a number of US dollars")
    tty.send_line("/set max_cost=off")
    tty.wait_for("no bound is set")
    assert fake.requests == []
    tty.send_line("again")
    tty.wait_for("You said: again")
