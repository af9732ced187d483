import math
import re
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from rich.syntax import Syntax

from chatcli.config.secrets import Secret
from chatcli.config.values import (
    HeaderTable,
    TypedText,
    code_themes,
    http_url,
    not_negative,
    parse_variables,
    positive,
    read_value,
    style_of_code,
    tool_rules,
)
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
        (Annotated[str, http_url], "https://host/v1//", "https://host/v1"),
        (HeaderTable, "X-Key=a=b", HeaderTable({"X-Key": Secret("a=b")})),
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


@pytest.mark.parametrize("url", ["ftp://host", "https://", "host/v1", "http://host:0", "file:///etc/passwd"])
def test_a_server_s_address_is_one_of_http(url: str) -> None:
    with pytest.raises(ValueError, match="a URL starts with http:// or https://, and a host follows"):
        read_value(Annotated[str, http_url], url)


def test_a_rule_names_a_tool() -> None:
    assert read_value(Annotated[tuple[str, ...], tool_rules], "run_shell:ls *") == ("run_shell:ls *",)
    with pytest.raises(ValueError, match="TOOL or TOOL:PATTERN, not ' :x'"):
        read_value(Annotated[tuple[str, ...], tool_rules], ["fetch_url", " :x"])


@pytest.mark.parametrize(
    "given", ["x y", "A B=s3cret", "name=s3cr\u00e9t", "name=s3cret\nX: y", "name=", '["s3cret"', 5]
)
def test_headers_that_http_does_not_allow_are_refused_without_their_texts(given: object) -> None:
    with pytest.raises(ValueError, match=r"^headers, each NAME=VALUE") as caught:
        read_value(HeaderTable, given)
    assert "s3cr" not in str(caught.value)


def test_what_is_no_json_is_a_text() -> None:
    assert TypedText("1e400").readings() == [math.inf, "1e400"]
    assert TypedText("NaN").readings() == ["NaN"]
    assert TypedText("[1]").readings() == [[1], "[1]"]


def test_a_message_does_not_repeat_a_whole_file() -> None:
    with pytest.raises(ValueError, match="a whole number") as caught:
        read_value(int, "x" * 1_000_000)
    assert len(str(caught.value)) < 500


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
