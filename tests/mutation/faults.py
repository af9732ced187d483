"""Faults in important places, each with the tests that notice it.

A fault stands for a promise: what a user, or the owner of a machine, relies on. A new promise adds its faults here. The
texts are as short as they can be, and may stand anywhere in a line.
"""

from typing import NamedTuple


class Fault(NamedTuple):
    """A fault: in `file`, `new` instead of `old`, which occurs there exactly once."""

    file: str
    tests: tuple[str, ...]
    what: str
    old: str
    new: str


def _faults(file: str, tests: str, *faults: tuple[str, str, str]) -> list[Fault]:
    """Return the `faults` (what is wrong, old, new) in chatcli/`file` that `tests`, files below tests/, notice."""
    return [Fault(f"chatcli/{file}", tuple(f"tests/{test}" for test in tests.split()), *each) for each in faults]


FAULTS = [
    *_faults(
        "config/trust.py",
        "config/test_trust.py",
        ("CHATCLI_TRUST trusts another folder", " and file.folder == Path.cwd().resolve()", ""),
        ("CHATCLI_TRUST trusts the parents", "file.folder == Path.cwd().resolve()", "Path.cwd().resolve().is_relative_to(file.folder)"),
        ("CHATCLI_TRUST=0 trusts", '.strip().lower() in _TRUE', ""),
        ("CHATCLI_TRUST=TRUE does not trust", ".strip().lower()", ".strip()"),
        ("a link out of the folder is read", "if not target.is_relative_to(folder):", "if False:"),
        ("a file is not checked before it is opened", "    _check(found)  #", "    #"),
        ("a file is not checked when it is open", "        _check(os.fstat(file.fileno()))", "        pass"),
        ("a link is followed that came meanwhile", "os.O_NOFOLLOW | ", ""),
        ("a large file is cut", "if len(content) > MAX_FILE_BYTES:", "if False:"),
        ("the largest file is refused", "found.st_size > MAX_FILE_BYTES", "found.st_size >= MAX_FILE_BYTES"),
        ("another user's file is read", "(0, os.geteuid())", "(0, os.geteuid(), found.st_uid)"),
        ("root's file is refused", "(0, os.geteuid())", "(os.geteuid(),)"),
        ("a pipe is read", "if not stat.S_ISREG(found.st_mode):", "if False:"),
        ("any content is trusted", ".get(file.name) == file.digest", ".get(file.name) is not None"),
        ("any name is trusted", ".get(file.name) == file.digest", ".get(file.name, file.digest) == file.digest"),
        ("what is declined is trusted", '_record(files, "declined", "trusted")', '_record(files, "trusted", "declined")'),
        ("a declined trust is forgotten", '_record(files, "declined", "trusted")', "pass"),
        ("an old refusal stays", "            data[other].get(str(file.folder), {}).pop(file.name, None)\n", ""),
        ("the other answers are lost", "for folder, names in data[other].items() if names", "for folder, names in {}.items() if names"),
        ("only the newest file of a folder is kept", ".setdefault(str(file.folder), {})[file.name] = file.digest", '[str(file.folder)] = {file.name: file.digest}'),
        ("a refusal is not forgotten", 'for name in ("trusted", "declined"):\n            data[name] = _section_or_none(data, name)\n            found', 'for name in ("trusted",):\n            data[name] = _section_or_none(data, name)\n            found'),
        ("all folders are forgotten", "data[name].pop(str(folder), None) is not None", "bool(data[name])\n            data[name] = {}"),
        ("a project's env file is outside of it", 'return "" if name.startswith("..") or os.path.isabs(name) else name', "return name"),
        ("a damaged list trusts", "raise ValueError(f'\"{name}\" is not a table of folders')", "return {}"),
        ("the content is in the repr", "field(repr=False)", "field()"),
        ("a name with blanks is not quoted", "shlex.quote(sanitize_line(place))", "sanitize_line(place)"),
    ),
]
