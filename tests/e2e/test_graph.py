"""User graphs: `chat --graph`."""

import json
import os
import signal
import sysconfig
from pathlib import Path

import pytest

from tests.e2e.checks import valid_events
from tests.e2e.conftest import OpenTerminal
from tests.e2e.program import Chat, Result

SMALL = Path(__file__).parent.parent / "sample_graphs" / "small.py"


def spec(name: str) -> tuple[str, str]:
    return "--graph", f"{SMALL}:{name}"


def ok(result: Result) -> Result:
    assert result.returncode == 0, result
    return result


@pytest.mark.executable
def test_a_graph_answers_in_a_durable_thread(chat: Chat) -> None:
    first = ok(chat(*spec("graph"), "-t", "t", "one"))
    assert first.stdout == "You asked: one.\n"
    again = ok(chat.forked("-t", "t", "--json", "two"))  # a thread goes on with its graph
    assert again.json()["content"] == "You asked: one, two."
    assert again.json()["model"] == f"graph:{SMALL}:graph"
    assert again.json()["messages_in_thread"] == 4
    assert f"--graph {SMALL}:graph" in again.stderr


def test_builders_factories_and_contexts_are_graphs_too(chat: Chat) -> None:
    for name in ("builder", "factory", "managed"):
        answer = ok(chat(*spec(name), "hi"))
        assert answer.stdout == "You asked: hi.\n"
    assert answer.stderr == "opened\n"


def test_a_file_is_imported_from_its_folder_although_an_installed_package_has_its_name(chat: Chat) -> None:
    package = chat.home.work / "pexpect"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "mine.py").write_text(
        "from langgraph.graph import START, MessagesState, StateGraph\n"
        "graph = StateGraph(MessagesState)\n"
        "graph.add_node('say', lambda state: {'messages': [('assistant', 'mine')]})\n"
        "graph.add_edge(START, 'say')\n"
    )
    # Where the folder is on the path already, it comes behind what is installed.
    env = {"PYTHONPATH": f"{sysconfig.get_path('purelib')}{os.pathsep}{chat.home.work}"}
    assert ok(chat("--graph", "pexpect/mine.py:graph", "hi", env=env)).stdout == "mine\n"


def test_a_module_and_a_project_name_graphs(chat: Chat) -> None:
    work = chat.home.work
    (work / "pack").mkdir()
    (work / "pack" / "__init__.py").touch()
    (work / "pack" / "words.py").write_text("import os\nANSWER = os.environ['ANSWER']\n")
    (work / "pack" / "mine.py").write_text(
        "from langgraph.graph import START, MessagesState, StateGraph\n"
        "from .words import ANSWER\n"
        "import extra\n"
        "graph = StateGraph(MessagesState)\n"
        "graph.add_node('say', lambda state: {'messages': [('assistant', ANSWER + extra.MARK)]})\n"
        "graph.add_edge(START, 'say')\n"
    )
    (work / "lib").mkdir()
    (work / "lib" / "extra.py").write_text("MARK = '!'\n")
    (work / ".env.agent").write_text("ANSWER=from the file\n")
    project = {
        "graphs": {"mine": "./pack/mine.py:graph", "js": "./a.ts:graph"},
        "env": ".env.agent",
        "dependencies": [".", "./lib", "no-such-package"],
        "http": {"app": "./app.py:app"},
    }
    (work / "langgraph.json").write_text(json.dumps(project))
    left_out = chat("--graph", "mine", "hi")
    assert left_out.returncode == 2
    assert "KeyError: 'ANSWER'" in left_out.stderr
    chat("trust", "--yes")
    answer = ok(chat("--graph", "mine", "hi"))
    assert answer.stdout == "from the file!\n"
    assert "no-such-package: not installed here" in answer.stderr
    assert "not used here: http" in answer.stderr
    env = {"ANSWER": "from the shell", "PYTHONPATH": str(work / "lib")}
    assert ok(chat("--graph", "pack.mine:graph", "hi", env=env)).stdout == "from the shell!\n"

    for wrong, message in (("js", "JavaScript"), ("yours", "It has: js, mine"), ("pack.none:g", "none")):
        refused = chat("--graph", wrong, "hi")
        assert refused.returncode == 2, refused
        assert message in refused.stderr


def test_a_graph_without_messages_is_refused_with_its_keys(chat: Chat) -> None:
    refused = chat(*spec("numbers"), "hi")
    assert refused.returncode == 2
    assert "holds no `messages`; it holds: count, total" in refused.stderr
    assert "not a graph" in chat(*spec("WEIGH"), "hi").stderr
    assert "Its graphs:" in chat(*spec("nothing"), "hi").stderr
    assert chat("--graph", "away.py:g", "hi").stderr.startswith("error: there is no file away.py\n")
    assert chat("--graph", "away.words:g", "hi").stderr.startswith("error: there is no module away.words\n")
    assert "--model has no effect" in chat(*spec("graph"), "-m", "local", "hi").stderr


def test_a_graph_gets_its_context(chat: Chat) -> None:
    assert ok(chat(*spec("with_settings"), "hi")).stdout == "by a default\n"
    assert ok(chat(*spec("with_settings"), "hi", env={"MODEL": "the environment"})).stdout == "by the environment\n"
    assert ok(chat(*spec("with_user"), "may")).stdout == "for None\n"
    refused = chat(*spec("with_user"), "--json", "must")
    assert refused.returncode == 2, refused
    assert refused.json()["error"]["message"] == "the graph's context needs the field user"


def test_a_subgraph_may_have_no_checkpointer(chat: Chat) -> None:
    assert ok(chat(*spec("delegating"), "hi")).stdout == "You asked: hi.\n"


def test_a_graph_that_gives_no_answer_is_reported(chat: Chat) -> None:
    answer = ok(chat(*spec("silent"), "--json", "hi"))
    assert (answer.json()["content"], answer.json()["finish_reason"]) == ("", "no_answer")
    assert answer.stderr == "warning: the graph ended without an answer\n"


def test_failures_name_the_line_of_the_users_code(chat: Chat) -> None:
    failed = chat(*spec("failing"), "-t", "t", "hi")
    assert failed.returncode == 1
    line = next(number for number, text in enumerate(SMALL.read_text().splitlines(), 1) if 'words["missing"]' in text)
    assert f"KeyError: 'missing' ({SMALL}, line {line})" in failed.stderr
    assert "Traceback" not in failed.stderr
    assert "Traceback" in chat(*spec("failing"), "--debug", "hi").stderr
    assert ok(chat("-t", "t", "work")).stdout == "fine\n"

    (chat.home.work / "broken.py").write_text("import os\n\nraise ValueError(os.environ['MY_API_KEY'])\n")
    refused = chat("--graph", "broken.py:graph", "--json", "hi", env={"MY_API_KEY": "hidden-3a91"})
    assert refused.returncode == 2
    assert refused.json()["error"]["message"] == (
        "the graph 'graph' can't be loaded: ValueError: *** (broken.py, line 3)"
    )
    (chat.home.work / "broken.py").write_text("graph = (\n")
    assert "SyntaxError: '(' was never closed (broken.py, line 1)" in chat("--graph", "broken.py:graph", "hi").stderr


def test_a_providers_failures_keep_their_exit_codes(chat: Chat) -> None:
    (chat.home.work / "asks.py").write_text(
        "from langchain_openai import ChatOpenAI\n"
        "from langgraph.graph import START, MessagesState, StateGraph\n"
        "def ask(state):\n"
        "    model = ChatOpenAI(model='m', base_url='http://127.0.0.1:9/v1', api_key='k', max_retries=0)\n"
        "    return {'messages': [model.invoke(state['messages'])]}\n"
        "graph = StateGraph(MessagesState).add_node('ask', ask).add_edge(START, 'ask')\n"
    )
    failed = chat("--graph", "asks.py:graph", "hi")
    assert failed.returncode == 75, failed
    assert "can't be reached" in failed.stderr


def test_only_the_answer_is_on_stdout(chat: Chat) -> None:
    assert ok(chat(*spec("whole_graph"), "hi")).stdout == "all at once\n"
    answer = ok(chat(*spec("hidden_graph"), "hi"))
    assert answer.stdout == "the answer\n"
    assert sorted(answer.stderr.splitlines()) == ["printed by a node", "progress: thinking"]


@pytest.mark.parametrize("name", ["tools", "raw_tools"])
def test_tool_calls_and_nodes_are_told_apart(chat: Chat, name: str) -> None:
    events = ok(chat(*spec(name), "-t", "t", "--format", "jsonl", "hi")).events()
    valid_events(events)
    assert [(event["type"], event.get("node") or event.get("name")) for event in events] == [
        ("turn_started", None),
        ("text_delta", "plan"),
        ("tool_call_started", "plan"),
        ("tool_call_finished", "plan"),
        ("text_delta", "team/conclude"),
        ("turn_finished", None),
    ]
    assert events[2]["arguments"] == {"what": "a cat"}
    assert events[-1]["content"] == "Let me see.\n\nIt weighs 4 kg."

    answer = ok(chat(*spec(name), "hi"))
    assert answer.stdout == "Let me see.\n\nIt weighs 4 kg.\n"
    assert 'weigh(what="a cat") → a cat: 4 kg' in answer.stderr
    assert 'Tool: weigh(what="a cat") → a cat: 4 kg' in ok(chat("threads", "show", "t")).stdout
    assert "a cat: 4 kg" in ok(chat("threads", "export", "t")).stdout


def test_an_interrupt_is_an_outcome_that_another_process_answers(chat: Chat) -> None:
    asked = ok(chat(*spec("asking"), "-t", "t", "--json", "go"))
    assert asked.json()["finish_reason"] == "interrupt"
    [approval] = asked.json()["approvals"]
    assert approval["payload"] == {"question": "Shall I?", "amounts": [1, 2]}
    assert "chat --thread t --resume-with JSON" in asked.stderr

    refused = chat("-t", "t", "something else")
    assert refused.returncode == 2
    assert "waits for an answer" in refused.stderr

    answered = ok(chat("-t", "t", "--resume-with", '{"yes": 1}', "--format", "jsonl")).events()
    valid_events(answered)
    assert answered[-1]["content"] == "You said {'yes': 1}."
    assert chat("-t", "t", "--resume-with", "yes").returncode == 2
    assert chat("--resume-with", "yes").returncode == 2


def test_several_interrupts_are_answered_by_their_ids(chat: Chat) -> None:
    events = ok(chat(*spec("two_questions"), "-t", "t", "--format", "jsonl", "go")).events()
    valid_events(events)
    ids = {event["payload"]: event["interrupt_id"] for event in events if event["type"] == "approval_requested"}
    assert chat("-t", "t", "--resume-with", "yes").returncode == 2
    answers = json.dumps({ids["first"]: "a", ids["second"]: "b"})
    done = ok(chat("-t", "t", "--resume-with", answers, "--json")).json()
    assert sorted(done["content"].split("\n\n")) == ["first: a", "second: b"]


def test_of_several_interrupts_each_is_shown_with_its_id(chat: Chat, terminal: OpenTerminal) -> None:
    asked = ok(chat(*spec("two_questions"), "-t", "t", "go"))
    approvals = ok(chat(*spec("two_questions"), "--json", "go")).json()["approvals"]
    assert [line for line in asked.stderr.splitlines() if line.startswith("Interrupt ")] != []
    tty = terminal("-t", "t")
    tty.wait_for(lambda text: text.count("Interrupt ") == 2 and "first" in text and "second" in text)
    assert len(approvals) == 2
    assert all(set(approval) == {"interrupt_id", "payload"} for approval in approvals)
    assert "Interrupt " not in ok(chat(*spec("asking"), "go")).stderr


def test_a_script_stops_where_the_graph_asks(chat: Chat) -> None:
    (chat.home.work / "script.txt").write_text("one\ntwo\n")
    stopped = chat(*spec("asking"), "-t", "t", "--script", "script.txt")
    assert "stopped at line 1" in stopped.stderr
    assert [message["content"] for message in chat.messages("t")] == ["one"]


def test_the_dialogue_of_an_approval(chat: Chat, terminal: OpenTerminal) -> None:
    tty = terminal(*spec("reviewing"), "-t", "t")
    tty.wait_for_prompt()
    tty.send_line("go")
    tty.wait_for('weigh(what="a cat")\n  Weighing is costly.\nCall the tool? y once, e edit, n no')
    tty.send_line("perhaps")
    tty.wait_for("Answer: approve, edit {new arguments as JSON}, reject [reason].")
    tty.wait_for("'perhaps' is no decision here")
    tty.wait_for_prompt()
    tty.send_key("ctrl-d")
    assert tty.exit_code() == 0

    again = terminal("-t", "t")
    again.wait_for("y once")
    again.send_key("ctrl-c")
    again.wait_for_prompt()
    again.send_line('edit {"what": "a dog"}')
    again.wait_for("'edited_action': {'name': 'weigh', 'args'")
    again.wait_for_prompt()
    again.send_line("more")
    again.wait_for(lambda text: text.count("y once") == 2)
    again.send_key("escape")
    again.wait_for_prompt()
    again.send_line("/approve")
    again.wait_for("Decided: {'decisions': [{'type': 'approve'}]}")
    again.wait_for_prompt()
    again.send_line("/model local")
    again.wait_for(lambda text: "has a model, a system prompt and a context of its own" in " ".join(text.split()))


def test_the_help_lists_what_works_with_a_graph(terminal: OpenTerminal) -> None:
    tty = terminal(*spec("graph"))
    tty.wait_for_prompt()
    tty.send_line("/help all")
    tty.wait_for("/retry")
    tty.wait_for_prompt()
    listed = {line.split()[0] for line in tty.text().splitlines() if line.strip()}
    assert {"/continue", "/state", "/set", "/retry"} <= listed
    assert not {"/model", "/role", "/system", "/context", "/compact", "/tools"} & listed


def test_time_travel_keeps_the_whole_state(chat: Chat, terminal: OpenTerminal) -> None:
    tty = terminal(*spec("counting"), "-t", "t")
    tty.wait_for_prompt()
    for number in (1, 2):
        tty.send_line(f"q{number}")
        tty.wait_for(f"turn {number}")
        tty.wait_for_prompt()
    tty.send_line("/undo")
    tty.wait_for(lambda text: text.count("turn 1") == 2)
    tty.clear_prompt("q2")
    tty.send_line("q3")
    tty.wait_for(lambda text: text.count("turn 2") == 2)
    tty.wait_for_prompt()
    tty.send_line("/fork copy")
    tty.wait_for("forked from t")
    tty.wait_for_prompt()
    tty.send_line("q4")
    tty.wait_for("turn 3")
    tty.wait_for_prompt()
    tty.send_line("/rewind 1")
    tty.wait_for_prompt()
    tty.send_line("/history")
    tty.wait_for("you are here")
    assert [message["content"] for message in chat.messages("t")] == ["q1", "turn 1", "q3", "turn 2"]
    assert [message["content"] for message in chat.messages("copy")] == ["q1", "turn 1"]


@pytest.mark.executable
def test_a_node_that_is_stopped_leaves_the_text_that_had_arrived(chat: Chat) -> None:
    running = chat.start(*spec("slow"), "--node", "speak", "-t", "t", "slow")
    running.wait_for_output("It begins")
    running.signal(signal.SIGINT)
    assert running.finish().returncode == 130
    messages = chat.messages("t")
    assert [(message["content"], message["interrupted"]) for message in messages] == [
        ("slow", False),
        ("It begins", True),
    ]
    assert ok(chat.forked("-t", "t", "quick")).stdout == "and ends.\n"


def test_neither_a_folder_nor_an_imported_file_names_the_code_to_run(chat: Chat) -> None:
    ok(chat(*spec("graph"), "-t", "t", "hi"))
    ok(chat("threads", "export", "t", "-o", "t.json"))
    ok(chat("threads", "delete", "t", "--yes"))
    ok(chat("threads", "import", "t.json"))
    assert json.loads(ok(chat("threads", "list", "--json")).stdout)[0]["model"] == ""
    (chat.home.work / ".env").write_text(f"CHATCLI_GRAPH={SMALL}:graph\n")
    left_out = chat("-m", "openai:x", "hi")
    assert left_out.returncode == 3
    assert "CHATCLI_GRAPH" in left_out.stderr
    assert ok(chat(*spec("graph"), "hi")).stdout == "You asked: hi.\n"
    ok(chat("trust", "--yes"))
    assert ok(chat("hi")).stdout == "You asked: hi.\n"
