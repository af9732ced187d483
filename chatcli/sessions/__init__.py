"""One thread of any graph: its turns, its stream of events, its repair and its branches."""
