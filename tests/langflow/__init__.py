"""Against a real Langflow server, which `run` starts; not part of the normal run."""
