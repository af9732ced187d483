"""What a model may call: built-in tools, and those of MCP servers."""
