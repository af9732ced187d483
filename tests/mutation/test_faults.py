"""The list of faults can be tried: each still applies to the code."""

import pytest

from tests.mutation.__main__ import ROOT
from tests.mutation.faults import FAULTS, Fault


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.file}: {fault.what}")
def test_a_fault_applies_at_exactly_one_place(fault: Fault) -> None:
    assert (ROOT / fault.file).read_text(encoding="utf-8").count(fault.old) == 1
    assert fault.old != fault.new
    assert all((ROOT / test).exists() for test in fault.tests)
