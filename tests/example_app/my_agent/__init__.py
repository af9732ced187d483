"""An example of a LangGraph app with a command line of its own."""
