"""Verbs: each one function whose arguments are what it needs."""
