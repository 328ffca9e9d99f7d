"""Spelling to tree: NumPy-style text, MATLAB-style text and LaTeX, read by one precedence table; no mathematics."""
