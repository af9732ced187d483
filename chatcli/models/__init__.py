"""Which model answers: its name, its client, its errors."""
