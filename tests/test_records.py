import copy
import dataclasses
import pickle
import subprocess
import sys
from dataclasses import FrozenInstanceError

import pytest

from chatcli.records import KW_ONLY, asdict, dataclass, field, replace


@dataclass(frozen=True, slots=True)
class Point:
    """A point."""

    x: int
    y: int = 2
    _: KW_ONLY
    secret: str = field(default="hidden", repr=False)
    noted: list[str] = field(default_factory=list, compare=False)


@dataclass(frozen=True, slots=True)
class Deeper(Point):
    """A point with more."""

    z: int = 3

    def __repr__(self) -> str:
        return f"Deeper {self.z}"


@dataclass(frozen=True, slots=True, eq=False)
class Itself:
    """It equals nothing else."""

    x: int


@dataclasses.dataclass(frozen=True, slots=True)
class Theirs:
    """A point of the library's."""

    x: int
    y: int = 2
    _: KW_ONLY
    secret: str = dataclasses.field(default="hidden", repr=False)
    noted: list[str] = dataclasses.field(default_factory=list, compare=False)


def test_a_record_compares_hashes_and_shows_as_the_library_has_it() -> None:
    assert Point(1) == Point(1, noted=["x"])
    assert Point(1) != Point(1, secret="other")
    theirs: object = Theirs(1)
    assert Point(1) != theirs
    assert Point(1) != Deeper(1)
    assert hash(Point(1)) == hash(Theirs(1))
    assert len({Point(1), Point(1), Point(2)}) == 2
    assert repr(Point(1)) == repr(Theirs(1)).replace("Theirs", "Point") == "Point(x=1, y=2, noted=[])"
    assert repr(Deeper(1, z=4)) == "Deeper 4"
    assert Itself(1) != Itself(1)
    assert repr(Itself(1)) == "Itself(x=1)"


def test_a_record_can_be_copied_matched_and_stored() -> None:
    point = Deeper(1, 5, secret="s", noted=["n"])
    for same in (pickle.loads(pickle.dumps(point)), copy.copy(point), copy.deepcopy(point), replace(point)):
        assert (same, same.noted) == (point, ["n"])
    assert replace(point, z=9).z == 9
    assert asdict(Point(1)) == {"x": 1, "y": 2, "secret": "hidden", "noted": []}
    match point:
        case Point(x, y):
            assert (x, y) == (1, 5)


@pytest.mark.parametrize("name", ["x", "noted", "z"])
def test_a_record_is_not_changed(name: str) -> None:
    point = Deeper(1)
    with pytest.raises(FrozenInstanceError, match=f"cannot assign to field '{name}'"):
        setattr(point, name, 0)
    with pytest.raises(FrozenInstanceError, match=f"cannot delete field '{name}'"):
        delattr(point, name)
    with pytest.raises(AttributeError):
        point.other = 1  # type: ignore[attr-defined]
    assert point == Deeper(1)


def test_all_frozen_classes_with_slots_are_made_so() -> None:
    # With the library's, a start takes 8 % more CPU.
    code = (
        "import dataclasses, sys\n"
        "import chatcli.conversation.chat_engine, chatcli.repl.handler, chatcli.cli.run.one_shot\n"
        "for name, module in list(sys.modules.items()):\n"
        "    for found in vars(module).values() if name.startswith('chatcli.') else ():\n"
        "        if dataclasses.is_dataclass(found) and isinstance(found, type) and found.__module__ == name:\n"
        "            if found.__dataclass_params__.frozen and '__slots__' in found.__dict__: print(found)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == ""
