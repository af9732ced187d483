"""Which files are documents: what is named, less what is ignored, hidden or secret, and what leads elsewhere."""

import os
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatcli.documents import ignore
from chatcli.documents.find import WalkCache, find_files, resolve_source, shown_path
from chatcli.errors import UsageError


def write(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("text\n")


def found(root: Path, *sources: str | Path, decisions: WalkCache | None = None) -> list[str]:
    """Return the files of `sources`, by default of `root`, relative to `root`."""
    files = find_files([str(source) for source in sources or (root,)], decisions)
    return [str(Path(file.path).relative_to(root)) for file in files]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = (tmp_path / "folder").resolve()
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def test_files_are_sorted_and_have_their_state(root: Path) -> None:
    write(root, "b.md", "a.md", "sub/c.md", "sub/deep/d.md")
    assert found(root) == ["a.md", "b.md", "sub/c.md", "sub/deep/d.md"]
    assert next(find_files([str(root)])).status.st_size == 5


def test_a_source_is_a_file_a_folder_or_a_pattern(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(root, "a.md", "b.txt", "src/c.py", "src/deep/d.py", "src/deep/e.md", "[1].md")
    monkeypatch.setenv("HOME", str(root))
    assert resolve_source("~/src/") == resolve_source("./src") == str(root / "src")
    assert found(root, resolve_source("a.md")) == ["a.md"]
    assert found(root, resolve_source("*.md")) == ["[1].md", "a.md"]
    assert found(root, resolve_source("[1].md")) == ["[1].md"]
    assert found(root, resolve_source("src/**/*.py")) == ["src/c.py", "src/deep/d.py"]
    assert found(root, resolve_source("**/deep/*")) == ["src/deep/d.py", "src/deep/e.md"]
    assert found(root, resolve_source("src/**")) == ["src/c.py", "src/deep/d.py", "src/deep/e.md"]
    assert found(root, resolve_source("src/*")) == ["src/c.py"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "the path of a document is empty"),
        ("missing.md", "no file or folder matches missing.md"),
        ("*.rst", "no file or folder matches *.rst"),
        ("https://example.com/", "https://example.com/ can't be a document"),
        (".env", ".env can't be a document: its name says that it holds secrets"),
        ("key.md", "key.md can't be a document: its name says that it holds secrets"),
        ("secrets", "secrets can't be a document: its name says that it holds secrets"),
        ("secrets/a.md", "secrets/a.md can't be a document: its name says that it holds secrets"),
        (".ssh/config", ".ssh/config can't be a document: its name says that it holds secrets"),
        ("../.ssh/config", "../.ssh/config can't be a document: its name says that it holds secrets"),
        ("server.pem", "server.pem can't be a document: its name says that it holds secrets"),
        ("pipe", "pipe can't be a document: it is neither a file nor a folder"),
        ("a\0b", "no file or folder matches a\0b"),
        ("broken", "broken can't be read: no such file or directory"),
    ],
)
def test_what_can_be_no_source_is_refused(root: Path, text: str, reason: str) -> None:
    write(root, ".env", "id_rsa", "secrets/a.md", ".ssh/config", "../.ssh/config", "a.md")
    (root / "server.pem").symlink_to("a.md")
    (root / "key.md").symlink_to("id_rsa")
    (root / "broken").symlink_to("nowhere")
    os.mkfifo(root / "pipe")
    with pytest.raises(UsageError) as error:
        resolve_source(text)
    assert error.value.message == reason
    assert error.value.remedy


def test_hidden_and_secret_names_and_special_files_are_left_out(root: Path) -> None:
    write(root, "a.md", ".hidden.md", ".config/b.md", "id_rsa", "credentials.json", "secrets/c.md", "sub/server.pem")
    os.mkfifo(root / "pipe.md")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s.md")
        assert found(root) == ["a.md"]
    assert found(root, root / "*") == ["a.md"]
    write(root, ".ssh/notes.md")
    assert found(root, root / "id_rsa", root / "pipe.md", root / ".ssh") == []


def test_the_current_folder_may_have_any_name(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(root, "credentials-service/docs/a.md", "credentials-service/b.md")
    monkeypatch.chdir(root / "credentials-service")
    assert len(found(root, resolve_source("."))) == 2
    assert len(found(root, resolve_source("docs"))) == 1
    monkeypatch.chdir(root)
    with pytest.raises(UsageError):
        resolve_source("credentials-service/docs")


def test_links_are_not_followed(root: Path) -> None:
    write(root.parent, "outside.md", "elsewhere/b.md")
    write(root, "docs/a.md", "docs/sub/c.txt", "docs/id_rsa", "other.md")
    docs = root / "docs"
    (docs / "out.md").symlink_to(root.parent / "outside.md")
    (docs / "other.md").symlink_to("../other.md")
    (docs / "folder").symlink_to(root.parent / "elsewhere")
    (docs / "loop").symlink_to(".")
    (docs / "key.md").symlink_to("id_rsa")
    (docs / "inside.md").symlink_to("sub/c.txt")
    assert found(root, docs) == ["docs/a.md", "docs/sub/c.txt"]
    assert found(root, docs / "*.md") == ["docs/a.md"]


def test_a_source_that_became_a_link_yields_nothing(root: Path) -> None:
    write(root, "docs/a.md")
    write(root.parent, "private/b.md")
    source = resolve_source("docs")
    (root / "docs").rename(root / "old")
    (root / "docs").symlink_to(root.parent / "private")
    assert found(root, source) == []


def test_a_link_that_the_user_names_is_followed(root: Path) -> None:
    write(root, "docs/v2/a.md", "b.md")
    (root / "latest").symlink_to("docs/v2")
    (root / "c.md").symlink_to("b.md")
    assert found(root, resolve_source("latest"), resolve_source("c.md")) == ["docs/v2/a.md", "b.md"]


def test_a_file_of_two_sources_is_found_once(root: Path) -> None:
    write(root, "docs/a.md", "docs/b.md")
    assert found(root, root / "docs/b.md", root / "docs", root / "**/*.md") == ["docs/b.md", "docs/a.md"]
    assert found(root, root / "docs", root / "docs/b.md") == ["docs/a.md", "docs/b.md"]


def test_every_gitignore_on_the_way_holds(root: Path) -> None:
    (root / ".git" / "info").mkdir(parents=True)
    (root / ".git" / "info" / "exclude").write_text("excluded.md\n")
    (root / ".gitignore").write_text("*.log\nbuild/\n/docs/top.md\n")
    write(root, "docs/a.md", "docs/a.log", "docs/keep.log", "docs/top.md", "docs/excluded.md")
    write(root, "docs/build/x.md", "docs/build/y.log")
    write(root, "docs/sub/b.log", "docs/sub/top.md", "docs/sub/draft.md")
    (root / "docs" / ".gitignore").write_text("!keep.log\n")
    (root / "docs" / "sub" / ".gitignore").write_text("draft*\n")
    assert found(root, root / "docs") == ["docs/a.md", "docs/keep.log", "docs/sub/top.md"]
    assert found(root, root / "docs" / "a.log") == ["docs/a.log"]
    assert found(root, root / "docs" / "build") == ["docs/build/x.md", "docs/build/y.log"]


def test_parents_are_asked_up_to_the_root_of_the_repository_alone(root: Path) -> None:
    (root / ".gitignore").write_text("*.md\n")
    write(root, "repository/docs/a.md", "plain/b.md")
    assert found(root, root / "plain") == ["plain/b.md"]
    (root / "repository" / ".git").mkdir()
    assert found(root, root / "repository" / "docs") == ["repository/docs/a.md"]


def test_a_worktree_has_the_exclusions_of_its_repository(root: Path) -> None:
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.com"]
    subprocess.run([*git, "init", "-q", "main"], check=True)
    subprocess.run([*git, "-C", "main", "commit", "-q", "--allow-empty", "-m", "x"], check=True)
    subprocess.run([*git, "-C", "main", "worktree", "add", "-q", "../tree"], check=True)
    (root / "main" / ".git" / "info" / "exclude").write_text("b.md\n")
    write(root, "tree/a.md", "tree/b.md")
    assert found(root, root / "tree") == ["tree/a.md"]


def _git_keeps(root: Path, names: Sequence[str]) -> list[str]:
    git = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=root, check=True, stdout=subprocess.PIPE
    )
    return sorted(set(git.stdout.decode().split("\0")) & set(names))


SEGMENTS = st.sampled_from(["a", "b", "ab", "*", "a*", "*b", "**", "?", "[ab]", "*a*b*", "b.md"])
RULES = st.builds(
    lambda negated, start, parts, end: f"{negated}{start}{'/'.join(parts)}{end}",
    st.sampled_from(["", "", "!"]),
    st.sampled_from(["", "", "/"]),
    st.lists(SEGMENTS, min_size=1, max_size=3),
    st.sampled_from(["", "/"]),
)
NAMES = ["a/a/b.md", "a/b/ab", "a/b.md", "ab/a", "ab/b/a/b", "abab", "b.md", "b/ab/b.md", "b/b"]


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("repository").resolve()
    subprocess.run(["git", "init", "-q", root], check=True)
    write(root, *NAMES)
    return root


@given(st.lists(RULES, max_size=4), st.lists(RULES, max_size=2))
def test_rules_mean_what_git_says(repository: Path, rules: list[str], inner: list[str]) -> None:
    (repository / ".gitignore").write_text("\n".join(rules))
    (repository / "a" / ".gitignore").write_text("\n".join(inner))
    assert sorted(found(repository)) == _git_keeps(repository, NAMES)


def test_hostile_rules_take_no_time(root: Path) -> None:
    name = "a" * 200
    write(root, name, "b")
    (root / ".gitignore").write_text(f"{'*a' * 90}*c\n{'**/a/' * 50}c\n{'(' * 500}\n[z-a]\n\\\n{'*' * 900}d\nb\n")
    assert found(root) == [name]


@pytest.mark.parametrize(
    ("rules", "left"),
    [
        ("x\n" * 1999 + "d.md", []),
        ("x\n" * 2000 + "d.md", ["a/b/c/d.md"]),
        ("#" * 2**20 + "\nd.md", ["a/b/c/d.md"]),
        (f"[{'d' * 900}].md", []),
        (f"[{'d' * 1000}].md", ["a/b/c/d.md"]),
        ("a/**/b/**/c/d.md", []),
        ("a/**/b/**/c/**/d.md", ["a/b/c/d.md"]),
    ],
    ids=range(7),
)
def test_rules_beyond_the_bounds_are_not_followed(root: Path, rules: str, left: list[str]) -> None:
    write(root, "a/b/c/d.md")
    (root / ".gitignore").write_text(rules)
    assert found(root) == left


def test_odd_files_of_rules_are_read_as_far_as_they_can_be(root: Path) -> None:
    write(root, "a.md", "b.md", "c/d.md", "e/f.md")
    (root / ".gitignore").write_bytes(b"caf\xe9\na.md\r\n")
    os.mkfifo(root / "c" / ".gitignore")  # to open it would wait for a writer
    (root / "e" / ".git").write_text("gitdir: a\0b")
    write(root, "g/h.md")
    (root / "g" / ".git").write_text("gitdir: .")
    (root / "g" / "commondir").write_text("a\0b")
    assert found(root) == ["b.md", "c/d.md", "e/f.md", "g/commondir", "g/h.md"]


def test_what_is_removed_during_the_walk_is_left_out(root: Path) -> None:
    write(root, "a.md", "b.md", "c.md", "sub/d.md")
    files = find_files([str(root)])
    assert next(files).path == str(root / "a.md")
    (root / "b.md").unlink()
    (root / "sub" / "d.md").unlink()
    (root / "sub").rmdir()
    assert [Path(file.path).name for file in files] == ["c.md"]


def test_a_system_s_folders_of_no_files_are_left_out() -> None:
    assert not [file.path for file in find_files(["/*/uptime"]) if file.path.startswith("/proc/")]


def test_decisions_hold_until_a_file_of_rules_changes(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(root, "a.md", "a.log", "sub/b.md", "sub/b.log", "build/c.md")
    (root / ".gitignore").write_text("*.log\nbuild\n")
    (root / "sub" / ".gitignore").write_text("\n")
    monkeypatch.setattr("chatcli.documents.find.UNSETTLED", -(10**18))  # as if the files of rules were old
    decisions = WalkCache()
    assert found(root, decisions=decisions) == ["a.md", "sub/b.md"]

    asked: list[str] = []
    real = ignore.IgnoreRules.ignore

    def ask(rules: ignore.IgnoreRules, path: str, *, folder: bool = False) -> bool:
        asked.append(Path(path).name)
        return real(rules, path, folder=folder)

    monkeypatch.setattr(ignore.IgnoreRules, "ignore", ask)
    decisions = WalkCache.from_json(decisions.to_json(), decisions.kept)
    write(root, "new.md", "new.log")
    assert found(root, decisions=decisions) == ["a.md", "new.md", "sub/b.md"]
    assert asked == ["new.log", "new.md"]

    (root / ".gitignore").write_text("*.log\nbuild\nb.md\n")
    assert found(root, decisions=decisions) == ["a.md", "new.md"]
    (root / ".gitignore").write_text("*.log\nbuild\n")
    assert found(root, decisions=decisions) == ["a.md", "new.md", "sub/b.md"]

    asked.clear()
    (root / "sub" / ".gitignore").write_text("b.md\n!b.log\n")
    assert found(root, decisions=decisions) == ["a.md", "new.md", "sub/b.log"]
    assert asked == ["b.log", "b.md"]

    (root / "sub" / ".gitignore").unlink()
    assert found(root, decisions=decisions) == ["a.md", "new.md", "sub/b.md"]
    (root / ".gitignore").unlink()
    assert found(root, decisions=decisions) == [
        "a.log",
        "a.md",
        "new.log",
        "new.md",
        "build/c.md",
        "sub/b.log",
        "sub/b.md",
    ]


def test_decisions_do_not_outlive_the_repository(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(root, "docs/a.md", "docs/sub/b.md")
    (root / ".gitignore").write_text("*.md\n")
    monkeypatch.setattr("chatcli.documents.find.UNSETTLED", -(10**18))
    outer, inner, decisions = root / ".git", root / "docs" / "sub" / ".git", WalkCache()

    def kept() -> list[str]:
        return found(root, root / "docs", decisions=decisions)

    assert kept() == ["docs/a.md", "docs/sub/b.md"]
    outer.mkdir()
    assert kept() == []
    inner.mkdir()
    assert kept() == ["docs/sub/b.md"]
    inner.rmdir()
    assert kept() == []
    outer.rmdir()
    assert kept() == ["docs/a.md", "docs/sub/b.md"]


def test_rules_that_were_just_written_are_read_again(root: Path) -> None:
    write(root, "a.md", "b.md")
    (root / ".gitignore").write_text("a.md\n")
    os.utime(root / ".gitignore", (1, 1))  # set back, as an archive does
    decisions = WalkCache()
    assert found(root, decisions=decisions) == ["b.md"]
    assert decisions.rules == {}  # within the same tick of the clock, another change would not show
    assert found(root, decisions=decisions) == ["b.md"]


@pytest.mark.parametrize("text", ["", "[]", "{}", "[0,[],[],{}]", "[1,2,3]", '[1,[],[],{"a":1}]', "[1,[],[],[]]"])
def test_bad_decisions_are_none(text: str) -> None:
    assert WalkCache.from_json(text, ["a"]) == WalkCache()


def test_names_of_any_bytes_are_found(root: Path) -> None:
    name = os.fsdecode(b"caf\xe9.md")
    write(root, name)
    decisions = WalkCache()
    assert found(root, decisions=decisions) == [name]
    assert WalkCache.from_json(decisions.to_json(), decisions.kept) == decisions


def test_a_path_is_shown_relative_to_the_current_folder(root: Path) -> None:
    assert shown_path(root / "docs" / "a.md") == "docs/a.md"
    assert shown_path(root.parent / "b.md") == str(root.parent / "b.md")
    root.rmdir()
    assert shown_path(root / "docs" / "a.md") == str(root / "docs" / "a.md")
