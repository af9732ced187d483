"""The installed program in an interpreter that takes itself for one of another system, without what Linux alone has."""

import pytest

from chatcli.models.local.weights import QWEN
from tests.e2e.program import Chat
from tests.fakes.openai_server import FakeOpenAI
from tests.fakes.steps import Answer, call

pytestmark = pytest.mark.executable

SITE = """
import os, select, signal, socket, sys, sysconfig
sysconfig.get_config_vars()  # its file is named after the system
sys.platform = "darwin"
kernel = os.uname()
uname = os.uname_result((*kernel[:4], {machine!r}))
os.uname = lambda: uname
for module, names in (
    (os, "pidfd_open O_PATH sched_getscheduler sched_getaffinity posix_fadvise memfd_create setresuid getresuid"),
    (select, "epoll"),
    (signal, "pidfd_send_signal"),
    (socket, "SO_PEERCRED SOCK_CLOEXEC"),
):
    for name in names.split():
        vars(module).pop(name, None)
os.process_cpu_count = os.cpu_count  # since Python 3.13, made at the import of os from what was there
if not {local}:
    sys.modules["xllamacpp"] = None
"""
"""A sitecustomize.py. The name of the kernel stays: for Darwin, libraries load others, which only macOS has."""
PROXIES = "_get_proxies = _get_proxy_settings = dict\n"
"""A module of macOS's Python that the standard library imports there."""


def go_to_macos(chat: Chat, machine: str, *, local: bool) -> None:
    """Let the program take this machine for a Mac, in a home without XDG folders."""
    site = chat.home.root / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(SITE.format(machine=machine, local=local))
    (site / "_scproxy.py").write_text(PROXIES)
    for name in [name for name in chat.home.env if name.startswith("XDG_")]:
        del chat.home.env[name]
    chat.home.env["PYTHONPATH"] = str(site)
    # What this machine has room for was found out earlier: psutil's module for macOS is not here.
    record = chat.home.root / "Library" / "Application Support" / "chatcli" / "local" / "model"
    record.parent.mkdir(parents=True)
    record.write_text(QWEN.name)


def test_on_macos_everything_but_the_helper_works(chat: Chat, fake: FakeOpenAI) -> None:
    go_to_macos(chat, "arm64", local=True)
    del chat.home.env["CHATCLI_HELPER"]
    chat.home.env["XDG_RUNTIME_DIR"] = str(chat.home.root)
    (chat.home.work / "notes.md").write_text("The ferry leaves at nine.")
    fake.script(call("run_shell", command="echo from the shell"), Answer("The shell answered."))
    result = chat("-t", "abc", "--tools", "--yes", "--docs", "notes.md", "When does the ferry leave?")
    assert (result.returncode, result.stdout.splitlines()[0]) == (0, "The shell answered."), result
    assert fake.requests[-1].results == ["from the shell"]
    assert "error" not in result.stderr.lower()
    library = chat.home.root / "Library"
    assert (library / "Application Support" / "chatcli" / "threads.db").exists()
    assert not [path for path in chat.home.files() if ".local" in path.parts or ".config" in path.parts]
    assert not (chat.home.root / "chatcli").exists(), "a helper was started"
    assert chat("config", "--json").json()["helper"]["value"] is False
    findings = {finding["subject"]: finding for finding in chat("doctor", "--json").json()}
    assert findings["helper"]["detail"].startswith("not available on this system")
    assert {finding["state"] for finding in findings.values()} == {"ok"}


def test_on_a_mac_without_the_local_model_the_way_to_another_one_is_shown(chat: Chat) -> None:
    go_to_macos(chat, "x86_64", local=False)
    refused = chat("hello")
    assert refused.returncode == 2, refused
    assert "does not run on this system and processor" in refused.stderr
    assert "install" not in refused.stderr
    doctor = chat("doctor", "--json")
    findings = {finding["subject"]: finding for finding in doctor.json()}
    assert doctor.returncode == 1
    assert "not available" in findings["local model"]["detail"]
    assert "chat keys set" in findings["model"]["remedy"]


def test_a_library_that_the_local_model_needs_and_that_is_missing_is_a_finding(chat: Chat) -> None:
    broken = chat.home.root / "broken"
    broken.mkdir()
    (broken / "xllamacpp.py").write_text("raise ImportError('libgomp.so.1: cannot open shared object file')")
    findings = {one["subject"]: one for one in chat("doctor", "--json", env={"PYTHONPATH": str(broken)}).json()}
    assert (findings["local model"]["state"], "libgomp1" in findings["local model"]["remedy"]) == ("problem", True)
    (broken / "xllamacpp.py").write_text("raise ImportError('no suitable image found')")
    findings = {one["subject"]: one for one in chat("doctor", "--json", env={"PYTHONPATH": str(broken)}).json()}
    assert "no suitable image found" in findings["local model"]["detail"]
    assert "install" in findings["local model"]["remedy"]
