"""Markdown as it streams: parsed into blocks and painted line by line."""
