"""Proofreading: a hand derivation is read line by line, and the first wrong line is found and explained."""
