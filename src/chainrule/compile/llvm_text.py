"""The text of a kernel in Python -> instructions of LLVM, in one pass over the text.

The text says little: loops over ranges, numbers, entries and parts of arrays, and calls of functions that are one line
after the other, which are written where they are called. No index is negative, and a variable of a loop's body ends
with it. What else Python may say is `Unwritten`.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from chainrule.compile.llvm_functions import call, is_apart, options
from chainrule.compile.llvm_lanes import VECTOR_FUNCTIONS
from chainrule.compile.llvm_values import BYTES, TYPES, Code, Module, Unwritten, Value, View, joined, kind_of

SIGNS: dict[type, str] = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//", ast.Mod: "%", ast.LShift: "<<",
    ast.RShift: ">>", ast.BitAnd: "&", ast.BitOr: "|", ast.BitXor: "^", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">",
    ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!=",
}  # fmt: skip
KNOWN: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv, "//": operator.floordiv,
    "%": operator.mod, "<<": operator.lshift, ">>": operator.rshift, "&": operator.and_, "|": operator.or_,
    "^": operator.xor, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq,
    "!=": operator.ne,
}  # fmt: skip
CALLS = {
    "floor": "llvm.floor", "sqrt": "llvm.sqrt", "abs": "llvm.fabs", "sin": "sin", "cos": "cos", "tan": "tan",
    "arcsin": "asin", "arccos": "acos", "arctan": "atan", "sinh": "sinh", "cosh": "cosh", "arcsinh": "asinh",
    "arccosh": "acosh", "arctanh": "atanh", "cbrt": "cbrt", "erf": "erf", "exp": "exp", "expm1": "expm1", "log": "log",
    "log1p": "log1p", "tanh": "tanh",
}  # fmt: skip
CONVERSIONS = {"T", "F", "I", "float", "np.float64", "np.float32", "np.int64", "np.int32"}
ALIGNED = 64  # bytes: a line of a cache
ABREAST = "ABREAST"  # the constant that says how many steps of a loop are one vector


@dataclass(frozen=True, slots=True)
class _Variable:
    kind: str
    place: str


class Body:
    """The lines of a function: `names` are its parameters and variables, those of the innermost loop last."""

    def __init__(self, module: Module, code: Code, names: dict[str, Any], kept: list[str] | None = None) -> None:
        self.module = module
        self.code = code
        self.scopes: list[dict[str, Any]] = [names]
        self.kept = [] if kept is None else kept  # pointers to memory that is to be given back
        self.result: Any = None

    # --- lines
    def run_function(self, function: ast.FunctionDef) -> None:
        """Write the lines of a function, with the freedom that its decorator leaves to LLVM."""
        outer, self.code.flags = self.code.flags, ""
        for option in options(function):
            if option.arg == "fastmath":
                self.code.flags = "".join(f"{flag} " for flag in sorted(ast.literal_eval(option.value)))
        self.run(function.body)
        self.code.flags = outer

    def run(self, lines: Sequence[ast.stmt]) -> None:
        """Write the lines."""
        for line in lines:
            match line:
                case ast.For(ast.Name(name), ast.Call(ast.Name("range"), bounds), body, []):
                    self._loop(name, bounds, body)
                case ast.If(test, body, []):
                    self._branch(self.value(test), body)
                case ast.Expr(ast.Constant()):
                    pass  # a docstring
                case ast.Expr(ast.Call() as call):
                    self.value(call)
                case ast.Return(ast.expr() as value) if line is lines[-1]:
                    self.result = self.value(value)
                case _:
                    self._assignment(line)

    def _assignment(self, line: ast.stmt) -> None:
        match line:
            case ast.Assign(targets, value):
                found = self.value(value)
                for target in targets:
                    self._assign(target, found)
            case ast.AnnAssign(target, _, ast.expr() as value):
                self._assign(target, self.value(value))
            case ast.AugAssign(target, sign, value):
                self._assign(target, self._binary(sign, self.value(target), self.value(value)))
            case _:
                raise Unwritten(ast.unparse(line))

    def _loop(self, name: str, nodes: Sequence[ast.expr], body: Sequence[ast.stmt]) -> None:
        bounds = [self.value(node) for node in nodes]
        start, stop = (0, bounds[0]) if len(bounds) == 1 else bounds[:2]
        step = bounds[2] if len(bounds) == 3 else 1
        abreast = ast.unparse(nodes[-1]) == ABREAST
        self.code.each(start, stop, step, lambda index: self._inside({name: index}, body), abreast)

    def _inside(self, names: dict[str, Any], body: Sequence[ast.stmt]) -> None:
        self.scopes.append(names)
        self.run(body)
        self.scopes.pop()

    def _branch(self, test: Any, body: Sequence[ast.stmt]) -> None:
        if not isinstance(test, Value):
            if test:
                self.run(body)
            return
        code, number = self.code, self.code.number()
        test = test if test.kind == "i1" else code.compared("!=", test, 0)
        code.lines.append(f"br i1 {test.text}, label %yes{number}, label %no{number}")
        code.begin(f"yes{number}")
        self._inside({}, body)
        code.lines.append(f"br label %no{number}")
        code.begin(f"no{number}")

    def _assign(self, target: ast.expr, value: Any) -> None:
        match target:
            case ast.Tuple(targets):
                for part, own in zip(targets, value, strict=True):
                    self._assign(part, own)
            case ast.Name(name):
                self._name(name, value)
            case ast.Subscript(array, ast.Constant(at)) if at is ...:
                self._fill(self._array(array), value)
            case ast.Subscript(array, at):
                view = self._array(array)
                self.code.store(value, view.kind, self.code.entry(view, self._indices(at)))
            case _:
                raise Unwritten(ast.unparse(target))

    def _name(self, name: str, value: Any) -> None:
        if not isinstance(value, Value | int | float | np.generic):
            self.scopes[-1][name] = value
            return
        known = next((scope[name] for scope in reversed(self.scopes) if name in scope), None)
        kind = kind_of(value)
        if known is None:
            known = self.scopes[-1][name] = _Variable(kind, self.code.place(kind))
        if not isinstance(known, _Variable) or joined(known.kind, kind) != known.kind:
            raise Unwritten(f"{name} has two types")
        self.code.store(value, known.kind, known.place)

    def _fill(self, view: View, value: Any) -> None:
        self._every(view.shape, lambda at: self.code.store(value, view.kind, self.code.entry(view, at)))

    def _every(self, shape: Sequence[Any], write: Callable[[tuple[Any, ...]], None], at: tuple[Any, ...] = ()) -> None:
        """Write loops over all indices that begin with these."""
        if len(at) == len(shape):
            write(at)
        else:
            self.code.each(0, shape[len(at)], 1, lambda index: self._every(shape, write, (*at, index)))

    # --- values
    def value(self, node: ast.expr) -> Any:
        """Return what an expression is: a number, known or not, an array, or several."""
        match node:
            case ast.Constant(value) if isinstance(value, int | float):
                return value
            case ast.Name(name):
                return self._named(name)
            case ast.Tuple(parts):
                return tuple(self.value(part) for part in parts)
            case ast.BinOp(left, sign, right):
                return self._binary(sign, self.value(left), self.value(right))
            case ast.UnaryOp(ast.USub(), operand):
                value = self.value(operand)
                return self.code.negated(value) if isinstance(value, Value) else -value
            case ast.Compare() | ast.BoolOp() | ast.IfExp():
                return self._chosen(node)
        return self._read(node)

    def _chosen(self, node: ast.Compare | ast.BoolOp | ast.IfExp) -> Any:
        match node:
            case ast.Compare(left, [sign], [right]):
                return self._compared(SIGNS.get(type(sign), ""), self.value(left), self.value(right))
            case ast.BoolOp(sign, parts):
                return self._joined("and" if isinstance(sign, ast.And) else "or", [self.value(p) for p in parts])
            case ast.IfExp(test, body, orelse):
                condition = self.value(test)
                if isinstance(condition, Value) and (_is_alone(body) or _is_alone(orelse)):
                    return self._one_of(condition, body, orelse)
                return self.code.chosen(condition, self.value(body), self.value(orelse))
        raise Unwritten(ast.unparse(node))

    def _one_of(self, condition: Value, *nodes: ast.expr) -> Value:
        """Return the first if the condition holds, else the second, and compute this one alone."""
        code, number, before = self.code, self.code.number(), self.code.lines
        arms = []
        for word, node in zip(("yes", "no"), nodes, strict=True):
            code.lines = []
            code.begin(f"{word}{number}")
            arms.append((self.value(node), code.lines, code.block))
        kind = joined(*(kind_of(value) for value, _, _ in arms))
        before.append(f"br i1 {condition.text}, label %yes{number}, label %no{number}")
        ways = []
        for value, lines, block in arms:
            code.lines = lines
            ways.append(f"[ {code.text(value, kind)}, %{block} ]")
            before += [*lines, f"br label %chosen{number}"]
        code.lines = before
        code.begin(f"chosen{number}")
        return code.add(kind, f"phi {kind} {', '.join(ways)}")

    def _read(self, node: ast.expr) -> Any:
        match node:
            case ast.Attribute(ast.Name("np"), name):
                return getattr(np, name)
            case ast.Attribute(array, name):
                return self._attribute(self._array(array), name)
            case ast.Subscript(array, ast.Slice(low, ast.expr() as high, None)):
                return self._slice(self._array(array), self.value(low) if low else 0, self.value(high))
            case ast.Subscript(array, at):
                owner = self.value(array)
                return owner[self.value(at)] if isinstance(owner, tuple) else self._entry(owner, self._indices(at))
            case ast.Call(ast.Attribute(owner, "view"), [kind]):
                return self.code.bits(self.value(owner), _type(self.value(kind)))
            case ast.Call(function, arguments):
                return self._call(function, [self.value(a) for a in arguments])
        raise Unwritten(ast.unparse(node))

    def _named(self, name: str) -> Any:
        for scope in reversed(self.scopes):
            if name in scope:
                found = scope[name]
                return self.code.load(found.kind, found.place) if isinstance(found, _Variable) else found
        if name in self.module.constants:
            return self.module.constants[name]
        raise Unwritten(name)

    def _binary(self, sign: ast.operator, x: Any, y: Any) -> Any:
        text = SIGNS.get(type(sign), "")
        if isinstance(sign, ast.Pow):
            return self.code.called_on("pow", x, y)
        if not text:
            raise Unwritten(ast.dump(sign))
        if isinstance(x, Value) or isinstance(y, Value):
            return self.code.binary(text, x, y)
        return KNOWN[text](x, y)

    def _compared(self, sign: str, x: Any, y: Any) -> Any:
        if isinstance(x, Value) or isinstance(y, Value):
            return self.code.compared(sign, x, y)
        return KNOWN[sign](x, y)

    def _joined(self, word: str, parts: Sequence[Any]) -> Any:
        found = self.code.text(parts[0], "i1")
        for part in parts[1:]:
            found = self.code.add("i1", f"{word} i1 {found}, {self.code.text(part, 'i1')}").text
        return Value("i1", found)

    # --- arrays
    def _array(self, node: ast.expr) -> View:
        value = self.value(node)
        if not isinstance(value, View):
            raise Unwritten(ast.unparse(node))
        return value

    def _indices(self, node: ast.expr) -> list[Any]:
        return [self.value(part) for part in (node.elts if isinstance(node, ast.Tuple) else [node])]

    def _attribute(self, view: View, name: str) -> Any:
        match name:
            case "T":
                return view.turned()
            case "shape":
                return view.shape
            case "strides":
                return tuple(view.stride(axis) for axis in range(len(view.shape)))
            case "itemsize":
                return BYTES[view.kind]
        raise Unwritten(name)

    def _entry(self, view: View, at: Sequence[Any]) -> Any:
        """Return an entry, or the part of an array at the first indices."""
        rest = len(view.shape) - len(at)
        place = self.code.entry(view, [*at, *[0] * rest])
        if rest:
            return View(view.kind, place, view.shape[len(at) :], view.strides[len(at) :])
        return self.code.load(view.kind, place)

    def _slice(self, view: View, low: Any, high: Any) -> View:
        data = self.code.entry(view, [low, *[0] * (len(view.shape) - 1)])
        return View(view.kind, data, (self.code.binary("-", high, low), *view.shape[1:]), view.strides)

    def _made(self, shape: Sequence[Any], kind: str) -> View:
        """Make an array: memory that nothing else points to."""
        code = self.code
        strides: list[Any] = [None]
        size: Any = BYTES[kind]
        for extent in reversed(shape):
            size = code.binary("*", size, extent)
            strides.insert(0, size)
        whole = code.binary("+", size, ALIGNED)
        memory = code.add("ptr", f"call noalias ptr @PyMem_RawMalloc(i64 {whole.text})")
        place = code.place("ptr")
        code.lines.append(f"store ptr {memory.text}, ptr {place}")
        self.kept.append(place)
        self._refuse(memory)
        return View(kind, self._aligned(memory), tuple(shape), tuple(strides[1:]))

    def _aligned(self, memory: Value) -> str:
        code = self.code
        address = code.add("i64", f"ptrtoint ptr {memory.text} to i64")
        over = code.add("i64", f"and i64 {address.text}, {ALIGNED - 1}")
        return code.moved(memory.text, "i8", code.add("i64", f"sub i64 {ALIGNED}, {over.text}"))

    def _refuse(self, memory: Value) -> None:
        code, number = self.code, self.code.number()
        missing = code.add("i1", f"icmp eq ptr {memory.text}, null")
        code.lines.append(f"br i1 {missing.text}, label %fail, label %made{number}")
        code.begin(f"made{number}")

    def _copied(self, view: View) -> View:
        copy, code = self._made(view.shape, view.kind), self.code

        def write(at: tuple[Any, ...]) -> None:
            code.store(code.load(view.kind, code.entry(view, at)), view.kind, code.entry(copy, at))

        self._every(view.shape, write)
        return copy

    # --- calls
    def _call(self, function: ast.expr, arguments: Sequence[Any]) -> Any:
        match function, arguments:
            case ast.Attribute(ast.Name("np"), "empty"), [shape, kind]:
                return self._made(shape if isinstance(shape, tuple) else (shape,), _type(kind))
            case ast.Attribute(ast.Name("np"), "ascontiguousarray"), [View() as view]:
                return self._copied(view)
            case ((ast.Attribute(ast.Name("np" | "math"), name) | ast.Name("abs" as name)), [x]) if name in CALLS:
                return self.code.called_on(CALLS[name], x)
            case ast.Name("min" | "max" as name), [x, y]:
                return self.code.chosen(self._compared("<" if name == "min" else ">", y, x), y, x)
            case ast.Name(name), _ if name in VECTOR_FUNCTIONS:
                return VECTOR_FUNCTIONS[name](self.code, *arguments)
            case ast.Name(name), _ if name in self.module.functions:
                return self._inlined(self.module.functions[name], arguments)
            case ast.Name("float"), _:
                return self._converted(float, arguments)
        return self._converted(self.value(function), arguments)

    def _converted(self, kind: Any, arguments: Sequence[Any]) -> Any:
        if len(arguments) != 1:
            raise Unwritten(str(kind))
        own, (x,) = _type(kind), arguments
        return self.code.cast(x, own) if isinstance(x, Value) else kind(x)

    def _inlined(self, function: ast.FunctionDef, arguments: Sequence[Any]) -> Any:
        if is_apart(function):
            return call(self.module, self.code, function, arguments, partial(self._apart, function))
        names = [a.arg for a in function.args.args]
        body = Body(self.module, self.code, dict(zip(names, arguments, strict=True)), self.kept)
        body.run_function(function)
        return body.result

    def _apart(self, function: ast.FunctionDef, code: Code, names: dict[str, Any]) -> bool:
        body = Body(self.module, code, names)
        body.run_function(function)
        return not body.kept and body.result is None


def _is_alone(node: ast.expr) -> bool:
    """True for what is computed only where it is asked for: an entry may not exist, and a function takes long."""
    for part in ast.walk(node):
        is_call = isinstance(part, ast.Call) and ast.unparse(part.func) not in CONVERSIONS
        if is_call or isinstance(part, ast.Subscript | ast.Div):
            return True
    return False


def _type(kind: Any) -> str:
    if kind not in TYPES:
        raise Unwritten(str(kind))
    return TYPES[kind]
