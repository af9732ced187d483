"""The setup of a thread in its state: what a turn stores of it, and what is read of what is not stored."""

import pytest

from chatcli.graphs.chat.graph import setup_of, setup_update, with_empty_fields
from chatcli.roles import Setup

SETUP = Setup(model="openai:gpt-fake")
ROLE = Setup(role="pirate", template="Talk {how}.", variables={"how": "loud"}, temperature=0.0, model="openai:gpt-fake")
FIELDS = ["system", "role", "template", "variables", "temperature", "model", "base_url"]


@pytest.mark.parametrize(
    ("setup", "named"),
    [
        (SETUP, ["system", "model"]),
        (SETUP.with_system("Be brief."), ["system", "model"]),
        (SETUP.with_model("openai:gpt-fake", "http://localhost:1/v1"), ["system", "model", "base_url"]),
        (ROLE, ["system", "role", "template", "variables", "temperature", "model"]),
    ],
)
def test_a_new_thread_stores_no_empty_field(setup: Setup, named: list[str]) -> None:
    update = setup_update(setup, Setup())
    assert list(update) == named
    assert setup_of(update) == setup


@pytest.mark.parametrize("stored", [ROLE, SETUP, None])
def test_a_field_that_is_empty_again_is_stored(stored: Setup | None) -> None:
    update = setup_update(SETUP, stored)
    assert list(update) == FIELDS
    assert setup_of({**setup_update(ROLE, Setup()), **update}) == SETUP


def test_what_is_not_stored_is_shown_as_empty() -> None:
    shown = with_empty_fields({**setup_update(SETUP, Setup()), "asked": []})
    assert list(shown) == [*FIELDS, "asked"]
    assert (shown["role"], shown["variables"], shown["temperature"]) == ("", {}, None)
    assert with_empty_fields({"todos": 1}) == {"todos": 1}
