import re
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from rich.syntax import Syntax

from chatcli.config.secrets import Secret
from chatcli.config.values import code_themes, not_negative, parse_variables, positive, read_value, style_of_code
from chatcli.rendering.theme import find_code_theme


@pytest.mark.parametrize(
    ("kind", "given", "value"),
    [
        (str, "a b", "a b"),
        (bool, True, True),
        (bool, "Yes", True),
        (bool, "0", False),
        (int, "12", 12),
        (int, 12.0, 12),
        (float, "0.5", 0.5),
        (float, 1, 1.0),
        (Path | None, "a/b", Path("a/b")),
        (Secret, "key", Secret("key")),
        (Literal["auto", "never"], "never", "never"),
        (tuple[str, ...], "a,b", ("a,b",)),
        (tuple[str, ...], '["a", "b"]', ("a", "b")),
        (tuple[str, ...], ["a", "b"], ("a", "b")),
        (dict[str, str], '{"a": "b"}', {"a": "b"}),
        (dict[str, str], "a=b", {"a": "b"}),
        (dict[str, str], ["a=b", 'c="d=e"'], {"a": "b", "c": "d=e"}),
        (dict[str, dict[str, Any]], "A b.c=0.2", {"A b": {"c": 0.2}}),
        (Annotated[float, not_negative] | None, "0", 0.0),
    ],
)
def test_a_value_is_read_as_its_kind(kind: Any, given: object, value: object) -> None:
    assert read_value(kind, given) == value


@pytest.mark.parametrize(
    ("text", "variables"),
    [
        ("", {}),
        ("language=French tone=dry", {"language": "French", "tone": "dry"}),
        ("""language="old French"  tone='very dry'""", {"language": "old French", "tone": "very dry"}),
        ("""name=O'Brien said="hm"m tone="dry""", {"name": "O'Brien", "said": '"hm"m', "tone": '"dry'}),
    ],
)
def test_variables_may_stand_in_quotes(text: str, variables: dict[str, str]) -> None:
    assert parse_variables(text) == variables


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        (str, 5),
        (bool, "maybe"),
        (bool, ""),
        (int, "1.5"),
        (int, "x"),
        (int, "nan"),
        (int, True),
        (float, "x"),
        (float, None),
        (Literal["auto", "never"], "Never"),
        (tuple[str, ...], "[1"),
        (tuple[str, ...], [1]),
        (dict[str, str], "[]"),
        (dict[str, str], ["a"]),
        (Annotated[int, positive], 0),
        (Annotated[float, positive], "inf"),
        (Annotated[float, not_negative], "-1"),
        (Annotated[float, not_negative], "nan"),
    ],
)
def test_what_cannot_be_one_is_refused(kind: Any, given: object) -> None:
    with pytest.raises(ValueError, match=r"not|no "):
        read_value(kind, given)


def test_a_secret_is_never_shown() -> None:
    assert "key" not in f"{Secret('key')} {Secret('key')!r} {[Secret('key')]}"


@pytest.mark.parametrize(
    ("name", "hint"),
    [("monokay", "did you mean monokai?"), ("Solarized", "did you mean solarized-"), ("zzz", "such as monokai")],
)
def test_an_unknown_style_of_code_gets_close_names(name: str, hint: str) -> None:
    with pytest.raises(ValueError, match=re.escape(hint)):
        style_of_code(name)


def test_every_style_of_code_that_is_offered_exists() -> None:
    for name in code_themes():
        assert style_of_code(name) == name
        assert Syntax.get_theme(find_code_theme(name)) is not None
