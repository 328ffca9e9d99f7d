"""Expressions -> one straight-line program -> code that runs, or code to take away."""

from chainrule.compile.compiled import Compiled, compile_expressions
from chainrule.compile.takeaway import source_text

__all__ = ["Compiled", "compile_expressions", "source_text"]
