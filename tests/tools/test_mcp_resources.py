"""The arguments of an MCP server's prompt: what the user has typed of them, and is typing."""

import pytest

from chatcli.errors import UsageError
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


@pytest.mark.parametrize(
    ("typed", "values"),
    [
        ("Ada", {"name": "Ada"}),
        ("Ada kind", {"name": "Ada", "tone": "kind"}),
        ("Ada very kind", {"name": "Ada", "tone": "very kind"}),
        ("'Ada L' kind", {"name": "Ada L", "tone": "kind"}),
        ("tone=kind Ada L", {"name": "Ada L", "tone": "kind"}),
        ("name=a=b", {"name": "a=b"}),
        ("other=x", {"name": "other=x"}),
        ("name=a name=b", {"name": "a", "tone": "name=b"}),
        ("don't", {"name": "don't"}),
    ],
)
def test_words_become_arguments(typed: str, values: dict[str, str]) -> None:
    prompt = ServedPrompt("s", "greet", "", {"name": True, "tone": False})
    assert prompt.read_arguments(typed) == values
    assert (prompt.command, prompt.usage) == ("s:greet", "NAME [TONE]")


@pytest.mark.parametrize(
    ("typed", "problem"),
    [("", "/s:greet needs name"), ("tone=x", "needs name"), ("name=a tone=b c", "takes no more values: c")],
)
def test_arguments_that_lack_or_are_too_many_are_refused(typed: str, problem: str) -> None:
    with pytest.raises(UsageError, match=problem) as refused:
        ServedPrompt("s", "greet", "", {"name": True, "tone": False}).read_arguments(typed)
    assert refused.value.remedy == "Type: /s:greet NAME [TONE]"
