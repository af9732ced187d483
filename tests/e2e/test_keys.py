"""Keys: kept where it is said, asked for once, shown nowhere."""

import json
import stat
import sys
from pathlib import Path

import pytest

from chatcli.config.installation import install_command
from tests.conftest import KEY
from tests.e2e.checks import assert_reported
from tests.e2e.conftest import OpenTerminal
from tests.e2e.program import Chat, Home
from tests.fakes.openai_server import FakeOpenAI
from tests.fakes.steps import unauthorized

NO_KEYRING, REAL_KEYRING = "keyring.backends.fail.Keyring", "keyrings.alt.file.PlaintextKeyring"
"""None, and one without a desktop's service; what that writes is its own affair."""


@pytest.fixture(autouse=True)
def _no_keyring(home: Home) -> None:
    home.use_keyring(NO_KEYRING)


def forget_environment(home: Home) -> None:
    del home.env["OPENAI_API_KEY"]


def test_without_a_keyring_a_key_is_kept_in_a_private_file_and_used(chat: Chat, fake: FakeOpenAI, home: Home) -> None:
    forget_environment(home)
    kept = chat("keys", "set", "openai", input=f"{KEY}\n")
    assert kept.returncode == 0, kept
    assert "not encrypted" in kept.stderr
    assert KEY not in kept.stdout + kept.stderr
    (file,) = [path for path in home.files() if path.name == "keys.json"]
    assert file.stat().st_mode & 0o777 == 0o600

    assert chat("hello").returncode == 0
    assert fake.requests[-1].key == KEY
    assert chat("keys", "list", "--json").json()[0]["provider"] == "openai"
    assert chat("keys", "delete", "openai").returncode == 0
    assert json.loads(file.read_text()) == {}
    assert_reported(chat("keys", "delete", "openai"), 2)
    assert_reported(chat("keys", "set", "nobody", input="x"), 2)
    assert_reported(chat("keys", "set", "openai", input="\n"), 2)
    assert_reported(chat("keys", "set", "openai", input="sk-…\n"), 2)


def test_a_keyring_keeps_the_key_and_no_file_of_ours_does(chat: Chat, fake: FakeOpenAI, home: Home) -> None:
    forget_environment(home)
    kept = chat("keys", "set", "openai", input=f"{KEY}\n", env={"PYTHON_KEYRING_BACKEND": REAL_KEYRING})
    assert kept.returncode == 0, kept
    assert "the system keyring" in kept.stderr
    (file,) = [path for path in home.files() if path.name == "keys.json"]
    assert json.loads(file.read_text()) == {"openai": None}
    home.use_keyring(REAL_KEYRING)
    assert chat("hello").returncode == 0
    assert fake.requests[-1].key == KEY
    assert chat("keys", "list", "--json").json() == [{"provider": "openai", "place": "the system keyring"}]
    # The keyring is gone: what was kept there is not taken for missing.
    home.use_keyring(NO_KEYRING)
    assert_reported(chat("hello"), 3)
    home.use_keyring(REAL_KEYRING)
    assert chat("keys", "delete", "openai").returncode == 0
    assert json.loads(file.read_text()) == {}


@pytest.mark.parametrize(
    ("backend", "reason"),
    [
        ({}, "there is none"),  # but for keyrings.alt's, which is a plain file
        ({"PYTHON_KEYRING_BACKEND": "nowhere.Keyring"}, "No module named 'nowhere'"),
        ({"PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Nothing"}, "Nothing"),
    ],
)
def test_what_is_no_system_keyring_is_not_called_one(
    chat: Chat, home: Home, backend: dict[str, str], reason: str
) -> None:
    Path(home.env["XDG_CONFIG_HOME"], "python_keyring", "keyringrc.cfg").unlink()
    kept = chat("keys", "set", "openai", input=f"{KEY}\n", env=backend)
    assert kept.returncode == 0, kept
    assert "not encrypted" in kept.stderr
    assert reason in kept.stderr
    assert [path.name for path in home.files() if KEY.encode() in path.read_bytes()] == ["keys.json"]


@pytest.mark.executable
def test_without_the_extra_keyring_a_key_is_kept_in_the_file_and_used(chat: Chat, fake: FakeOpenAI, home: Home) -> None:
    forget_environment(home)
    hidden = home.root / "hidden"
    hidden.mkdir()
    (hidden / "sitecustomize.py").write_text("import sys\nsys.modules['keyring'] = None\n")
    env = {"PYTHONPATH": str(hidden)}
    kept = chat("keys", "set", "openai", input=f"{KEY}\n", env=env)
    assert (kept.returncode, "it needs the extra keyring (" in kept.stderr) == (0, True), kept
    assert chat("hello", env=env).returncode == 0
    assert fake.requests[-1].key == KEY


def import_thread(chat: Chat, thread_id: str, model: str) -> None:
    """Store a thread that remembers `model`, and no server: one that is begun here remembers its own."""
    messages = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "Hello!"}]
    thread = {"format": "chatcli-thread", "version": 1, "thread_id": thread_id, "messages": messages}
    thread |= {"model": model, "remembered_model": model}
    assert chat("threads", "import", "-", input=json.dumps(thread)).returncode == 0


@pytest.mark.parametrize("line", ["/thread deep", "/role hasty"])
def test_a_key_is_asked_for_when_a_thread_or_a_role_names_the_model(
    terminal: OpenTerminal, chat: Chat, fake: FakeOpenAI, home: Home, line: str
) -> None:
    roles = Path(home.env["XDG_CONFIG_HOME"], "chatcli", "roles")
    roles.mkdir(parents=True)
    (roles / "hasty.toml").write_text('system = "Be quick."\nmodel = "deepseek:fake"\n')
    import_thread(chat, "deep", "deepseek:fake")
    # Nobody can be asked: the thread itself says what is missing.
    missing = chat("-t", "deep", "hello")
    assert_reported(missing, 3)
    assert "DEEPSEEK_API_KEY" in missing.stderr
    tty = terminal()
    tty.wait_for_prompt()
    tty.send_line(line)
    tty.wait_for("Key for DeepSeek:")
    tty.send_line(KEY)
    tty.wait_for("Keep the key")
    tty.send_line("n")
    tty.wait_for_prompt()
    assert KEY not in tty.text()
    assert "deepseek" not in chat("keys", "list").stdout


def test_a_role_that_was_picked_is_used_once_its_model_has_a_key(
    terminal: OpenTerminal, fake: FakeOpenAI, home: Home
) -> None:
    roles = Path(home.env["XDG_CONFIG_HOME"], "chatcli", "roles")
    roles.mkdir(parents=True)
    (roles / "hasty.toml").write_text('system = "Be quick."\nmodel = "deepseek:fake"\n')
    tty = terminal()
    tty.wait_for_prompt()
    tty.send_line("/role")
    tty.wait_for("which role?")
    tty.send("hasty")
    tty.wait_for(lambda _: "none" not in tty.screen())
    tty.send_key("enter")
    tty.wait_for("Key for DeepSeek:")
    tty.send_line(KEY)
    tty.wait_for("Keep the key")
    tty.send_line("n")
    tty.wait_for(lambda text: "role hasty" in text.rpartition("Keep the key")[2])
    tty.wait_for_prompt()
    assert "which role?" not in tty.text().rpartition("Keep the key")[2]


def test_a_key_is_shown_nowhere(chat: Chat, fake: FakeOpenAI, home: Home) -> None:
    forget_environment(home)
    assert chat("keys", "set", "openai", input=f"{KEY}\n").returncode == 0
    fake.default = unauthorized(KEY)
    refused = chat("--debug", "-t", "a", "hello")
    assert refused.returncode == 3, refused
    shown = [refused.stdout, refused.stderr, chat("keys").stdout, chat("--format", "json", "hello").stdout]
    assert not any(KEY in text for text in shown)
    others = [path for path in home.files() if path.name != "keys.json"]
    assert not [path for path in others if KEY.encode() in path.read_bytes()]


def test_a_missing_key_is_asked_for_without_echo_and_kept_if_wanted(
    terminal: OpenTerminal, chat: Chat, home: Home
) -> None:
    tty = terminal("-m", "openai:gpt-fake", env={"OPENAI_API_KEY": ""})
    tty.wait_for("Key for OpenAI:")
    tty.send_line(KEY)
    tty.wait_for("Keep the key")
    tty.send_line("y")
    tty.wait_for_prompt()
    assert KEY not in tty.text()
    assert "openai" in chat("keys", "list").stdout


def test_a_key_is_also_asked_for_when_a_command_names_the_model(terminal: OpenTerminal, chat: Chat, home: Home) -> None:
    tty = terminal("-m", "local")
    tty.wait_for_prompt()
    tty.send_line("/model groq:llama-fake")
    tty.wait_for("Key for Groq:")
    tty.send_line(KEY)
    tty.wait_for("Keep the key")
    tty.send_line("y")
    tty.wait_for("the key of Groq is kept")
    tty.send_line("/exit")
    assert tty.exit_code() == 0
    assert KEY not in tty.text()
    # Not in the history of what was typed either.
    assert [file.name for file in home.files() if KEY.encode() in file.read_bytes()] == ["keys.json"]
    assert "groq" in chat("keys", "list").stdout


def test_a_key_is_also_asked_for_when_a_resumed_thread_names_the_model(
    terminal: OpenTerminal, chat: Chat, fake: FakeOpenAI, home: Home
) -> None:
    import_thread(chat, "abc", "openai:gpt-fake")
    tty = terminal("-t", "abc", "again", env={"OPENAI_API_KEY": "", "OPENAI_BASE_URL": ""})
    tty.wait_for("Key for OpenAI:")
    assert not fake.requests


def test_an_untrusted_dotenv_does_not_send_a_kept_key_to_its_own_server(
    chat: Chat, fake: FakeOpenAI, home: Home
) -> None:
    forget_environment(home)
    assert chat("keys", "set", "openai", input=f"{KEY}\n").returncode == 0
    Path(home.work, ".env").write_text(f"CHATCLI_BASE_URL={home.env.pop('OPENAI_BASE_URL')}\n")
    assert json.loads(chat("config", "--json").stdout)["base_url"]["value"] is None
    assert not fake.requests
    assert chat("trust", "--yes").returncode == 0
    assert chat("hello").returncode == 0


WITHOUT_PACKAGE = """
import sys
sys.modules["langchain_cohere"] = None  # to Python, it is not installed
sys.argv[1:] = ["-m", "cohere:fake", "hello"]
from chatcli.cli.process import run_here
run_here()
"""


def test_a_missing_package_is_one_line_with_its_command(chat: Chat) -> None:
    key = "COHERE_API_KEY=none"  # a missing key is reported first
    result = chat.shell(f"{key} {sys.executable} -c '{WITHOUT_PACKAGE}'")
    assert_reported(result, 2)
    assert install_command("cohere").removeprefix(f"{sys.executable} -m ") in result.stderr


def test_the_default_and_aliases_are_written_to_the_config_file(chat: Chat, fake: FakeOpenAI) -> None:
    assert chat("models", "alias", "fast", "openai:gpt-fast").returncode == 0
    assert chat("-m", "fast", "hello").returncode == 0
    assert fake.requests[-1].body["model"] == "gpt-fast"
    listed = chat("models", "list", "--json").json()
    assert [model["model"] for model in listed if model["default"]] == ["openai:gpt-fake"]  # what the server has
    assert chat("models", "default", "openai:gpt-default").returncode == 0
    assert chat("hello").returncode == 0
    assert fake.requests[-1].body["model"] == "gpt-default"
    models = chat("models", "list", "--json").json()
    assert [model["model"] for model in models if model["default"]] == ["openai:gpt-default"]
    assert ("fast", "openai:gpt-fast") in [(model["alias"], model["model"]) for model in models]


def test_a_changed_config_file_keeps_its_mode_and_its_link(chat: Chat) -> None:
    config = chat.home.root / ".config" / "chatcli" / "config.toml"
    assert chat("models", "default", "local").returncode == 0
    assert (stat.S_IMODE(config.stat().st_mode), stat.S_IMODE(config.parent.stat().st_mode)) == (0o600, 0o700)
    dotfiles = chat.home.root / "dotfiles.toml"
    config.rename(dotfiles)
    config.symlink_to(dotfiles)
    for mode in (0o600, 0o644):
        dotfiles.chmod(mode)
        assert chat("models", "alias", f"a{mode}", "local").returncode == 0
        assert config.is_symlink()
        assert stat.S_IMODE(dotfiles.stat().st_mode) == mode
        assert f"a{mode}" in dotfiles.read_text()


@pytest.mark.parametrize("command", ["chat models default local", "echo sk-another-key | chat keys set anthropic"])
def test_what_cannot_be_written_leaves_the_old_file(chat: Chat, command: str) -> None:
    folder = chat.home.root / ".config" / "chatcli"
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text('model = "openai:old"\n')
    (folder / "keys.json").write_text('{"openai": "sk-old-key"}')
    before = {path: path.read_bytes() for path in folder.iterdir()}
    result = chat.shell(f"ulimit -f 0; {command}")  # as a disk that is full, for this process alone
    assert (result.returncode, len(result.stderr.splitlines())) == (2, 2), result
    assert "File too large" in result.stderr
    assert {path: path.read_bytes() for path in folder.iterdir()} == before
