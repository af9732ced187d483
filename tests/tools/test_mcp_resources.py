"""Which argument of an MCP server's prompt the user is typing."""

import pytest

from chatcli.tools.mcp_resources import ServedPrompt


@pytest.mark.parametrize(
    ("typed", "argument", "begun"),
    [
        ("", "name", ""),
        ("A", "name", "A"),
        ("Ada ", "tone", ""),
        ("Ada ki", "tone", "ki"),
        ("tone=ki", "tone", "ki"),
        ("tone=kind ", "name", ""),
        ("tone=kind Ad", "name", "Ad"),
        ("name=Ada k", "tone", "k"),
        ("name=Ada other=k", "tone", "other=k"),
        ("Ada is very ki", "tone", "ki"),
        ("name=Ada tone=kind x", "", "x"),
    ],
)
def test_the_argument_that_is_being_typed(typed: str, argument: str, begun: str) -> None:
    prompt = ServedPrompt("s", "greet", "", {"name": True, "tone": False})
    assert prompt.argument_at_end(typed) == (argument, begun)
    assert ServedPrompt("s", "plain").argument_at_end(typed)[0] == ""
