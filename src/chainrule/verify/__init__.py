"""Numbers for every step."""
