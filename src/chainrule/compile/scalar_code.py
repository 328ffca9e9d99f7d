"""A line of the catalogue, which is a Python expression of numbers, in C or in Python for numba."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from string import Template

C_NAMES = {
    "np.arcsin": "asin", "np.arccos": "acos", "np.arctan": "atan", "np.arcsinh": "asinh", "np.arccosh": "acosh",
    "np.arctanh": "atanh", "np.inf": "INFINITY", "math.erf": "erf", "abs": "fabs", "fast_sigmoid": "sigmoid",
    "fast_softplus": "softplus", "T": "(real)", "zero": "0", "one": "1",
}  # fmt: skip
NUMBA_NAMES = {"fast_sigmoid": "sigmoid", "fast_softplus": "softplus", "T": "", "zero": "0.0", "one": "1.0"}
OPERATORS: Mapping[type, str] = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.Gt: ">", ast.Lt: "<", ast.GtE: ">=", ast.LtE: "<=",
    ast.Eq: "==", ast.NotEq: "!=",
}  # fmt: skip


def in_c(line: str, named: Mapping[str, str]) -> str:
    """Write a line in C, with these texts for its arguments."""
    return Template(_c(_parsed(line))).substitute(named)


def in_numba(line: str, named: Mapping[str, str]) -> str:
    """Write a line for numba: elementary functions are NumPy's."""
    tree = _Renamed().visit(_parsed(line))
    return Template(ast.unparse(tree).replace("ARG_", "$")).substitute(named)


def _parsed(line: str) -> ast.expr:
    return ast.parse(line.replace("$", "ARG_"), mode="eval").body


class _Renamed(ast.NodeTransformer):
    """Replaces our own functions by those that are there."""

    def visit_Name(self, node: ast.Name) -> ast.expr:
        """Rename one name."""
        name = NUMBA_NAMES.get(node.id, f"np.{node.id.removeprefix('fast_')}" if "fast_" in node.id else node.id)
        return ast.parse(name or "float", mode="eval").body


def _c_condition(node: ast.Compare | ast.BoolOp) -> str:
    if isinstance(node, ast.BoolOp):
        return " || ".join(_c(value) for value in node.values)
    return f"{_c(node.left)} {OPERATORS[type(node.ops[0])]} {_c(node.comparators[0])}"


def _name(node: ast.expr) -> str:
    text = ast.unparse(node)
    return C_NAMES.get(text, text.removeprefix("np.").removeprefix("math.").removeprefix("fast_"))


def _c(node: ast.expr) -> str:
    match node:
        case ast.IfExp(test, body, orelse):
            return f"({_c(test)} ? {_c(body)} : {_c(orelse)})"
        case ast.BinOp(left, ast.Pow(), right):
            return f"pow({_c(left)}, {_c(right)})"
        case ast.BinOp(left, op, right):
            return f"({_c(left)} {OPERATORS[type(op)]} {_c(right)})"
        case ast.Compare() | ast.BoolOp():
            return _c_condition(node)
        case ast.UnaryOp(_, operand):
            return f"-{_c(operand)}"
        case ast.Call(function, arguments):
            return f"{_name(function)}({', '.join(_c(a) for a in arguments)})"
        case ast.Name(name) if name.startswith("ARG_"):
            return f"${{{name.removeprefix('ARG_')}}}"
    return _name(node)
