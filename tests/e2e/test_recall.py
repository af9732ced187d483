"""/recall at the prompt: shown, sent once, not found again."""

from tests.e2e.conftest import OpenTerminal
from tests.e2e.program import Chat
from tests.fakes.openai_server import FakeOpenAI
from tests.fakes.steps import Answer


def test_what_past_threads_say_goes_along_with_the_next_question(
    terminal: OpenTerminal, chat: Chat, fake: FakeOpenAI
) -> None:
    fake.script(Answer("We chose the flux pump."))
    assert chat("-t", "old", "which pump do we take?").returncode == 0
    fake.default = Answer("Fine.")
    tty = terminal("-t", "new", size=(120, 60), env={"LANGFLOW_URL": "http://127.0.0.1:9"})
    tty.wait_for_prompt()
    for count, line in enumerate(("/recall flux", "/recall off", "hello", "/recall pump", "what did we choose?"), 1):
        tty.send_line(line)
        shown = {1: "/recall off drops that", 2: "what was recalled is not sent", 4: "about"}.get(count)
        if shown:
            tty.wait_for(shown)
        else:
            fake.wait_for_requests(2 if count == 3 else 3)
        tty.wait_for_prompt()
    tty.wait_for("sent with what past threads say about pump: about")
    assert fake.requests[1].last == "hello"
    question, _, block = fake.requests[2].last.partition("\n\n")
    assert question == "what did we choose?"
    assert "User: which pump do we take?\nAI: We chose the flux pump." in block
    # It goes to no other program's server, also where the user chooses one meanwhile.
    for line, shown in (("/recall pump", "/recall off"), ("/model langflow:flow", "model langflow:flow"), ("hi", "hi")):
        tty.send_line(line)
        tty.wait_for(shown)
        tty.wait_for_prompt()
    tty.wait_for(lambda text: text.count("what was recalled is not sent") == 2)
    tty.send_line("/exit")
    # The question is stored with it, and titles and searches know the question alone.
    assert chat.messages("new")[2]["content"] == fake.requests[2].last
    assert {match["thread_id"] for match in chat("threads", "search", "flux", "--json").json()} == {"old"}
    assert {match["thread_id"] for match in chat("threads", "search", "choose", "--json").json()} == {"new"}
