"""`chat` for other programs: as an agent in an editor (`acp/`), and as an MCP server (`mcp/`)."""
