"""Markdown as it streams: parsed into blocks, which become styled lines."""
