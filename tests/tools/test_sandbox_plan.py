"""What a confined command may do, by the plan that the launcher gets; `test_sandbox.py` tries it in a real sandbox."""

import marshal
import os
import struct
from pathlib import Path
from typing import Any

import pytest

from chatcli import paths
from chatcli.tools.sandbox import landlock, places
from chatcli.tools.sandbox.confinement import Sandbox, Strength, apple_profile
from chatcli.tools.sandbox.seccomp import ARCHES, seccomp_filter
from chatcli.tools.workspace import Access

ALLOWED, KILLED, NOTHING_DONE, REFUSED, UNKNOWN = "allowed", "killed", "nothing done", "refused", "unknown"
NAMES = {0x7FFF0000: ALLOWED, 0x80000000: KILLED, 0x50000: NOTHING_DONE, 0x50001: REFUSED, 0x50026: UNKNOWN}


def plan_of(folder: Path, access: Access = "confined", **options: Any) -> dict[str, Any]:
    leashed = options.pop("leashed", True)
    with Sandbox(folder, **{"forced": "full", **options}).launch(["/bin/true"], access, leashed=leashed) as command:
        assert command[-1] == "/bin/true"
        found: dict[str, Any] = marshal.loads(Path(command[-2]).read_bytes())
        found["private"] = Path(command[-2]).parent
        found["modes"] = {(found["private"] / name).stat().st_mode & 0o777 for name in ("tmp", "shm")}
    return found


@pytest.fixture
def folder(tmp_path: Path, own_folders: Path) -> Path:
    folder = tmp_path / "project"
    (folder / ".git" / "hooks").mkdir(parents=True)
    (folder / ".git" / "config").touch()
    (folder / ".env").touch()
    (folder / "src").mkdir()
    (folder / "src" / ".env").touch()
    (folder / "src" / "server.pem").touch()
    return folder


@pytest.mark.linux
def test_a_command_writes_in_its_folders_and_sees_no_secret_in_them(folder: Path, tmp_path: Path) -> None:
    more = tmp_path / "more"
    more.mkdir()
    plan = plan_of(folder, more=(more,))
    private = plan["private"]
    writing = {os.fsdecode(path) for path, rights in plan["rules"] if rights == landlock.writing(landlock.version())}
    assert writing == {str(each) for each in (folder, more, private / "tmp", private / "shm")}
    assert {*map(str, (folder, more))} <= {*map(os.fsdecode, plan["writable"])}
    mounts = {os.fsdecode(target): os.fsdecode(source) for source, target in plan["mounts"]}
    hidden = {target for target, source in mounts.items() if source == str(private / "nothing")}
    assert hidden == {str(folder / ".env"), str(folder / "src" / ".env")}
    guarded = {str(folder / ".git" / name) for name in ("hooks", "config")}
    assert guarded <= mounts.keys() - {*map(os.fsdecode, plan["writable"])}
    assert plan["environment"] == dict.fromkeys(("TMPDIR", "TMP", "TEMP"), str(private / "tmp"))
    assert plan["modes"] == {0o700}


@pytest.mark.linux
def test_a_command_ends_with_the_process_that_starts_it_unless_an_editor_does(folder: Path) -> None:
    assert plan_of(folder)["parent"] == os.getpid()
    assert plan_of(folder, leashed=False)["parent"] == 0


@pytest.mark.linux
def test_what_git_would_run_can_not_be_brought_by_a_command(folder: Path) -> None:
    (folder / ".git" / "hooks").rmdir()
    with Sandbox(folder, forced="full").launch(["/bin/true"], "confined"):
        assert (folder / ".git" / "hooks").is_dir()
        (folder / ".git" / "commondir").write_text("/elsewhere")
    assert not (folder / ".git" / "commondir").exists()


@pytest.mark.linux
def test_only_the_network_is_added_by_an_access_to_it(folder: Path) -> None:
    confined, network = plan_of(folder), plan_of(folder, "network")
    assert confined["filter"] != network["filter"]
    assert not confined["private"].exists()  # it is removed with the command's end
    for access, forced in (("outside", "full"), ("confined", "none")):
        with Sandbox(folder, forced=forced).launch(["x"], access, leashed=False) as command:  # type: ignore[arg-type]
            assert command == ["x"]


@pytest.mark.linux
def test_secrets_are_kept_from_every_command(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = folder.parent / "home"
    for name in (".ssh", ".config/gcloud", "notes"):
        (home / name).mkdir(parents=True)
    (home / "to_ssh").symlink_to(".ssh")
    monkeypatch.setenv("HOME", str(home))
    kept = places.withheld()
    secrets = {str(home / ".ssh"), str(home / ".config" / "gcloud")}
    assert {*secrets, "/etc/shadow", "/dev", "/run/user", *map(str, paths.own_folders())} <= kept
    assert [each for each in places.readable(kept) if each.startswith(str(home))] == [str(home / "notes")]
    writable = {name: places.is_writable(home / name, kept) for name in ("", "notes", ".ssh/x", ".config/gcloud/x")}
    assert writable == {"": False, "notes": True, ".ssh/x": False, ".config/gcloud/x": False}
    assert not places.is_writable(Path("/mnt/disk/.aws/cli"), [])
    assert not places.is_writable(Path("/kept/x/y"), ["/kept/x"])
    assert {*places.DEVICES} == {f"/dev/{name}" for name in ("null", "zero", "full", "random", "urandom", "tty")}


def test_the_user_reads_how_a_command_is_confined(folder: Path) -> None:
    asked: list[tuple[Strength, Access]] = [
        ("full", "confined"),
        ("full", "network"),
        ("full", "outside"),
        ("partial", "confined"),
    ]
    assert [Sandbox(folder, forced=strength).describe(access) for strength, access in asked] == [
        "confined",
        "confined, but asks for the network",
        "asks to run outside of the sandbox",
        "confined in part (`chat doctor` says more)",
    ]
    for unconfined in (Sandbox(folder, forced="none"), Sandbox(folder, forced="full", is_on=False)):
        assert unconfined.describe("outside").startswith("not confined")
        assert unconfined.refusals("curl: (6) Could not resolve host: a", "confined") == []
    output = "curl: (6) Could not resolve host: a"
    assert Sandbox(folder, forced="full").refusals(output, "confined") == ["the network"]
    assert Sandbox(folder, forced="full").refusals(output, "network") == []


def test_landlock_takes_away_all_that_it_can() -> None:
    make_device, write, read, bind, connect = 1 << 6 | 1 << 11, 1 << 1, 1 << 2, 1, 2
    assert not landlock.writing(7) & make_device
    assert not landlock.READ & write
    assert not landlock.LIST & (read | write)
    assert landlock.device(7) == write | read | 1 << 15
    assert struct.unpack("=3Q", landlock.ruleset(7, network=False)) == (landlock.all_rights(7), bind | connect, 3)
    assert struct.unpack("=3Q", landlock.ruleset(7, network=True)) == (landlock.all_rights(7), 0, 3)
    assert struct.unpack("=2Q", landlock.ruleset(4, network=False)) == (landlock.all_rights(4), bind | connect)
    assert struct.unpack("=1Q", landlock.ruleset(1, network=False)) == (0b1_1111_1111_1111,)


def judged(number: int, *arguments: int, network: bool = False, truncate: bool = True, arch: str = "x86_64") -> str:
    """Return what the filter for x86-64 does with a system call, as the kernel runs it."""
    data = struct.pack("=IIQ6Q", number, ARCHES[arch], 0, *(*arguments, *[0] * (6 - len(arguments))))
    steps = list(struct.iter_unpack("=HBBI", seccomp_filter("x86_64", network=network, truncate=truncate)))
    at = loaded = 0
    while True:
        code, if_true, if_false, value = steps[at]
        at += 1
        if code == 0x06:
            return NAMES[value]
        if code == 0x20:
            (loaded,) = struct.unpack_from("=I", data, value)
        else:
            is_true = {0x15: loaded == value, 0x35: loaded >= value, 0x45: bool(loaded & value)}[code]
            at += if_true if is_true else if_false


def test_a_command_gets_no_system_call_that_leads_out() -> None:
    refused = (
        *(101, 310, 311, 312, 440, 438, 298, 323, 321, 256, 279),  # other processes
        *(29, 30, 64, 68, 240, 248, 249, 250),  # memory, queues and keys that are shared by name
        *(425, 426, 427, 165, 166, 155, 161, 272, 308, 428, 429, 430, 431, 432, 433, 442, 304, 103),
    )
    assert {judged(number) for number in refused} == {REFUSED}
    assert {judged(number) for number in (112, 109, 141, 251, 142, 144, 203, 314)} == {NOTHING_DONE}
    assert {judged(number) for number in (0, 1, 2, 57, 59, 257)} == {ALLOWED}
    assert judged(0x40000000) == UNKNOWN  # x32
    assert judged(0, arch="aarch64") == KILLED
    assert judged(435) == UNKNOWN  # clone3, whose flags can't be seen
    assert [judged(56, flags) for flags in (0, *(1 << bit for bit in (17, 25, 26, 27, 28, 29, 30)))] == [
        ALLOWED,
        *[REFUSED] * 7,
    ]
    assert [judged(302, pid) for pid in (0, 1)] == [ALLOWED, REFUSED]
    assert [judged(16, 0, request) for request in (0x5401, 0x5412, 0x541C, 0x541D)] == [ALLOWED, *[REFUSED] * 3]
    assert [judged(76, truncate=truncate) for truncate in (True, False)] == [ALLOWED, REFUSED]


@pytest.mark.parametrize("network", [True, False])
def test_only_the_internet_is_reached_and_only_if_it_is_allowed(network: bool) -> None:
    internet = ALLOWED if network else REFUSED
    sockets = {family: judged(41, family, network=network) for family in (1, 2, 10, 16, 17, 40)}
    assert sockets == {1: REFUSED, 2: internet, 10: internet, 16: internet, 17: REFUSED, 40: REFUSED}
    pairs = [judged(53, 1, kind | flags, network=network) for kind in (1, 5, 2) for flags in (0, 0x80800)]
    assert pairs == [*[ALLOWED] * 4, *[REFUSED] * 2]


def test_macos_confines_as_the_profile_says(folder: Path, tmp_path: Path) -> None:
    secret, holder = tmp_path / "secret", tmp_path / "holder"
    withheld = [str(secret), str(holder / "keys")]
    lines = apple_profile([folder, holder], tmp_path / "tmp", withheld, network=False).splitlines()
    assert f'(deny file-read-data (subpath "{secret}"))' in lines
    assert f'(allow file-read* file-write* (subpath "{folder}"))' in lines
    assert f'(allow file-read* file-write* (subpath "{holder}"))' not in lines
    assert f'(deny file-write* (subpath "{folder}/.git/hooks"))' in lines[-6:]  # the last match holds
    assert not [line for line in lines if "network" in line]
    assert apple_profile([folder], tmp_path, [], network=True).endswith("(allow system-socket)")
