"""From notation to text, LaTeX and HTML."""
