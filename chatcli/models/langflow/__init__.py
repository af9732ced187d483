"""Flows of a Langflow server as models."""
