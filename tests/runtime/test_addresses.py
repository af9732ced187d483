import pytest

from chatcli.runtime import addresses
from chatcli.runtime.addresses import is_public, is_this_machine, open_key_warning

PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "223.255.255.254",
    "2606:4700::1111",
    "::ffff:8.8.8.8",
    "64:ff9b::8.8.8.8",
    "2002:808:808::1",
]
NOT_PUBLIC = [
    *("0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "127.0.0.1", "127.1.2.3", "169.254.169.254", "172.16.0.1"),
    *("192.0.0.9", "192.0.2.1", "192.88.99.1", "192.168.0.1", "198.18.0.1", "198.51.100.1", "203.0.113.1"),
    *("224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255"),
    *("::", "::1", "::127.0.0.1", "::8.8.8.8", "fc00::1", "fd00::1", "fe80::1", "fe80::1%eth0", "fec0::1"),
    *("ff02::1", "ff0e::1", "100::1", "2001::1", "2001:db8::1", "3fff::1", "4000::1", "5f00::1"),
    *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::127.0.0.1", "64:ff9b::10.0.0.1", "64:ff9b:1::8.8.8.8"),
    *("2002:7f00:1::1", "2002:c0a8:1::1", "2606:4700::5efe:127.0.0.1", "2606:4700::200:5efe:10.0.0.1"),
    *("2001:0:808:808::1", "2606:4700::1111%eth0"),
]


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_an_address_that_is_not_public(address: str) -> None:
    assert not is_public(address)


def test_this_machine_is_known_by_its_names() -> None:
    names = ["localhost", "LOCALHOST.", "a.localhost", "127.0.0.1", "[::1]", "::1", "::ffff:127.0.0.1", "0.0.0.0"]
    assert all(map(is_this_machine, names))
    assert not any(map(is_this_machine, ["", "localhost.evil.example", "127.0.0.1.example", "10.0.0.1", "fe80::1"]))


def test_a_key_that_travels_openly_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "_warned", set())
    assert "10.0.0.5 unencrypted" in open_key_warning("http://user@10.0.0.5:8000/v1")
    for quiet in ("http://10.0.0.5/v2", "https://example.com", "http://127.0.0.1:1", "http://[::1]/", "http://[", ""):
        assert open_key_warning(quiet) == ""
