"""What runs turns: one engine for each kind of graph, opened behind a conversation."""
