"""What Tab completes in a shell, by the variables that its completion script sets."""

import dataclasses

import pytest
import typer
from typer.main import get_command

from chatcli.cli.app import app
from chatcli.config.settings import Settings
from chatcli.config.values import choices
from tests.e2e.program import Chat
from tests.fakes.openai_server import FakeOpenAI


def complete(chat: Chat, shell: str, *words: str) -> list[str]:
    """Give what is offered for the last of `words`."""
    env = {"_CHAT_COMPLETE": f"complete_{shell}"}
    line = ["chat", *words]
    if shell == "bash":
        env |= {"COMP_WORDS": "\n".join(line), "COMP_CWORD": str(len(line) - 1)}
    else:
        env |= {"_TYPER_COMPLETE_ARGS": " ".join(line), "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    result = chat(env=env)
    assert (result.returncode, result.stderr) == (0, ""), result
    return result.stdout.split("\n")[:-1] if result.stdout.strip() else []


def test_options_and_subcommands_are_completed(chat: Chat) -> None:
    assert {"--schema", "--script", "--file"} <= set(complete(chat, "bash", "--"))
    assert complete(chat, "bash", "thr") == ["threads"]
    assert "list" in complete(chat, "bash", "threads", "l")
    assert any(line.startswith("--schema\t") for line in complete(chat, "fish", "--"))
    assert '"--schema":"' in "\n".join(complete(chat, "zsh", "--"))


def test_topics_of_the_manual_are_completed(chat: Chat) -> None:
    assert complete(chat, "bash", "help", "t") == ["troubleshooting", "threads", "tools", "trust"]


def test_threads_are_completed_with_their_titles(chat: Chat, fake: FakeOpenAI) -> None:
    chat("-t", "sky", "why is the sky blue?")
    chat("-t", "sea", '\\"; touch pwned; " $(touch pwned) `touch pwned`')
    chat("-t", "with space", "hello")
    chat("-t", "$(touch pwned)", "hello")
    for words in (["-t", ""], ["threads", "show", ""]):
        assert complete(chat, "bash", *words) == ["sea", "sky"]
    assert complete(chat, "fish", "-t", "sk") == ["sky\twhy is the sky blue?"]
    offered = "\n".join(complete(chat, "zsh", "-t", "s"))
    assert '"sky":"why is the sky blue?"' in offered
    assert not set("$`\\;()") & set(offered.partition("((")[2].partition("))")[0])


def test_models_are_completed_also_where_bash_splits_their_names(chat: Chat) -> None:
    assert "local:smollm2-135m" in complete(chat, "bash", "-m", "")
    assert complete(chat, "bash", "-m", "local", ":", "smo") == ["smollm2-135m"]
    alias = chat.home.root / ".config" / "chatcli" / "config.toml"
    alias.parent.mkdir(parents=True)
    alias.write_text('[aliases]\nfast = "groq:x"\n"$(touch pwned)" = "groq:x"\n')
    offered = complete(chat, "bash", "models", "default", "")
    assert {"fast", "openai:gpt-5-mini", "local:smollm2-135m"} <= set(offered)
    assert "pwned" not in "".join(offered)
    assert complete(chat, "bash", "-m", "local", ":") == ["qwen2.5-coder-1.5b", "qwen2.5-coder-0.5b", "smollm2-135m"]
    assert complete(chat, "fish", "-m", "local:smo") == ["local:smollm2-135m"]


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["--theme", ""], ["auto", "dark", "light", "mono"]),
        (["--code-theme", "mon"], ["monokai"]),
        (["config", "set", "code_theme", "au"], ["auto", "autumn"]),
        (["--color", "a"], ["auto", "always"]),
        (["--format", ""], ["text", "markdown", "json", "jsonl"]),
        (["--editing-mode", ""], ["emacs", "vi"]),
        (["keys", "set", "o"], ["openai", "openrouter"]),
        (["keys", "delete", ""], ["groq"]),
        (["models", "pull", ""], ["local:qwen2.5-coder-1.5b", "local:qwen2.5-coder-0.5b", "local:smollm2-135m"]),
        (["models", "alias", "fast", "local:s"], ["local:smollm2-135m"]),
        (["config", "schema", "mo"], ["models"]),
        (["config", "set", "max"], ["max_tokens", "max_cost", "max_steps"]),
        (["config", "set", "aliases."], ["aliases.fast"]),
        (["config", "set", "theme", "d"], ["dark"]),
        (["config", "set", "tools", ""], ["true", "false"]),
        (["config", "set", "aliases.new", "local:s"], ["local:smollm2-135m"]),
        (["config", "set", "role", "pir"], ["pirate"]),
        (["config", "unset", ""], ["theme", "aliases", "aliases.fast"]),
        (["threads", "export", "--format", ""], ["md", "json", "html", "jsonl"]),
    ],
    ids=lambda words: " ".join(words),
)
def test_fixed_values_are_completed(chat: Chat, words: list[str], offered: list[str]) -> None:
    folder = chat.home.root / ".config" / "chatcli"
    folder.mkdir(parents=True)
    (folder / "keys.json").write_text('{"groq": "gsk-0123456789"}')
    (folder / "config.toml").write_text('theme = "dark"\n[aliases]\nfast = "local"\n"$(touch pwned)" = "local"\n')
    assert complete(chat, "fish", *words) == offered


def test_every_option_with_fixed_values_offers_them() -> None:
    command = get_command(app)
    options = {one.name: one for one in command.get_params(typer.Context(command))}
    for field in dataclasses.fields(Settings):
        name = "format_" if field.name == "format" else field.name
        if choices(field.type) and name in options:
            found = options[name].shell_complete(typer.Context(command), "")
            assert [item.value for item in found] == list(choices(field.type))


def test_roles_are_completed(chat: Chat) -> None:
    own = chat.home.root / ".config" / "chatcli" / "roles"
    own.mkdir(parents=True)
    (own / "Pilot.md").write_text("Fly.")
    (own / "$(touch pwned).md").write_text("Harm.")
    for words in (["--role", "p"], ["roles", "show", "p"], ["roles", "edit", "p"]):
        assert complete(chat, "bash", *words) == ["pilot", "pirate"]
    assert complete(chat, "fish", "roles", "delete", "") == ["pilot"]
    assert "pwned" not in "".join(complete(chat, "zsh", "--role", ""))


def test_files_are_completed_in_fish_and_left_to_the_other_shells(chat: Chat) -> None:
    (chat.home.work / "folder").mkdir()
    (chat.home.work / "folder" / "notes.txt").write_text("")
    assert complete(chat, "fish", "-f", "fo") == ["folder/"]
    assert complete(chat, "fish", "--schema", "folder/n") == ["folder/notes.txt"]
    assert complete(chat, "fish", "-f", "missing/") == []
    assert complete(chat, "bash", "-f", "fo") == []


def test_documents_of_the_index_are_completed(chat: Chat) -> None:
    for name in ("notes", "$(touch pwned)"):
        (chat.home.work / name).mkdir()
        (chat.home.work / name / "a.md").write_text("text")
        assert chat("docs", "index", name).returncode == 0
    assert complete(chat, "bash", "docs", "forget", "n") == ["notes"]
    assert complete(chat, "fish", "docs", "forget", "/") == [str(chat.home.work / "notes")]
    assert complete(chat, "fish", "--docs", "n") == ["notes/"]
    assert "pwned" not in "".join(complete(chat, "zsh", "docs", "forget", ""))


def test_a_broken_config_file_spoils_no_completion(chat: Chat) -> None:
    config = chat.home.root / ".config" / "chatcli" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text("nonsense\n")
    assert complete(chat, "bash", "-t", "") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_for_a_shell_is_shown(chat: Chat, shell: str) -> None:
    result = chat(env={"_CHAT_COMPLETE": f"source_{shell}"})
    assert result.returncode == 0, result
    assert f"complete_{shell}" in result.stdout


def test_completion_is_installed_for_the_shell_in_use(chat: Chat) -> None:
    result = chat.shell("chat --install-completion; :")
    assert result.returncode == 0, result
    assert "_CHAT_COMPLETE=complete_bash" in (chat.home.root / ".bash_completions" / "chat.sh").read_text()


def test_bash_completes_with_the_installed_script(chat: Chat, fake: FakeOpenAI) -> None:
    chat("-t", "sky", "why is the sky blue?")
    script = """
        eval "$(_CHAT_COMPLETE=source_bash chat)"
        COMP_WORDS=(chat -t s); COMP_CWORD=2; _chat_completion chat; echo "${COMPREPLY[@]}"
        COMP_WORDS=(chat -m local : qwen2.5-coder-0); COMP_CWORD=4; _chat_completion chat; echo "${COMPREPLY[@]}"
        COMP_WORDS=(chat --theme ""); COMP_CWORD=2; _chat_completion chat; echo "${COMPREPLY[@]}"
        COMP_WORDS=(chat keys set gr); COMP_CWORD=3; _chat_completion chat; echo "${COMPREPLY[@]}"
    """
    shown = chat.shell(script, forks=True).stdout.split()
    assert shown == ["sky", "qwen2.5-coder-0.5b", "auto", "dark", "light", "mono", "groq"]


def test_completion_imports_nothing_heavy(chat: Chat, fake: FakeOpenAI) -> None:
    chat("-t", "sky", "why is the sky blue?")
    env = {"_CHAT_COMPLETE": "complete_fish", "_TYPER_COMPLETE_ARGS": "chat -t ", "PYTHONPROFILEIMPORTTIME": "1"}
    completed = chat(env={**env, "_TYPER_COMPLETE_FISH_ACTION": "get-args"})
    assert "sky" in completed.stdout
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in completed.stderr.splitlines()}
    assert "sqlite3" in imported
    assert not imported & {"langgraph", "langchain_core", "openai", "prompt_toolkit", "pydantic", "asyncio"}
