"""Agents that langchain's `create_agent` makes, as user graphs."""

import json
import signal
from pathlib import Path

from tests.e2e.checks import valid_events
from tests.e2e.program import Chat, Result
from tests.fakes.openai_server import FakeOpenAI
from tests.fakes.steps import Answer, Calls, call, unauthorized

AGENT = Path(__file__).parent.parent / "sample_graphs" / "agent.py"


def spec(name: str) -> tuple[str, str]:
    return "--graph", f"{AGENT}:{name}"


def ok(result: Result) -> Result:
    assert result.returncode == 0, result
    return result


def test_an_agent_calls_its_tools_and_streams(chat: Chat, fake: FakeOpenAI) -> None:
    fake.script(Calls([("weigh", {"what": "a cat"})], text="Let me see."), Answer("It weighs 4 kg."))
    done = ok(chat(*spec("agent"), "--format", "jsonl", "How heavy is a cat?"))
    valid_events(done.events())
    kinds = [event["type"] for event in done.events()]
    places = [kinds.index("text_delta"), kinds.index("tool_call_started"), kinds.index("tool_call_finished")]
    assert places == sorted(places)
    assert "text_delta" in kinds[places[-1] :]
    assert done.events()[-1]["content"] == "Let me see.\n\nIt weighs 4 kg."
    assert done.events()[-1]["usage"]["total_tokens"] > 0
    kept = (
        "the graph keeps its threads in memory (InMemorySaver): its threads end with this program. To keep them, leave"
    )
    assert kept in done.events()[1]["text"]

    fake.default = unauthorized()
    assert chat(*spec("agent"), "hi").returncode == 3


def test_a_reviewed_call_is_edited_or_rejected_by_another_process(chat: Chat, fake: FakeOpenAI) -> None:
    fake.script(call("weigh", what="a cat"), Answer("A dog weighs 4 kg."))
    asked = ok(chat(*spec("careful"), "-t", "t", "How heavy?"))
    assert 'weigh(what="a cat") waits' in asked.stderr
    assert chat("-t", "t", "--resume-with", "perhaps").returncode == 2
    answered = ok(chat("-t", "t", "--resume-with", 'edit {"what": "a dog"}'))
    assert answered.stdout == "A dog weighs 4 kg.\n"
    assert fake.requests[1].results[0].endswith("a dog: 4 kg")

    fake.script(Calls([("weigh", {"what": "a"}), ("weigh", {"what": "b"})]), Answer("As you like."))
    asked = ok(chat(*spec("each"), "-t", "u", "--json", "go"))
    approvals = sorted(asked.json()["approvals"], key=lambda approval: str(approval["payload"]["args"]))
    ids = [approval["interrupt_id"] for approval in approvals]
    assert approvals[0]["response_schema"]
    answers = f'{{"{ids[0]}": {{"type": "approve"}}, "{ids[1]}": {{"type": "reject", "message": "no"}}}}'
    assert ok(chat("-t", "u", "--resume-with", answers)).stdout == "As you like.\n"
    assert [result.startswith("a: 4 kg") for result in fake.requests[-1].results] == [True, False]


def test_a_tool_that_is_stopped_leaves_a_thread_that_the_provider_takes(chat: Chat, fake: FakeOpenAI) -> None:
    fake.script(Calls([("weigh", {"what": "an elephant"})], text="Let me see."), Answer("Then not."))
    running = chat.start(*spec("careful"), "-t", "t", "How heavy?")
    assert running.finish().returncode == 0
    running = chat.start("-t", "t", "--resume-with", "approve", "--format", "jsonl")
    running.wait_for_output("lifting it")
    running.signal(signal.SIGINT)
    assert running.finish().returncode == 130
    assert ok(chat("-t", "t", "Never mind.")).stdout == "Then not.\n"
    assert fake.requests[-1].results == ["The call was interrupted; there is no result."]


def test_nodes_that_answer_at_the_same_time_are_shown_one_after_the_other(chat: Chat, fake: FakeOpenAI) -> None:
    fake.default = Answer("one two three four five six seven eight nine ten")
    done = ok(chat(*spec("both"), "--format", "jsonl", "go")).events()
    nodes = [event["node"] for event in done if event["type"] == "text_delta"]
    assert nodes == sorted(nodes, key=nodes.index)
    assert len(set(nodes)) == 2
    texts = ok(chat(*spec("both"), "go"))
    assert texts.stdout == f"{fake.default.text}\n\n{fake.default.text}\n"
    assert texts.stderr == ""


def test_a_summary_is_no_words_of_the_user_and_hides_no_turn(chat: Chat, fake: FakeOpenAI) -> None:
    fake.script(Answer("one"), Answer("two"), Answer("THE SUMMARY"), Answer("three"))
    for question in ("q1", "q2", "q3"):
        ok(chat(*spec("summarising"), "-t", "t", question))
    summary = "Here is a summary of the conversation to date:\n\nTHE SUMMARY"
    whole = [("user", "q1"), ("assistant", "one"), ("user", "q2"), ("summary", summary)]
    whole += [("assistant", "two"), ("user", "q3"), ("assistant", "three")]
    assert [(message["role"], message["content"]) for message in chat.messages("t")] == whole

    exported = ok(chat("threads", "export", "t", "--format", "json", "-o", "t.json"))
    data = json.loads((chat.home.work / "t.json").read_text())
    assert [(message["role"], message["content"]) for message in data["messages"]] == whole
    for kind in ("md", "html"):
        exported = ok(chat("threads", "export", "t", "--format", kind))
        assert "Summary" in exported.stdout
        assert exported.stdout.count("User") == 3
    ok(chat("threads", "delete", "t", "--yes"))
    ok(chat("threads", "import", "t.json"))
    assert [(message["role"], message["content"]) for message in chat.messages("t")] == whole
