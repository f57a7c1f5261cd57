"""Verbs: what can be done with a system. Each is a function over it."""
