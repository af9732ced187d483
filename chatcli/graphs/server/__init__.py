"""The app of a LangGraph server (`--url`), and its threads."""
