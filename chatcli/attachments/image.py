"""Images, reduced only if a provider would refuse them."""

import io
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

from chatcli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from PIL import Image

MAX_IMAGE_BYTES = 3_750_000
"""The strictest provider takes 5 MB, counted in base64, which needs four bytes for three."""
MAX_SIDE = 8000
"""The largest width or height, in pixels, that the strictest provider takes."""
REDUCED_SIDE = 2048
"""The longer side after the reduction, in pixels; providers reduce images to this size or below themselves."""
_QUALITY = 85


def fit_image(name: str, data: bytes, media_type: str) -> tuple[bytes, str]:
    """Return the image and its media type, reduced if providers would refuse it.

    Raises:
        UsageError: It can't be read as an image.

    """
    with _opened(name, data) as image:
        if len(data) <= MAX_IMAGE_BYTES and max(image.size) <= MAX_SIDE:
            return data, media_type
        return _reduce(image)


def pixels(name: str, data: bytes) -> tuple[int, int]:
    """Return the width and the height.

    Raises:
        UsageError: It can't be read as an image.

    """
    with _opened(name, data) as image:
        return image.size


@contextmanager
def _opened(name: str, data: bytes) -> "Iterator[Image.Image]":
    from PIL import Image

    try:
        with warnings.catch_warnings():
            # A picture that is dangerously large is an error here, not a warning.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data)) as image:
                yield image
    except Image.DecompressionBombWarning as error:
        raise UsageError(f"{name} has too many pixels: {error}") from None
    except Exception as error:  # noqa: BLE001 - the decoders raise anything on a damaged picture
        raise UsageError(f"{name} can't be read as an image: {' '.join(str(error).split())}") from None


def _reduce(image: "Image.Image") -> tuple[bytes, str]:
    from PIL import Image, ImageOps

    upright = ImageOps.exif_transpose(image)  # the new file has no EXIF data that would rotate it
    upright.thumbnail((REDUCED_SIDE, REDUCED_SIDE), Image.Resampling.LANCZOS)
    reduced = io.BytesIO()
    if upright.has_transparency_data:
        upright.convert("RGBA").save(reduced, "PNG", optimize=True)
        if reduced.tell() <= MAX_IMAGE_BYTES:
            return reduced.getvalue(), "image/png"
        reduced = io.BytesIO()
    upright.convert("RGB").save(reduced, "JPEG", quality=_QUALITY)
    return reduced.getvalue(), "image/jpeg"
