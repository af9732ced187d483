"""What the user lets `chat` know in every thread: a project's instructions, and facts that they told it to remember."""
