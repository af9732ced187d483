"""The process: signals, garbage collection, tracing, private files and bounded parsing."""
