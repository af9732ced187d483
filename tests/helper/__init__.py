"""The process that stays behind, and that it is not noticed."""
