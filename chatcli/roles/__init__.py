"""Roles: named system prompt templates with variables, and what a thread keeps of one."""
