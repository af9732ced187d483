"""Short texts for messages, titles and listings."""


def one_line(text: str, limit: int | None = None) -> str:
    """Return `text` on one line, each run of white space one space, cut to `limit` characters with "..." at its end."""
    line = " ".join(text.split())
    return line if limit is None or len(line) <= limit else f"{line[: limit - 3]}..."


def format_size(count: int) -> str:
    """Return `count` bytes in a readable unit: `12.3 MB`."""
    amount = float(count)
    for unit in ("B", "kB", "MB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} GB"
