"""Models of providers, by langchain's own clients."""
