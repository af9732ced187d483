"""Which model `local` means: by memory and disk, decided once; what is on this machine is used."""

import os
import shutil
from collections.abc import Callable
from types import SimpleNamespace

import psutil
import pytest

from chatcli import paths
from chatcli.config.providers import KEY_VARIABLES
from chatcli.config.settings import Settings
from chatcli.models.local.choice import default_weights, describe_fetch, offer_larger, offer_provider, remember_choice
from chatcli.models.local.weights import KNOWN_WEIGHTS, QWEN, QWEN_LARGE, SMOLLM, Weights

pytestmark = pytest.mark.usefixtures("own_folders")

Machine = Callable[..., None]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Give a function that sets how much memory and disk this machine says it has."""

    def set_to(memory: int = 8_000_000_000, disk: int = 50_000_000_000) -> None:
        monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=memory))
        monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=disk))

    set_to()
    return set_to


def place(weights: Weights) -> None:
    """Put a file of the right size where a download would be."""
    weights.cache_file.parent.mkdir(parents=True, exist_ok=True)
    weights.cache_file.touch()
    os.truncate(weights.cache_file, weights.size)


@pytest.mark.parametrize(
    ("memory", "disk", "chosen"),
    [
        (3_000_000_000, 2_000_000_000, QWEN_LARGE),
        (2_999_999_999, 2_000_000_000, QWEN),
        (8_000_000_000, 1_117_320_768, QWEN),
        (999_999_999, 2_000_000_000, SMOLLM),
        (8_000_000_000, 400_000_000, SMOLLM),
        (0, 0, SMOLLM),
    ],
)
def test_largest_that_memory_and_disk_allow(machine: Machine, memory: int, disk: int, chosen: Weights) -> None:
    machine(memory=memory, disk=disk)
    assert default_weights() is chosen


def test_decided_once(machine: Machine) -> None:
    machine(memory=2_000_000_000)
    assert default_weights() is QWEN
    remember_choice(SMOLLM)  # which was named, and changes nothing
    remember_choice(QWEN)
    machine()
    assert default_weights() is QWEN


def test_decided_again_if_the_record_is_damaged(machine: Machine) -> None:
    remember_choice(QWEN_LARGE)
    (paths.state_dir() / "local" / "model").write_bytes(b"\xff\x00")
    machine(memory=2_000_000_000)
    assert default_weights() is QWEN


def test_what_was_fetched_is_used_rather_than_another(machine: Machine) -> None:
    remember_choice(QWEN_LARGE)
    place(QWEN)
    assert default_weights() is QWEN
    remember_choice(QWEN)
    place(QWEN_LARGE)
    assert default_weights() is QWEN, "it was chosen, and is still there"


def test_of_two_that_were_fetched_the_larger_is_used_if_memory_allows(machine: Machine) -> None:
    place(QWEN)
    place(SMOLLM)
    machine(memory=500_000_000)
    assert default_weights() is SMOLLM
    machine(memory=2_000_000_000)
    assert default_weights() is QWEN


def test_a_state_folder_that_cannot_be_written_costs_only_the_record(machine: Machine) -> None:
    paths.state_dir().parent.mkdir(parents=True)
    paths.state_dir().write_text("a file")
    remember_choice(QWEN_LARGE)
    assert default_weights() is QWEN_LARGE


@pytest.mark.parametrize("weights", KNOWN_WEIGHTS, ids=lambda weights: weights.name)
def test_notice_names_size_and_others(weights: Weights) -> None:
    text = describe_fetch(weights)
    assert f"{weights.title} is fetched once: {weights.megabytes} MB" in text
    for other in KNOWN_WEIGHTS:
        assert (f"-m local:{other.name} ({other.megabytes} MB)" in text) == (other != weights)


def test_a_larger_one_is_offered_once(machine: Machine) -> None:
    place(QWEN)
    remember_choice(QWEN)
    offer = offer_larger(QWEN)
    assert "chat models default local:qwen2.5-coder-1.5b" in offer
    assert offer_larger(QWEN) == ""


def test_nothing_is_offered_without_room(machine: Machine) -> None:
    place(QWEN)
    remember_choice(QWEN)
    machine(memory=2_000_000_000)
    assert offer_larger(QWEN) == ""
    machine()
    assert offer_larger(QWEN) != "", "as soon as there is room"


def test_nothing_is_offered_for_a_model_that_was_named(machine: Machine) -> None:
    remember_choice(QWEN_LARGE)
    assert offer_larger(QWEN) == ""
    assert offer_larger(QWEN_LARGE) == ""


def test_a_provider_is_offered_once_after_a_local_answer_without_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in KEY_VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    assert offer_provider(Settings(), "openai") == ""
    assert offer_provider(Settings(quiet=True), "local") == ""
    assert "chat keys set" in offer_provider(Settings(), "local")
    assert offer_provider(Settings(), "local") == ""


def test_a_provider_is_not_offered_where_there_is_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROQ_API_KEY", "key-3f0a9c51e7")
    assert offer_provider(Settings(), "local") == ""
