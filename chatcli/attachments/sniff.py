"""What kind of file some bytes are: by what they begin with, since a name can lie."""

_IMAGES = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
)
_PDF = b"%PDF-"
_PDF_WITHIN = 1024  # bytes: readers accept that much rubbish before the header


def image_type(data: bytes) -> str | None:
    """Return the media type of a PNG, JPEG, GIF or WebP image, None of anything else."""
    for magic, media_type in _IMAGES:
        if data.startswith(magic):
            return media_type
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "image/webp"
    return None


def is_pdf(data: bytes) -> bool:
    """Return whether `data` is a PDF."""
    return _PDF in data[:_PDF_WITHIN]
