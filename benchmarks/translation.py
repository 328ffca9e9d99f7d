"""The corpus's NumPy text in the words of symbolic peers: SymPy's matrix expressions, tensorgrad's tensors.

A translator walks Python's syntax tree of the text; it evaluates nothing. What a peer has no word for raises
`Untranslatable`, and the peer is left out of that problem.
"""

from __future__ import annotations

import ast
import itertools
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import numpy as np
from tensors import Values

BINARY = {
    ast.Add: "add", ast.Sub: "subtract", ast.Mult: "multiply", ast.Div: "divide", ast.MatMult: "matmul",
    ast.Pow: "power",
}  # fmt: skip


class Untranslatable(Exception):
    """The peer has no word for a part of the formula."""


class Translator:
    """What all translators share: `formula` walks the tree and calls one method for each operation."""

    def formula(self, text: str) -> Any:
        return self.node(ast.parse(text, mode="eval").body)

    def node(self, e: ast.expr) -> Any:
        match e:
            case ast.Constant(value=int() | float() as number):
                return self.number(number)
            case ast.Name(id=name):
                return self.name(name)
            case ast.Attribute(value=inner, attr="T"):
                return self.transpose(self.node(inner))
            case ast.UnaryOp(op=ast.USub(), operand=inner):
                return self.multiply(self.number(-1), self.node(inner))
            case ast.BinOp(left=left, op=op, right=right) if type(op) in BINARY:
                return self.word(BINARY[type(op)])(self.node(left), self.node(right))
            case ast.Call(func=ast.Name(id=name), args=arguments, keywords=keywords):
                axis = {k.arg: ast.literal_eval(k.value) for k in keywords}
                return self.word(f"call_{name}")(*map(self.node, arguments), **axis)
        raise Untranslatable(ast.unparse(e))

    def word(self, name: str) -> Any:
        found = getattr(self, name, None)
        if found is None:
            raise Untranslatable(name.removeprefix("call_"))
        return found


class SymPy(Translator):
    """Scalars as symbols, vectors and matrices as `MatrixSymbol`s of the sizes given; vectors are columns."""

    def __init__(self, shapes: Mapping[str, list[str]], dims: Mapping[str, int]) -> None:
        import sympy

        self.sympy = sympy
        self.symbols = {name: self._symbol(name, [dims[s] for s in shape]) for name, shape in shapes.items()}
        self.vectors = {name for name, shape in shapes.items() if len(shape) == 1}

    def _symbol(self, name: str, shape: list[int]) -> Any:
        if len(shape) > 2:
            raise Untranslatable("three axes")
        return self.sympy.MatrixSymbol(name, *shape, *[1] * (2 - len(shape))) if shape else self.sympy.Symbol(name)

    def derivative(self, text: str, wrt: str, order: int) -> Any:
        """Return SymPy's derivative. A function of arrays has to be a scalar, which SymPy writes as a 1×1 matrix."""
        e, x = self.formula(text), self.symbols[wrt]
        if self.is_array(e) and e.shape != (1, 1):
            raise Untranslatable("a function that is no scalar")
        for k in range(order):
            if k and self.is_array(x):
                raise Untranslatable("a Hessian by an array")
            e = e.diff(x)
        return e

    def value(self, derivative: Any, values: Mapping[str, np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
        if isinstance(derivative, self.sympy.Derivative) or derivative.has(self.sympy.Derivative):
            raise Untranslatable("a derivative left as it was")
        function = self.sympy.lambdify(list(self.symbols.values()), derivative, "numpy")
        arrays = (np.reshape(values[n], s.shape) if self.is_array(s) else values[n] for n, s in self.symbols.items())
        return np.reshape(np.asarray(function(*arrays), dtype=float), shape)

    def is_array(self, e: Any) -> bool:
        return isinstance(e, self.sympy.MatrixExpr)

    def number(self, value: float) -> Any:
        return self.sympy.Integer(value) if isinstance(value, int) else self.sympy.Float(value)

    def name(self, name: str) -> Any:
        if name not in self.symbols:
            raise Untranslatable(name)
        return self.symbols[name]

    def transpose(self, e: Any) -> Any:
        return e.T

    def add(self, a: Any, b: Any) -> Any:
        if self.is_array(a) != self.is_array(b):
            raise Untranslatable("broadcasting")
        return a + b

    def subtract(self, a: Any, b: Any) -> Any:
        return self.add(a, -b)

    def multiply(self, a: Any, b: Any) -> Any:
        if self.is_array(a) and self.is_array(b):
            return self.sympy.HadamardProduct(a, b)
        return a * b

    def divide(self, a: Any, b: Any) -> Any:
        if self.is_array(b):
            raise Untranslatable("an element-wise quotient")
        return a / b

    def matmul(self, a: Any, b: Any) -> Any:
        if not (self.is_array(a) and self.is_array(b)):
            raise Untranslatable("a product of scalars")
        a = a.T if a.shape[1] != b.shape[0] and a.shape[1] == 1 else a
        return a * b

    def power(self, a: Any, b: Any) -> Any:
        return self._elementwise(a) ** b

    def _elementwise(self, a: Any) -> Any:
        if self.is_array(a):
            raise Untranslatable("an element-wise function of an array")
        return a

    def call_norm(self, a: Any) -> Any:
        return self.sympy.sqrt(self.sympy.Trace(a.T * a))

    def call_trace(self, a: Any) -> Any:
        return self.sympy.Trace(a)

    def call_det(self, a: Any) -> Any:
        return self.sympy.Determinant(a)

    def call_logdet(self, a: Any) -> Any:
        return self.sympy.log(self.sympy.Determinant(a))

    def call_inv(self, a: Any) -> Any:
        return self.sympy.Inverse(a)

    def word(self, name: str) -> Any:
        plain = name.removeprefix("call_")
        if plain in ("sin", "cos", "tan", "exp", "log", "tanh", "sqrt"):
            return lambda a: getattr(self.sympy, plain)(self._elementwise(a))
        return super().word(name)


class Tensorgrad(Translator):
    """Every array is a tensor and the list of its edges, axis by axis."""

    ELEMENTWISE = ("exp", "log", "tanh", "sigmoid", "relu", "sqrt", "abs", "erf")

    def __init__(self, shapes: Mapping[str, list[str]], dims: Mapping[str, int]) -> None:
        import tensorgrad
        import tensorgrad.functions

        self.tg, self.F = tensorgrad, tensorgrad.functions
        sizes = {s: tensorgrad.symbols(s) for shape in shapes.values() for s in shape}
        self.fresh = (f"e{k}" for k in itertools.count())
        self.edges = {name: [next(self.fresh) for _ in shape] for name, shape in shapes.items()}
        self.variables = {
            name: tensorgrad.Variable(name, **{e: sizes[s] for e, s in zip(self.edges[name], shape, strict=True)})
            for name, shape in shapes.items()
        }

    def derivative(self, text: str, wrt: str, order: int) -> tuple[Any, list[str]]:
        tensor, edges = self.formula(text)
        for _ in range(order):
            new = [next(self.fresh) for _ in self.edges[wrt]]
            tensor = tensor.grad(self.variables[wrt], dict(zip(self.edges[wrt], new, strict=True)))
            edges = [*edges, *new]
        return tensor.full_simplify(), edges

    def value(self, found: tuple[Any, list[str]], values: Mapping[str, np.ndarray], _: tuple[int, ...]) -> np.ndarray:
        tensor, edges = found
        sizes = {
            size: values[name].shape[k]
            for name, v in self.variables.items()
            for k, size in enumerate(v.shape[e] for e in self.edges[name])
        }
        return Values(values, self.edges, sizes).array(tensor, edges)

    def _again(self, part: tuple[Any, list[str]]) -> tuple[Any, list[str]]:
        """Return the same array with edges of its own."""
        tensor, edges = part
        new = [next(self.fresh) for _ in edges]
        return tensor.rename(**dict(zip(edges, new, strict=True))), new

    def number(self, value: float) -> Any:
        exact = Fraction(value).limit_denominator(10**6)
        return self.F.Ones() * (exact if exact.denominator > 1 else exact.numerator), []

    def name(self, name: str) -> Any:
        if name not in self.variables:
            raise Untranslatable(name)
        return self._again((self.variables[name], self.edges[name]))

    def transpose(self, a: Any) -> Any:
        return a[0], a[1][::-1]

    def _aligned(self, a: Any, b: Any) -> tuple[Any, Any, list[str]]:
        """Give both the same edges. A scalar stays one; other broadcasting is not translated."""
        if a[1] and b[1] and len(a[1]) != len(b[1]):
            raise Untranslatable("broadcasting")
        if a[1] and b[1]:
            return a[0], b[0].rename(**dict(zip(b[1], a[1], strict=True))), a[1]
        return a[0], b[0], a[1] or b[1]

    def add(self, a: Any, b: Any) -> Any:
        x, y, edges = self._aligned(a, b)
        if bool(a[1]) != bool(b[1]):
            whole = x if a[1] else y
            ones = self.F.Ones(**whole.shape)
            x, y = (x, y * ones) if a[1] else (x * ones, y)
        return x + y, edges

    def subtract(self, a: Any, b: Any) -> Any:
        return self.add(a, (b[0] * -1, b[1]))

    def multiply(self, a: Any, b: Any) -> Any:
        x, y, edges = self._aligned(a, b)
        return x * y, edges

    def divide(self, a: Any, b: Any) -> Any:
        x, y, edges = self._aligned(a, b)
        return x / y, edges

    def matmul(self, a: Any, b: Any) -> Any:
        if not a[1] or not b[1]:
            raise Untranslatable("a product of scalars")
        shared = a[1][-1]
        place = max(0, len(b[1]) - 2)
        other = [*b[1][:place], shared, *b[1][place + 1 :]]
        tensor = b[0].rename(**{b[1][place]: shared})
        return a[0] @ tensor, [*a[1][:-1], *other[:place], *other[place + 1 :]]

    def power(self, a: Any, b: Any) -> Any:
        raise Untranslatable("an exponent that is no number")

    def node(self, e: ast.expr) -> Any:
        if isinstance(e, ast.BinOp) and isinstance(e.op, ast.Pow):
            try:
                exponent = Fraction(ast.literal_eval(e.right)).limit_denominator(1000)
            except ValueError:
                raise Untranslatable("an exponent that is no number") from None
            if isinstance(e.left, ast.Call) and ast.unparse(e.left.func) == "norm" and exponent == 2:
                return self.F.frobenius2(self.node(e.left.args[0])[0]), []
            inner = self.node(e.left)
            return self.F.pow(inner[0], int(exponent) if exponent.denominator == 1 else exponent), inner[1]
        return super().node(e)

    def call_norm(self, a: Any) -> Any:
        return self.F.sqrt(self.F.frobenius2(a[0])), []

    def call_sum(self, a: Any, axis: int | None = None) -> Any:
        if axis is None:
            return self.F.sum(a[0]), []
        return self.F.sum(a[0], [a[1][axis]]), [e for e in a[1] if e != a[1][axis]]

    def call_mean(self, a: Any, axis: int | None = None) -> Any:
        if axis is None:
            return self.F.mean(a[0]), []
        return self.F.mean(a[0], [a[1][axis]]), [e for e in a[1] if e != a[1][axis]]

    def call_softmax(self, a: Any) -> Any:
        return self.F.softmax(a[0], [a[1][-1]]), a[1]

    def call_outer(self, a: Any, b: Any) -> Any:
        return a[0] * b[0], [*a[1], *b[1]]

    def call_trace(self, a: Any) -> Any:
        return self.F.trace(a[0]), []

    def call_det(self, a: Any) -> Any:
        return self.F.det(a[0]), []

    def call_logdet(self, a: Any) -> Any:
        return self.F.log(self.F.det(a[0])), []

    def call_inv(self, a: Any) -> Any:
        tensor, edges = self.F.inverse(a[0]), a[1]
        return tensor, edges[::-1]  # an inverse's rows are the matrix's columns

    def word(self, name: str) -> Any:
        plain = name.removeprefix("call_")
        if plain in self.ELEMENTWISE:
            return lambda a: (getattr(self.F, plain)(a[0]), a[1])
        return super().word(name)


PEERS = {"SymPy diff": (SymPy, ("sympy",)), "tensorgrad grad + full_simplify": (Tensorgrad, ("tensorgrad", "torch"))}
