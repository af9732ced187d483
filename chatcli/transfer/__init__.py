"""Threads that move out of a store and into one: our own JSON and JSONL, ChatGPT's export, llm's log."""
