"""chainrule: matrix calculus that shows its work."""
