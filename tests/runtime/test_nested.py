"""JSON and TOML from outside: nested too deeply, they are refused as anything else that is wrong."""

import pytest

from chatcli.runtime.parse import MAX_DEPTH, json_object, read_json, read_toml


def _lists(depth: int) -> str:
    return "[" * depth + "]" * depth


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 900, 100_000])
@pytest.mark.parametrize("around", ["{}", '{{"a": {}}}', '[1, {{"a": [{}]}}]'])
def test_json_that_is_nested_too_deeply_is_refused(depth: int, around: str) -> None:
    text = around.format(_lists(depth))
    for given in (text, text.encode()):
        with pytest.raises(ValueError, match="nested too deeply"):
            read_json(given)


def test_json_within_the_bound_is_read_however_much_it_holds() -> None:
    wide = '[{"a": [1, [2]]}]' + "," + _lists(MAX_DEPTH - 1)
    assert len(read_json(f"[{wide}{', []' * 10_000}]")) == 10_002


@pytest.mark.parametrize("stored", [_lists(1), f'{{"a": {_lists(100_000)}}}', "{", b"\xff", None, 5])
def test_what_is_no_object_or_deeper_than_python_reads_is_none(stored: object) -> None:
    assert json_object(stored) is None
    assert json_object(f'{{"a": {_lists(MAX_DEPTH + 1)}}}') is not None


@pytest.mark.parametrize(
    "text",
    [f"a = {_lists(MAX_DEPTH + 1)}", f"a = {_lists(50_000)}", f"{'a.' * 5000}a = 1", f"[{'a.' * 200}a]\nb = 1"],
    ids=["lists", "many lists", "dotted keys", "a table"],
)
def test_toml_that_is_nested_too_deeply_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="nested too deeply"):
        read_toml(text)


def test_toml_within_the_bound_is_read() -> None:
    assert read_toml("a = [[1]]\n[b.c]\nd = {e = 2}\n") == {"a": [[1]], "b": {"c": {"d": {"e": 2}}}}
