"""Commands that are confined: what they can't do, by escapes that work without a sandbox, and what still works."""

import asyncio
import fcntl
import marshal
import os
import select
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from chatcli.tools.sandbox.confinement import Sandbox, Strength, apple_profile, find_strength
from chatcli.tools.shell import inherited_environment, run_process
from chatcli.tools.workspace import Access, Finished

SECONDS = 120
pytestmark = pytest.mark.linux
LEVELS = [
    pytest.param(
        level, marks=pytest.mark.skipif(sys.platform != "linux" or find_strength() not in able, reason="can't")
    )
    for level, able in (("full", ("full",)), ("partial", ("full", "partial")))
]


def python(text: str) -> str:
    return f"{sys.executable} -c '{text}'"


def system_call(number: str, *arguments: object) -> str:
    """Make a system call, by its numbers on x86-64 and aarch64; it escapes unless it is not permitted."""
    listed = ", ".join(map(str, arguments))
    return python(
        "import ctypes, errno, os; libc = ctypes.CDLL(None, use_errno=True); "
        f'number = dict(zip(("x86_64", "aarch64"), ({number})))[os.uname().machine]; '
        f'libc.syscall(number, {listed}); print("" if ctypes.get_errno() in (1, 38) else "ESCAPED")'
    )


ESCAPES = {
    # Writes outside of the folder.
    "write": "echo x > $HOME/.bashrc && echo ESCAPED",
    "append": "echo x >> $HOME/.bashrc && echo ESCAPED",
    "new file": "echo x > $HOME/.profile && echo ESCAPED",
    "write by a link": "ln -s $HOME/.bashrc link && echo x > link && echo ESCAPED",
    "write by a link of a folder": "ln -s $HOME link && echo x > link/.bashrc && echo ESCAPED",
    "write through /proc/self/root": "echo x > /proc/self/root/$HOME/.bashrc && echo ESCAPED",
    "write through /proc/PID/cwd": "echo x > /proc/$VICTIM/cwd/.bashrc && echo ESCAPED",
    "rename out": "echo x > file && mv file $HOME/.bashrc && echo ESCAPED",
    "rename in": "mv $HOME/.bashrc . && echo ESCAPED",
    "hard link": "ln $HOME/.bashrc link && echo x > link && echo ESCAPED",
    "delete": "rm $HOME/.bashrc && echo ESCAPED",
    "folder": "mkdir $HOME/new && echo ESCAPED",
    "pipe": "mkfifo $HOME/pipe && echo ESCAPED",
    "open and cut": ": > $HOME/.bashrc && echo ESCAPED",
    "cut by path": python('import os; os.truncate(os.environ["HOME"] + "/.bashrc", 0); print("ESCAPED")'),
    # Secrets.
    "key": "cat $HOME/.ssh/id_ed25519 && echo ESCAPED",
    "password": "cat $HOME/.netrc && echo ESCAPED",
    "password by a link": "ln -s $HOME/.netrc notes && cat notes && echo ESCAPED",
    "password by a hard link": "ln $HOME/.netrc notes && cat notes && echo ESCAPED",
    "cloud": "cat $HOME/.config/gcloud/token && echo ESCAPED",
    "settings of chat": "cat $HOME/.config/chatcli/config.toml && echo ESCAPED",
    "rules of chat": "echo run_shell >> $HOME/.config/chatcli/allowed.txt && echo ESCAPED",
    # Other processes.
    "environment": "grep -a SECRET /proc/$VICTIM/environ && echo ESCAPED",
    "environment of chat": "cat /proc/$PPID/environ > copy && echo ESCAPED",
    "memory": python('import os; open("/proc/" + os.environ["VICTIM"] + "/mem", "rb"); print("ESCAPED")'),
    "process_vm_readv": system_call("310, 270", 'int(os.environ["VICTIM"])', 0, 0, 0, 0, 0),
    "ptrace": system_call("101, 117", 16, 'int(os.environ["VICTIM"])', 0, 0),
    "descriptor": system_call("438, 438", 'os.pidfd_open(int(os.environ["VICTIM"]))', 0, 0),
    "signal": "kill -CONT $VICTIM && echo ESCAPED",
    "signal by a descriptor": python(
        'import os, signal; signal.pidfd_send_signal(os.pidfd_open(int(os.environ["VICTIM"])), signal.SIGCONT); '
        'print("ESCAPED")'
    ),
    "files of a process": "ls /proc/$VICTIM/root/ && echo ESCAPED",
    "priority": "renice -n 19 -p $VICTIM; test $(ps -o ni= -p $VICTIM) = 19 && echo ESCAPED",
    "priority of reading": "ionice -c 3 -p $VICTIM; ionice -p $VICTIM | grep idle && echo ESCAPED",
    "scheduler": "chrt -i -p 0 $VICTIM; test $(ps -o cls= -p $VICTIM) = IDL && echo ESCAPED",
    "limits": "prlimit --pid $VICTIM --nofile=100:100 && echo ESCAPED",
    # The network and sockets.
    "TCP": python(
        'import os, socket; socket.create_connection(("127.0.0.1", int(os.environ["TCP"]))); print("ESCAPED")'
    ),
    "TCP of bash": "exec 3<> /dev/tcp/127.0.0.1/$TCP && echo ESCAPED",
    "TCP server": python('import socket; socket.create_server(("127.0.0.1", 0)); print("ESCAPED")'),
    "UDP": python(
        "import os, socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); "
        's.sendto(b"x", ("127.0.0.1", int(os.environ["TCP"]))); print("ESCAPED")'
    ),
    "abstract socket": python(
        'import os, socket; s = socket.socket(socket.AF_UNIX); s.connect("\\0" + os.environ["ABSTRACT"]); '
        'print("ESCAPED")'
    ),
    "socket of an agent": python(
        'import os, socket; s = socket.socket(socket.AF_UNIX); s.connect(os.environ["AGENT"]); print("ESCAPED")'
    ),
    **{
        f"{kind} of a pair": python(
            f"import os, socket; s, _ = socket.socketpair(socket.AF_UNIX, socket.SOCK_{kind}); "
            's.sendto(b"x", os.environ["LOG"]); print("ESCAPED")'
        )
        for kind in ("DGRAM", "RAW")
    },
    "named pipe": "echo x 1<> $HOME/commands && echo ESCAPED",
    "raw socket": python('import socket; socket.socket(socket.AF_NETLINK, socket.SOCK_RAW); print("ESCAPED")'),
    # Rights, and what is beside files.
    "set-user-ID": "grep -q 'NoNewPrivs:.*0' /proc/self/status && echo ESCAPED",
    # Without namespaces, only root can give them up for good; others get none by a program that would bring them.
    "capabilities": (
        "grep -q 'CapBnd:.*[1-9a-f]' /proc/self/status && "
        "(test $EUID = 0 || grep -q 'NoNewPrivs:.*0' /proc/self/status) && echo ESCAPED"
    ),
    "keyring": system_call("250, 219", 0, -3, 0),
    "typing into a terminal": python(
        'import errno, fcntl\ntry: fcntl.ioctl(1, 0x5412, b"x")\n'
        'except OSError as error: print("" if error.errno == errno.EPERM else "ESCAPED")'
    ),
    "other terminal": "echo x > $TERMINAL && echo ESCAPED",
    "io_uring": system_call("425, 425", 0, 0),
    "bpf": system_call("321, 280", 99, 0, 0),
    "perf events": system_call("298, 241", 0, 0, -1, -1, 0),
    "mount": system_call("165, 40", 0, 0, 0, 0, 0),
    "userfaultfd": system_call("323, 282", 0xFFFF),
    "messages": system_call("68, 186", 0, 0o1600),
    "program in memory": python(
        'import os; f = os.memfd_create("x"); os.write(f, open("/bin/sh", "rb").read()); '
        'os.execv(f"/proc/self/fd/{f}", ["sh", "-c", "echo x > $HOME/.bashrc && echo ESCAPED"])'
    ),
    "shared memory": system_call("29, 194", 0, 4096, 0o1600),
    "namespaces": "unshare --user true && echo ESCAPED",
    "namespaces of a child": python(
        'import ctypes, os; libc = ctypes.CDLL(None); n = 56 if os.uname().machine == "x86_64" else 220; '
        'pid = libc.syscall(n, 0x10000011, 0, 0, 0, 0); pid == 0 and os._exit(0); print("ESCAPED" if pid > 0 else "")'
    ),
    "file in shared memory": "cat $SHARED && echo ESCAPED",
}
OF_NAMESPACES = {
    "mode": "chmod 777 $HOME/.bashrc && echo ESCAPED",
    "times": "touch -d 2000-01-01 $HOME/.bashrc && echo ESCAPED",
    "attribute": python('import os; os.setxattr(os.environ["HOME"] + "/.bashrc", "user.x", b"x"); print("ESCAPED")'),
    "hook of git": "echo x > .git/hooks/post-commit && echo ESCAPED",
    "settings of git": "git config core.pager x && echo ESCAPED",
    "another .git": "mv .git old && mkdir .git && echo ESCAPED",
    "other hooks": "mv .git/hooks .git/old && mkdir .git/hooks && echo ESCAPED",
    ".env of the folder": "cat .env && echo ESCAPED",
    "other .env": "mv .env old && cat old && echo ESCAPED",
    ".env of a subfolder": "cat services/api/.env && echo ESCAPED",
}
"""What only namespaces prevent."""


@dataclass
class World:
    """What is around a command: the folder it runs in, and the variables that name the rest."""

    folder: Path
    names: dict[str, str]

    def run(self, command: str, level: Strength, access: Access = "confined") -> Finished:
        """Run a command as the tool does."""
        sandbox = Sandbox(self.folder, forced=level)
        env = {**inherited_environment(), **self.names}
        with sandbox.launch(["/bin/bash", "-c", command], access) as launched:
            return asyncio.run(run_process(launched, cwd=self.folder, env=env, seconds=SECONDS))


def fill_home(home: Path) -> None:
    files = (".bashrc", ".ssh/id_ed25519", ".netrc", ".config/gcloud/token", ".config/chatcli/config.toml")
    for name in files:
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text("old\n")


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    home, folder = tmp_path / "home", tmp_path / "home" / "work"
    folder.mkdir(parents=True)
    fill_home(home)
    for name in ("CONFIG", "DATA", "STATE", "CACHE"):
        monkeypatch.delenv(f"XDG_{name}_HOME", raising=False)
    monkeypatch.setenv("HOME", str(home))
    (folder / ".env").write_text("KEY=secret\n")
    (folder / "services" / "api").mkdir(parents=True)
    (folder / "services" / "api" / ".env").write_text("KEY=secret\n")
    subprocess.run(["git", "init", "-q", "."], cwd=folder, check=True)
    shared = Path(f"/dev/shm/{os.getpid()}-{id(folder)}")
    shared.write_text("old\n")
    terminal, other_end = os.openpty()
    abstract = f"chat-{os.getpid()}-{id(folder)}"
    agent, log = tmp_path / "agent", tmp_path / "log"
    os.mkfifo(home / "commands")
    with (
        subprocess.Popen(["sleep", "600"], env={"SECRET": "1"}, cwd=home) as victim,
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(socket.AF_UNIX) as by_path,
        socket.socket(socket.AF_UNIX) as by_name,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as logger,
    ):
        logger.bind(str(log))
        for server, address in ((by_path, str(agent)), (by_name, f"\0{abstract}")):
            server.bind(address)
            server.listen()
        names = {"VICTIM": str(victim.pid), "TCP": str(tcp.getsockname()[1]), "TERMINAL": os.ttyname(other_end)}
        names |= {"AGENT": str(agent), "LOG": str(log), "ABSTRACT": abstract, "SHARED": str(shared)}
        yield World(folder, names)
        victim.kill()
    shared.unlink()
    os.close(terminal)
    os.close(other_end)


def escaped(finished: Finished) -> bool:
    """Return whether a command said so; since Python 3.13, a traceback may also show what would have said it."""
    return any(line.endswith("ESCAPED") for line in finished.output.splitlines())


@pytest.mark.parametrize("name", [*ESCAPES, *OF_NAMESPACES])
def test_an_escape_works_without_a_sandbox(world: World, name: str) -> None:
    assert escaped(world.run({**ESCAPES, **OF_NAMESPACES}[name], "none"))


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", ESCAPES)
def test_no_escape_works_in_the_sandbox(world: World, name: str, level: Strength) -> None:
    finished = world.run(ESCAPES[name], level)
    assert not escaped(finished)
    assert "can't be confined" not in finished.output
    assert (world.folder.parent / ".bashrc").read_text() == "old\n"


@pytest.mark.parametrize("level", LEVELS[:1])
@pytest.mark.parametrize("name", OF_NAMESPACES)
def test_namespaces_prevent_what_landlock_lets_through(world: World, name: str, level: Strength) -> None:
    finished = world.run(OF_NAMESPACES[name], level)
    assert not escaped(finished)
    assert "can't be confined" not in finished.output


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(
    "detach", ["setsid {} &", "nohup {} >/dev/null 2>&1 &", "(setsid {} >/dev/null 2>&1 &) &", "set -m; {} & disown"]
)
def test_what_a_command_leaves_behind_ends_with_it(world: World, level: Strength, detach: str) -> None:
    held = world.folder / "held"
    held.touch()
    line = detach.format("flock held sh -c 'echo x > started; exec sleep 600'")
    world.run(f"{line}\nuntil test -s started; do sleep 0.01; done", level)
    with held.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # waits for whoever holds it: not for ten minutes
    assert (world.folder / "started").exists()


BACKEND = """
import zipfile
def build_wheel(folder, settings=None, metadata=None):
    with zipfile.ZipFile(f"{folder}/mod-1-py3-none-any.whl", "w") as wheel:
        wheel.writestr("mod.py", "x = 1")
        wheel.writestr("mod-1.dist-info/METADATA", "Metadata-Version: 2.1\\nName: mod\\nVersion: 1\\n")
        wheel.writestr("mod-1.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr("mod-1.dist-info/RECORD", "mod.py,,\\n")
    return "mod-1-py3-none-any.whl"
"""
PROJECT = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
GIT = "git -c user.name=Me -c user.email=me@example.com"
EVERYDAY = {
    "git": f"echo x > file && git add file && {GIT} commit -qm 'Add a file' && git log --oneline | grep Add",
    "git in a new folder": f"git init -q new && cd new && {GIT} commit -q --allow-empty -m first && git status",
    "make": "printf 'all:\\n\\techo made > out\\n' > Makefile && make -j2 && grep made out",
    "gcc": "echo 'int main(void) { return 0; }' > a.c && gcc a.c -o a && ./a",
    "pytest": f"echo 'def test_it(tmp_path): (tmp_path / \"a\").touch()' > test_it.py && {sys.executable} -m pytest -q",
    "a venv and a local package": (
        f"{sys.executable} -m venv venv && venv/bin/pip install -q --no-index ./package && "
        "venv/bin/python -c 'import mod'"
    ),
    "npm test": 'echo \'{"name": "a", "scripts": {"test": "echo tested"}}\' > package.json && npm test',
    "search": "ls -la / ~ . && grep -r x . ; find . -name config",
    "sed": "echo one > file && sed -i s/one/two/ file && grep two file",
    "tar": "mkdir -p a/b && echo x > a/b/c && tar czf a.tgz a && rm -r a && tar xzf a.tgz && cat a/b/c",
    "temporary files": 'file=$(mktemp) && echo x > "$file" && cat < "$file" && sort <<< "b" && cat <(echo x)',
    # The other way to start processes, usual from Python 3.14 on, needs a socket, and there are none.
    "processes": python('import multiprocessing as m; p = m.get_context("fork").Pool(2); print(p.map(abs, [-1]))'),
    "users": "id && whoami && uname -a && date && df . && ps -p $$ && env",
}
SLOW = {"pytest", "a venv and a local package", "npm test"}


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", EVERYDAY)
def test_everyday_commands_work_in_the_sandbox(world: World, name: str, level: Strength, weekly: bool) -> None:
    if name == "npm test" and shutil.which("npm") is None:
        pytest.skip("there is no npm")
    if name == "processes" and level == "partial":
        pytest.skip("shared memory needs namespaces")
    if name in SLOW and level == "partial" and not weekly:
        pytest.skip("takes seconds: tried once a week")
    package = world.folder / "package"
    package.mkdir()
    (package / "backend.py").write_text(BACKEND)
    (package / "pyproject.toml").write_text(PROJECT)
    finished = world.run(EVERYDAY[name], level)
    assert finished.exit_code == 0, finished.output


@pytest.mark.parametrize("level", LEVELS)
def test_the_network_is_there_if_it_is_allowed_and_nothing_else(world: World, level: Strength) -> None:
    assert escaped(world.run(ESCAPES["TCP"], level, "network"))
    for name in ("write", "key", "abstract socket", "socket of an agent", "signal"):
        assert not escaped(world.run(ESCAPES[name], level, "network"))


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("place", [".", "..", ".config"])
def test_nothing_is_written_around_or_beside_secrets(world: World, level: Strength, place: str) -> None:
    home = World(world.folder.parent / place, world.names)
    finished = home.run("echo x > new && echo ESCAPED; echo x > $TMPDIR/new && echo done", level)
    assert finished.output.splitlines()[-1] == "done"
    assert not escaped(finished)


@pytest.mark.parametrize("level", LEVELS[:1])
def test_git_gets_no_hooks_and_settings_that_it_had_not(world: World, level: Strength) -> None:
    git, tree = world.folder / ".git", world.folder / "tree"
    shutil.rmtree(git / "hooks")
    tree.mkdir()
    (tree / ".git").write_text("gitdir: ../.git\n")
    world.run("mkdir .git/hooks; echo x > .git/hooks/pre-commit", level)
    assert not any((git / "hooks").iterdir())
    assert world.run("echo ../other > .git/commondir", level).exit_code == 0
    assert not (git / "commondir").exists()
    World(tree, world.names).run("echo gitdir: ../other > .git; mv .git old; echo gitdir: ../other > .git", level)
    assert (tree / ".git").read_text() == "gitdir: ../.git\n"


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(
    ("command", "refused"),
    [
        ("echo x > ~/.bashrc", ["to write {home}/.bashrc"]),
        ("cat ~/.netrc", ["the access to {home}/.netrc"]),
        ("cd .. && touch new; false", []),  # its message has no path that says where
        ("curl -sS http://127.0.0.1:1", ["the network"]),
        ("echo 'curl: (7) Failed to connect: Could not connect to server'", ["the network"]),  # a newer curl
        ("cat missing", []),
        ("touch mine; echo './mine: PermissionError: Operation not permitted'", []),
    ],
)
def test_a_refusal_is_named(world: World, level: Strength, command: str, refused: list[str]) -> None:
    output = world.run(command, level).output
    expected = [each.format(home=world.folder.parent) for each in refused]
    assert Sandbox(world.folder, forced=level).refusals(output, "confined") == expected
    assert Sandbox(world.folder, forced=level).refusals(output, "outside") == []


@pytest.mark.skipif(find_strength() != "full", reason="only namespaces hide a file of the folder")
@pytest.mark.parametrize(
    ("command", "refused"),
    [
        ("cat .env", ["the access to .env"]),
        ("cat services/api/.env", ["the access to services/api/.env"]),
        ("echo x > .git/config", ["to write .git/config"]),
        (f"echo '~nobody {'x' * 5000}: Permission denied'", []),
    ],
)
def test_a_refusal_in_the_folder_is_named(world: World, command: str, refused: list[str]) -> None:
    output = world.run(command, "full").output
    assert Sandbox(world.folder, forced="full").refusals(output, "confined") == refused


def test_what_can_not_be_confined_does_not_run(world: World) -> None:
    with Sandbox(world.folder, forced="full").launch(["/bin/touch", "ran"], "confined") as command:
        plan = Path(command[5])
        plan.write_bytes(marshal.dumps({**marshal.loads(plan.read_bytes()), "ruleset": b""}))
        done = subprocess.run(command, cwd=world.folder, capture_output=True, text=True, check=False)
    assert (done.returncode, (world.folder / "ran").exists()) == (126, False)
    assert "can't be confined" in done.stderr


def test_it_ends_with_a_process_that_is_killed(world: World) -> None:
    """The program of another process: `chat`, killed outright."""
    program = f"""
import subprocess, sys
from pathlib import Path
from chatcli.tools.sandbox.confinement import Sandbox
with Sandbox(Path({str(world.folder)!r})).launch(["/bin/sh", "-c", "echo started; exec sleep 600"], "confined") as line:
    subprocess.run(line, start_new_session=True, pass_fds=[int(sys.argv[1])])
"""
    read_end, lifeline = os.pipe()  # its end is seen when the last process that has it is gone
    command = [sys.executable, "-c", program, str(lifeline)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, pass_fds=[lifeline]) as parent:
        os.close(lifeline)
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"started\n"
        parent.kill()
    assert select.select([read_end], [], [], 60)[0] == [read_end]
    os.close(read_end)


def test_the_profile_of_macos_names_what_is_written_and_what_is_secret(tmp_path: Path) -> None:
    secret = str(tmp_path / "home" / ".ssh")
    text = apple_profile([tmp_path / "work"], tmp_path / "tmp", [secret], network=False)
    assert text.startswith("(version 1)\n(deny default)\n")
    assert f'(deny file-read-data (subpath "{secret}"))' in text
    assert f'(allow file-read* file-write* (subpath "{tmp_path / "work"}"))' in text
    assert f'(deny file-write* (subpath "{tmp_path / "work" / ".git" / "hooks"}"))' in text
    assert "network" not in text
    assert "network-outbound" in apple_profile([tmp_path], tmp_path, [], network=True)
    assert f'file-write* (subpath "{tmp_path}")' not in apple_profile(
        [tmp_path], tmp_path / "tmp", [secret], network=False
    )
