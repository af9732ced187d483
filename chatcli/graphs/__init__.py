"""The graphs that answer: the plain chat, a user graph, and the app of a LangGraph server."""
