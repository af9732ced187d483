"""The graph of the plain chat: its state, its nodes, and what is sent to the model."""
