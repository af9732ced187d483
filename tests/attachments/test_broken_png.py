"""A PNG with a wrong checksum where it does not matter, which browsers show."""

import io
import zlib

import pytest
from PIL import Image

from chatcli.attachments.content import fit_image, pixels
from chatcli.errors import UsageError


def png(*chunks: tuple[bytes, bytes, int]) -> bytes:
    """Return 3 x 2 pixels with more `chunks` behind the header: kind, data, and what the checksum is off by."""
    plain = io.BytesIO()
    Image.new("RGB", (3, 2)).save(plain, "PNG")
    more = b"".join(
        len(data).to_bytes(4, "big") + kind + data + ((zlib.crc32(kind + data) + off) % 2**32).to_bytes(4, "big")
        for kind, data, off in chunks
    )
    return plain.getvalue()[:33] + more + plain.getvalue()[33:]


def test_a_broken_auxiliary_chunk_is_left_out() -> None:
    whole, broken = png((b"tEXt", b"a\0b", 0)), png((b"tEXt", b"a\0b", 0), (b"iCCP", b"profile", 1))
    assert pixels("x", broken) == (3, 2)
    assert fit_image("x", broken, "image/png") == (whole, "image/png")
    assert fit_image("x", whole, "image/png")[0] is whole


@pytest.mark.parametrize("data", [png()[:30], png()[:8], png((b"iCCP", b"x", 1))[:40]])
def test_an_image_that_is_cut_off_is_refused(data: bytes) -> None:
    with pytest.raises(UsageError, match="can't be read as an image"):
        pixels("x", data)
