"""Files that go along with a question: `-f`, and `@path` in the REPL."""

import base64
import re
from collections.abc import Callable

import pytest

from tests.attachments.samples import noise, pdf, picture
from tests.e2e.checks import assert_reported, unfenced
from tests.e2e.conftest import OpenTerminal
from tests.e2e.program import Chat
from tests.fakes.openai_server import FakeOpenAI

IMAGE_MODEL = ("-m", "openai:gpt-4o")


def test_a_file_follows_the_question_in_a_block_with_its_name(chat: Chat, fake: FakeOpenAI) -> None:
    (chat.home.work / "notes.txt").write_text("first\nsecond\n")
    (chat.home.work / 'od"d.md').write_text("# no newline at its end")
    result = chat("-f", "notes.txt", "sum it up", "--file", 'od"d.md', input="piped\n")
    assert result.returncode == 0, result
    assert result.stderr == ('attached notes.txt: 13 B, about 3 tokens\nattached od"d.md: 23 B, about 5 tokens\n')
    assert unfenced(fake.requests[0].last) == (
        "sum it up\n\n<stdin>\npiped\n</stdin>"
        '\n\n<file name="notes.txt">\nfirst\nsecond\n</file>'
        "\n\n<file name='od\"d.md'>\n# no newline at its end\n</file>"
    )


def test_a_dash_is_standard_input(chat: Chat, fake: FakeOpenAI) -> None:
    assert chat("-f", "-", "what is this?", input="piped\n").returncode == 0
    assert unfenced(fake.requests[0].last) == "what is this?\n\n<stdin>\npiped\n</stdin>"


def test_a_file_of_another_encoding_is_read_and_the_guess_is_reported(chat: Chat, fake: FakeOpenAI) -> None:
    (chat.home.work / "old.txt").write_bytes("Le café est déjà fermé".encode("cp1252"))
    result = chat("-f", "old.txt", "translate")
    assert "Le café est déjà fermé" in fake.requests[0].last
    assert "cp1252" in result.stderr


def test_a_pipe_of_process_substitution_is_a_file(chat: Chat, fake: FakeOpenAI) -> None:
    result = chat.shell("chat -f <(echo substituted) 'what is it?'")
    assert result.returncode == 0, result
    assert "\nsubstituted\n</file>" in unfenced(fake.requests[0].last)


@pytest.mark.parametrize("name", ["missing.txt", ".", "~/missing", "missing/deep.txt"])
def test_a_missing_file_is_a_usage_error(chat: Chat, fake: FakeOpenAI, name: str) -> None:
    result = chat("-f", name, "what?", input="")
    assert_reported(result, 2)
    assert name in result.stderr
    assert fake.requests == []


def test_a_file_without_a_question_is_a_usage_error(chat: Chat, fake: FakeOpenAI) -> None:
    (chat.home.work / "notes.txt").write_text("text")
    assert_reported(chat("-f", "notes.txt"), 2)
    assert_reported(chat("-f", "-", input="piped"), 2)
    assert fake.requests == []


def test_a_file_that_is_no_text_is_refused(chat: Chat, fake: FakeOpenAI) -> None:
    (chat.home.work / "program").write_bytes(b"\x7fELF\x02\x01\x01" + bytes(range(256)) * 20)
    assert_reported(chat("-f", "program", "what?"), 4)
    assert fake.requests == []


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF"])
def test_an_image_is_sent_as_it_is(chat: Chat, fake: FakeOpenAI, kind: str) -> None:
    data = picture(kind)
    (chat.home.work / "picture").write_bytes(data)
    result = chat(*IMAGE_MODEL, "-t", "seen", "-f", "picture", "what is on it?")
    assert result.returncode == 0, result
    text, image = fake.requests[0].body["messages"][-1]["content"]
    media_type = f"image/{kind.lower()}"
    assert text == {"type": "text", "text": f'what is on it?\n\n<file name="picture" type="{media_type}"/>'}
    assert image["image_url"]["url"] == f"data:{media_type};base64,{base64.b64encode(data).decode()}"

    shown = chat.messages("seen")
    assert shown[0]["content"] == text["text"]
    assert chat("threads", "list", "--json").json()[0]["title"].startswith("what is on it?")
    assert chat(*IMAGE_MODEL, "-t", "seen", "and now?").returncode == 0
    assert chat("-m", "openai:gpt-3.5-turbo", "-t", "seen", "and now?").returncode == 0
    assert "image_url" not in str(fake.requests[-1].body)


def test_an_image_comes_through_a_pipe(chat: Chat, fake: FakeOpenAI) -> None:
    assert chat(*IMAGE_MODEL, "-f", "-", "what is on it?", input=picture()).returncode == 0
    assert "image_url" in str(fake.requests[0].body)


def test_an_image_beyond_a_providers_limit_is_reduced(chat: Chat, fake: FakeOpenAI) -> None:
    (chat.home.work / "large.png").write_bytes(noise(1400))
    assert chat(*IMAGE_MODEL, "-f", "large.png", "what is on it?").returncode == 0
    url = fake.requests[0].body["messages"][-1]["content"][1]["image_url"]["url"]
    assert url.startswith("data:image/jpeg;base64,")
    assert len(url) < 5_000_000


def test_a_question_that_is_asked_again_has_its_files(terminal: OpenTerminal, chat: Chat, fake: FakeOpenAI) -> None:
    (chat.home.work / "cat.png").write_bytes(picture())
    tty = terminal(*IMAGE_MODEL, "-f", "cat.png")
    tty.wait_for_prompt()
    tty.send_line("what is it?")
    fake.wait_for_requests(1)
    tty.wait_for_prompt()
    tty.send_line("/retry")
    fake.wait_for_requests(2)
    assert fake.requests[0].body["messages"] == fake.requests[1].body["messages"]
    assert "image_url" in str(fake.requests[1].body)


def test_a_model_without_eyes_is_not_sent_an_image(chat: Chat, fake: FakeOpenAI) -> None:
    (chat.home.work / "cat.png").write_bytes(picture())
    for model in ("openai:gpt-3.5-turbo", "local"):
        result = chat("-m", model, "-t", "blind", "-f", "cat.png", "what is on it?")
        assert_reported(result, 4)
        assert "openai:gpt-5-mini" in result.stderr
    assert fake.requests == []
    assert chat("-t", "blind", "hello").returncode == 0, "the refused question is not in the thread"
    assert fake.requests[0].messages == [("user", "hello")]


def test_a_broken_image_is_a_usage_error(chat: Chat, fake: FakeOpenAI) -> None:
    (chat.home.work / "cat.png").write_bytes(picture()[:20])
    assert_reported(chat(*IMAGE_MODEL, "-f", "cat.png", "what is on it?"), 2)


def test_a_pdf_is_sent_where_the_model_takes_it(chat: Chat, fake: FakeOpenAI) -> None:
    data = pdf("First page", "Second page")
    (chat.home.work / "paper.pdf").write_bytes(data)
    assert chat(*IMAGE_MODEL, "-t", "paper", "-f", "paper.pdf", "what does it say?").returncode == 0
    text, file = fake.requests[0].body["messages"][-1]["content"]
    assert text["text"].endswith('<file name="paper.pdf" type="application/pdf"/>')
    encoded = base64.b64encode(data).decode()
    assert file["file"] == {"filename": "paper.pdf", "file_data": f"data:application/pdf;base64,{encoded}"}
    assert chat(*IMAGE_MODEL, "-t", "paper", "--context-tokens", "4000", "go on").returncode == 0


def test_the_text_of_a_pdf_is_sent_where_the_model_takes_none(chat: Chat, fake: FakeOpenAI) -> None:
    (chat.home.work / "paper.pdf").write_bytes(pdf("First page", "Second page"))
    assert chat("-m", "openai:gpt-fake", "-f", "paper.pdf", "what does it say?").returncode == 0
    block = '<file name="paper.pdf">\nFirst page\n\nSecond page\n</file>'
    assert unfenced(fake.requests[0].last) == f"what does it say?\n\n{block}"


def _scan() -> bytes:
    return pdf("")


def _broken() -> bytes:
    return b"%PDF-1.4\nnothing more"


@pytest.mark.parametrize(("make", "code"), [(_scan, 4), (_broken, 2)], ids=["without text", "broken"])
def test_a_pdf_that_says_nothing_is_refused(chat: Chat, fake: FakeOpenAI, make: Callable[[], bytes], code: int) -> None:
    (chat.home.work / "paper.pdf").write_bytes(make())
    assert_reported(chat("-m", "openai:gpt-fake", "-f", "paper.pdf", "what does it say?"), code)
    assert fake.requests == []


def test_a_file_that_cannot_fit_is_refused_with_its_size(chat: Chat, fake: FakeOpenAI) -> None:
    (chat.home.work / "log.txt").write_text("a line of the log\n" * 20_000)
    result = chat("-t", "work", "--context-tokens", "2000", "-f", "log.txt", "what?")
    assert_reported(result, 4)
    assert "tokens" in result.stderr
    assert "2000" in result.stderr
    assert fake.requests == []
    assert chat("-t", "work", "--context-tokens", "2000", "hello").returncode == 0


def test_files_come_from_the_environment_too(chat: Chat, fake: FakeOpenAI) -> None:
    for name in ("one.txt", "two.txt"):
        (chat.home.work / name).write_text(f"I am {name}\n")
    chat("what?", env={"CHATCLI_FILE": "one.txt"})
    chat("what?", env={"CHATCLI_FILE": '["one.txt", "two.txt"]'})
    assert [request.last.count("<file ") for request in fake.requests] == [1, 2]


def test_a_path_after_an_at_sign_attaches_a_file_in_the_conversation(
    terminal: OpenTerminal, chat: Chat, fake: FakeOpenAI
) -> None:
    (chat.home.work / "notes.txt").write_text("the notes\n")
    (chat.home.work / "more notes.txt").write_text("more of them\n")
    tty = terminal("-f", "notes.txt")
    tty.wait_for_prompt()
    tty.send_line("what is it, @bob?")
    fake.wait_for_requests(1)
    tty.wait_for_prompt()
    tty.send_line('compare @notes.txt, and @"more notes.txt"')
    fake.wait_for_requests(2)
    assert unfenced(fake.requests[0].last) == 'what is it, @bob?\n\n<file name="notes.txt">\nthe notes\n</file>'
    assert unfenced(fake.requests[1].last) == (
        'compare @notes.txt, and @"more notes.txt"'
        '\n\n<file name="notes.txt">\nthe notes\n</file>'
        '\n\n<file name="more notes.txt">\nmore of them\n</file>'
    )


def test_the_file_command_attaches_to_the_next_question_alone(
    terminal: OpenTerminal, chat: Chat, fake: FakeOpenAI
) -> None:
    (chat.home.work / "notes.txt").write_text("the notes\n")
    tty = terminal()
    tty.wait_for_prompt()
    tty.send_line("/file missing.txt")
    tty.wait_for("missing.txt")
    tty.send_line("/file notes.txt")
    tty.wait_for("notes.txt is sent with the next question")
    tty.send_line("what is it?")
    fake.wait_for_requests(1)
    tty.wait_for_prompt()
    tty.send_line("and now?")
    fake.wait_for_requests(2)
    assert unfenced(fake.requests[0].last) == 'what is it?\n\n<file name="notes.txt">\nthe notes\n</file>'
    assert fake.requests[1].last == "and now?"


def test_an_attachment_is_confirmed_with_its_content(chat: Chat, fake: FakeOpenAI) -> None:
    (chat.home.work / "cat.png").write_bytes(picture())
    (chat.home.work / "paper.pdf").write_bytes(pdf("First page", "Second page"))
    (chat.home.work / "log.txt").write_text("a line of the log\n" * 1000)
    args = (*IMAGE_MODEL, "-f", "cat.png", "-f", "paper.pdf", "-f", "log.txt", "what?")
    told = chat("--json", *args)
    assert told.json()["finish_reason"] == "stop"
    image, paper, log = told.stderr.splitlines()
    assert re.fullmatch(r"attached cat\.png: \d+ B, \d+ x \d+ pixels", image)
    assert re.fullmatch(r"attached paper\.pdf: [\d.]+ k?B, 2 pages", paper)
    assert log == "attached log.txt: 18.0 kB, about 4,500 tokens"
    notices = [event["text"] for event in chat("--format", "jsonl", *args).events() if event["type"] == "notice"]
    assert notices == [image, paper, log]
    for form in ("text", "json"):
        assert chat("-q", "--format", form, *args).stderr == ""


def test_a_refused_file_is_not_confirmed(chat: Chat, fake: FakeOpenAI) -> None:
    (chat.home.work / "log.txt").write_text("a line of the log\n" * 20_000)
    assert_reported(chat("--context-tokens", "2000", "-f", "log.txt", "what?"), 4)


def test_a_path_after_an_at_sign_is_text_for_a_one_shot(chat: Chat, fake: FakeOpenAI) -> None:
    (chat.home.work / "notes.txt").write_text("the notes\n")
    for name in ("notes.txt", "missing.txt"):
        result = chat(f"what is in @{name}?")
        assert result.stderr == f"note: @{name} is sent as text; attach a file with -f\n"
        assert fake.requests[-1].last == f"what is in @{name}?"
    assert chat("-q", "what is in @missing.txt?").stderr == ""
    assert chat("hello @alice, me@example.com").stderr == ""


def test_a_missing_path_is_reported_in_the_conversation(terminal: OpenTerminal, fake: FakeOpenAI) -> None:
    tty = terminal()
    tty.wait_for_prompt()
    tty.send_line("what is in @missing.txt?")
    fake.wait_for_requests(1)
    tty.wait_for_prompt()
    assert "there is no file missing.txt: sent as text" in tty.text()
    assert fake.requests[0].last == "what is in @missing.txt?"
