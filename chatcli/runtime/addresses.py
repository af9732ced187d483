"""IP addresses: which are public, and which are of this machine."""

import ipaddress
from urllib.parse import urlsplit

_RESERVED_4 = (
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
)
_UNICAST_4 = (ipaddress.IPv4Address("1.0.0.0"), ipaddress.IPv4Address("223.255.255.255"))
_NOT_PUBLIC_4 = tuple(map(ipaddress.IPv4Network, _RESERVED_4))
_UNICAST_6 = ipaddress.IPv6Network("2000::/3")
_NOT_PUBLIC_6 = tuple(map(ipaddress.IPv6Network, ("2001::/23", "2001:db8::/32", "3fff::/20")))
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_ISATAP = 0x5EFE
"""Before an IPv4 address in the lower half of an IPv6 address, with or without the bit for a unique address."""

_warned: set[str] = set()


def is_public(text: str) -> bool:
    """Return whether the IP address `text` is one host's on the public internet."""
    # An address that leads to an IPv4 address (mapped, NAT64, 6to4, ISATAP) is as public as that one. These are not:
    # addresses of this machine, of a private network or a link, of a group of hosts, and reserved ones.
    # Python 3.11's `is_global` takes groups, fec0::/10, 3fff::/20 and private addresses in NAT64 or 6to4 for public.
    address = ipaddress.ip_address(text)
    if isinstance(address, ipaddress.IPv4Address):
        first, last = _UNICAST_4
        return first <= address <= last and not any(address in network for network in _NOT_PUBLIC_4)
    if address.scope_id is not None:
        return False
    inner = _embedded(address)
    if inner is not None and not is_public(str(inner)):
        return False
    if address.ipv4_mapped is not None or address in _NAT64:
        return True
    return address in _UNICAST_6 and not any(address in network for network in _NOT_PUBLIC_6)


def _embedded(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """Return the IPv4 address that packets to `address` may go to, if its form has one."""
    if address in _NAT64 or int(address) >> 32 & 0xFFFFFFFF & ~0x02000000 == _ISATAP:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour


def is_this_machine(host: str) -> bool:
    """Return whether `host`, a name or an address, is this machine by its form alone."""
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return host.rstrip(".").lower() == "localhost" or host.rstrip(".").lower().endswith(".localhost")
    inner = getattr(address, "ipv4_mapped", None) or address
    return bool(inner.is_loopback or inner.is_unspecified)


def open_key_warning(url: str) -> str:
    """Return the warning that a key goes to `url` unencrypted; empty if it does not, or if that was said before."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:  # the request reports it
        return ""
    if parts.scheme != "http" or is_this_machine(host) or host in _warned:
        return ""
    _warned.add(host)
    return f"the key goes to {host} unencrypted (http://): others on the way can read it; use https:// if you can"
