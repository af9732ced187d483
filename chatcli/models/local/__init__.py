"""The embedded local model: weights that are fetched once, and one server process for all of a user's terminals."""
