"""To the form a book would print."""
