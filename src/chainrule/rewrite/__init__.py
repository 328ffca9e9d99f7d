"""Rules, statements and derivations as data: what is claimed, by which rule, and whether it held."""
