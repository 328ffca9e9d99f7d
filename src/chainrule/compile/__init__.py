"""Expressions -> one straight-line program -> code that runs, or code to take away."""
