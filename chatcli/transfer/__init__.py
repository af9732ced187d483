"""Threads as files: export and import as JSON, JSONL, Markdown, HTML, and the exports of other programs."""
