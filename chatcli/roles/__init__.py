"""Roles: named system prompt templates with variables.

`role` says what a role is and reads its file, `library` knows which there are, `setup` is what a thread keeps of one,
`opening` chooses that for a thread, and `prompt` is the template as langchain's prompt.
"""
