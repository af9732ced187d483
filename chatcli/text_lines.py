"""Text on one line, for messages, titles and listings."""


def one_line(text: str, limit: int | None = None) -> str:
    """Return `text` on one line, each run of white space one space, cut to `limit` characters with "..." at its end."""
    line = " ".join(text.split())
    return line if limit is None or len(line) <= limit else f"{line[: limit - 3]}..."
