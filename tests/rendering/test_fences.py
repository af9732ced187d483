"""The fenced code blocks of an answer, for `/copy code` and for the end of an exported message."""

import pytest

from chatcli.rendering.markdown.parser import code_blocks, open_fence


@pytest.mark.parametrize(
    ("source", "blocks"),
    [
        ("no code", []),
        ("`inline` only", []),
        ("```py\na\n\nb\n```\ntext\n~~~\nc\n~~~", ["a\n\nb", "c"]),
        ("- item\n\n  ```\n  a\n    b\n  ```\n", ["a\n  b"]),
        ("> ```\n> quoted\n> ```\n", ["quoted"]),
        ("````\n```\nfenced\n```\n````", ["```\nfenced\n```"]),
        ("```py\ncut short", ["cut short"]),
        ("```\n```", [""]),
    ],
)
def test_code_blocks(source: str, blocks: list[str]) -> None:
    assert code_blocks(source) == blocks


@pytest.mark.parametrize(
    ("source", "fence"),
    [
        ("no code", ""),
        ("```py\na\n```", ""),
        ("```py\na\n``` \n\ntext", ""),
        ("```\n```", ""),
        ("```", "```"),
        ("```py\na\n", "```"),
        ("```py\na\n\n\n", "```"),
        ("````md\n```\n", "````"),
        ("~~~\n```\n```", "~~~"),
        ("```py\na\n```\n\n~~~\nb", "~~~"),
        ("``` `not a fence", ""),
        ("- ```\n  ends with its list", ""),
        ("> ```\n> ends with its quote", ""),
    ],
)
def test_open_fence(source: str, fence: str) -> None:
    assert open_fence(source) == fence
