"""What an expression looks like: from expressions and written forms to a tree of notation."""
