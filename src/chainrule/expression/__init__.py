"""The immutable expression: eight kinds of node, interned, with canonical products and sums."""
