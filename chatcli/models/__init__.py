"""Models: their names, their clients and their errors."""
