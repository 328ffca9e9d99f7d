"""The immutable expression: eight kinds of node, interned, with canonical products and sums."""

from chainrule.expression import apply, build

__all__ = ["apply", "build"]
