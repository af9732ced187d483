"""A user graph (`--graph`): how it is named, found, loaded, and how its failures are explained."""
