"""The LangGraph app of a turn: its state, its node, and the reading of its stream."""
