"""Decoding of text in any encoding."""

import codecs

_SAMPLE = 64 * 1024
"""Bytes from which an encoding is guessed."""
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16: it begins with the mark of UTF-16
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_WIDE = ["utf_16_le", "utf_16_be", "utf_32_le", "utf_32_be"]
_WESTERN = "cp1252"


def decode(data: bytes) -> tuple[str, str] | None:
    """Return the text of `data` and its encoding, or None when it is not text.

    Valid UTF-8 and a byte order mark are certain; anything else is a guess.
    """
    for bom, encoding in _BOMS:
        if data.startswith(bom):
            return data.decode(encoding, errors="replace"), encoding
    wide = b"\0" in data[:_SAMPLE]
    if not wide:
        try:
            return data.decode("utf-8"), "utf-8"
        except UnicodeDecodeError:
            pass  # another encoding, or not text
    encoding_or_none = _guess(data[:_SAMPLE], wide=wide)
    if encoding_or_none is None:
        return None
    return data.decode(encoding_or_none, errors="replace"), encoding_or_none


def _guess(sample: bytes, *, wide: bool) -> str | None:
    from charset_normalizer import from_bytes, is_binary

    if not wide and is_binary(sample):
        return None
    # Only UTF-16 and UTF-32 contain zero bytes, and they do in any language that has spaces.
    matches = from_bytes(sample, cp_isolation=_WIDE) if wide else from_bytes(sample, cp_exclusion=_WIDE)
    best = matches.best()
    if best is None:
        return None
    for match in matches:
        # A short Western text fits several code pages equally well; the most common one is likely.
        if _WESTERN in (match.encoding, *match.could_be_from_charset) and match.chaos <= best.chaos:
            return _WESTERN
    return best.encoding
