"""Confines the commands of the model: what they may read, write and reach, by the system's own means."""
