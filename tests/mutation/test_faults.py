"""The list of faults can be tried: each still applies to the code."""

import pytest

from tests.mutation.__main__ import ROOT
from tests.mutation.faults import FAULTS


@pytest.mark.parametrize("file", sorted({fault.file for fault in FAULTS}))
def test_each_fault_of_a_file_applies_at_exactly_one_place(file: str) -> None:
    text = (ROOT / file).read_text(encoding="utf-8")
    for fault in (each for each in FAULTS if each.file == file):
        assert text.count(fault.old) == 1, fault.what
        assert fault.old != fault.new, fault.what
        assert all((ROOT / test).exists() for test in fault.tests), fault.tests
