"""`chat mcp`: a server of the Model Context Protocol, so that other programs ask, search and read threads."""
