"""A key is nowhere but in the request: not in what is printed, not in a file, not in a process's arguments."""

from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from chatcli.config.providers import PROVIDERS
from tests.e2e.checks import assert_reported
from tests.e2e.program import Chat, Home, Result
from tests.fakes.openai_server import FakeOpenAI
from tests.fakes.provider_server import FakeProvider
from tests.fakes.steps import Stall
from tests.models.local.processes import command_lines

KEY = "key-7d1f0a5e+3c9b/4286=="
OTHER = "of-a-server-of-tools-77"
FORMS = (KEY, quote(KEY), quote(KEY, safe=""), b64encode(KEY.encode()).decode().rstrip("="))
MODELS = {
    "openai": ("openai:gpt-fake", "OPENAI_API_KEY", "/v1"),
    "anthropic": ("anthropic:claude-fake", "ANTHROPIC_API_KEY", ""),
    "google_genai": ("google_genai:gemini-fake", "GOOGLE_API_KEY", ""),
    "cohere": ("cohere:command-fake", "COHERE_API_KEY", ""),
    "mistralai": ("mistralai:mistral-fake", "MISTRAL_API_KEY", "/v1"),
    "ollama": ("ollama:fake", "OLLAMA_API_KEY", ""),
    "openrouter": ("openrouter:some/fake", "OPENROUTER_API_KEY", "/v1"),
}
"""A model of each family, its key's variable, and the path of its base URL."""
SAID = " ".join(["You sent", *FORMS, "x" * 150, *FORMS])
"""What a careless server says: the key in several forms, and once more where a message is cut."""
STEPS = {
    "a refused key": (401, 3),
    "a bad request": (400, 4),
    "a failing server": (500, 75),
    "a broken stream": (0, 75),
}
"""The status of each failure, and its exit code."""


@pytest.fixture
def provider() -> Iterator[FakeProvider]:
    with FakeProvider() as server:
        yield server


def fail(family: str, failure: str, chat: Chat, provider: FakeProvider, *output: str) -> Result:
    """Ask, with all that is known of the failure shown."""
    model, variable, path = MODELS[family]
    status, code = STEPS[failure]
    provider.cut = status == 0
    if status:
        provider.retry_after = "3600"  # nothing is tried again
        provider.failure = status, {"error": {"message": SAID, "code": status}, "message": SAID}
    options = ("-m", model, "--base-url", f"{provider.url}{path}", "--debug")
    result = chat(*options, *output, "hello", env={variable: KEY})
    assert result.returncode == code, result
    assert "Traceback" in result.stderr
    assert any(KEY in value for value in provider.requests[-1].headers.values()), provider.requests
    return result


def assert_hidden(home: Home, *results: Result) -> None:
    """No form of the key was printed, or stands in a file; nor does the greater part of it."""
    texts = {str(number): result.stdout + result.stderr for number, result in enumerate(results)}
    texts |= {str(file): file.read_bytes().decode(errors="replace") for file in home.files()}
    assert [(place, form) for place, text in texts.items() for form in FORMS if form[:-4] in text] == []


@pytest.mark.parametrize("failure", STEPS)
@pytest.mark.parametrize("family", MODELS)
def test_no_failure_of_a_provider_shows_its_key(
    family: str, failure: str, chat: Chat, home: Home, provider: FakeProvider
) -> None:
    assert_hidden(home, fail(family, failure, chat, provider))


@pytest.mark.parametrize("failure", STEPS)
@pytest.mark.parametrize("output", [("--json",), ("--format", "jsonl")], ids=["json", "jsonl"])
def test_no_object_of_a_failure_shows_the_key(
    failure: str, output: tuple[str, ...], chat: Chat, home: Home, provider: FakeProvider
) -> None:
    assert_hidden(home, fail("openai", failure, chat, provider, *output))


def test_no_sub_command_shows_a_key(chat: Chat, home: Home) -> None:
    home.env.update({variable: KEY for row in PROVIDERS.values() for variable in row.key_variables})
    home.env["LANGGRAPH_API_KEY"] = home.env["AWS_SECRET_ACCESS_KEY"] = KEY
    home.env["OPENAI_BASE_URL"] = home.env["LANGFLOW_URL"] = f"http://me:{OTHER}@127.0.0.1:9"
    config = Path(home.env["XDG_CONFIG_HOME"], "chatcli")
    config.mkdir(parents=True)
    here = f'command = "true"\nenv = {{ TOKEN = "{OTHER}" }}\n'
    away = f'url = "http://127.0.0.1:9/"\nheaders = {{ Authorization = "Bearer {OTHER}" }}\n'
    (config / "config.toml").write_text(f"[mcp.one]\n{here}[mcp.two]\n{away}")
    commands = (("config",), ("config", "show", "--json"), ("keys",), ("keys", "list", "--json"), ("models", "list"))
    results = [chat(*command) for command in (*commands, ("doctor", "--json"), ("threads",))]
    (config / "config.toml").unlink()
    assert [result.returncode for result in results[:5]] == [0] * 5, results
    assert_hidden(home, *results)
    assert OTHER not in str(results)


def test_a_key_that_is_given_as_an_argument_is_not_repeated(chat: Chat, home: Home) -> None:
    result = chat("keys", "set", "openai", KEY)
    assert_reported(result, 2)
    assert_hidden(home, result)


def test_a_key_is_sent_without_its_line_break_and_one_that_cannot_be_sent_is_reported(
    chat: Chat, fake: FakeOpenAI, home: Home
) -> None:
    key = home.env["OPENAI_API_KEY"]
    assert chat("hello", env={"OPENAI_API_KEY": f" {key}\n"}).returncode == 0
    assert fake.requests[-1].key == key
    for wrong in ("sk-…", "sk-one\nsk-two"):
        assert_reported(chat("hello", env={"OPENAI_API_KEY": wrong}), 3)
    assert len(fake.requests) == 1


def test_no_process_has_a_key_among_its_arguments(chat: Chat, fake: FakeOpenAI, home: Home) -> None:
    fake.key = None
    fake.script(Stall("Half of"))
    running = chat.start("hello", env={"OPENAI_API_KEY": KEY})
    running.wait_for_output("Half of")
    assert not [one for one in command_lines().values() for form in FORMS if form in one]
