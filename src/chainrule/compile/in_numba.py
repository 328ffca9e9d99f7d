"""Programs as loops in Python that numba compiles."""

from __future__ import annotations

import re
from collections.abc import Sequence
from string import Template

from chainrule.compile.assembly import LIBRARIES, assembled, formulas
from chainrule.compile.demands import all_demands
from chainrule.compile.loop_code import VARIABLES, LoopCode
from chainrule.compile.loop_language import At, Scope, lacking
from chainrule.compile.lower import lower
from chainrule.compile.positions import with_checks
from chainrule.compile.program import Map, Program
from chainrule.compile.recipes import unfolded
from chainrule.compile.scalar_code import in_numba
from chainrule.compile.source import argument_comments, parameters, readable_names, size_lines
from chainrule.compile.writing import Names, literal
from chainrule.expression.node import Expr
from chainrule.expression.op import Op
from chainrule.expression.shape import Scalar, Shape

HEADER = '@njit(error_model="numpy", fastmath={"reassoc", "contract"})\n'
FUNCTIONS = {
    "sigmoid": '''@njit
def sigmoid(z):
    """1/(1 + e⁻ᶻ): the exponent is never positive."""
    e = np.exp(-abs(z))
    return 1 / (1 + e) if z >= 0 else e / (1 + e)
''',
    "softplus": '''@njit
def softplus(z):
    """log(1 + eᶻ), which never overflows."""
    return max(z, 0.0) + np.log1p(np.exp(-abs(z)))
''',
}


class NumbaCode(LoopCode):
    """One program as lines of Python."""

    language = "numba"

    def opened(self, scope: Scope, variable: str, extent: str) -> None:
        """Write the line of a loop."""
        scope.add(f"for {variable} in range({extent}):")

    def closed(self, scope: Scope) -> None:
        """A loop ends where its lines do."""

    def variable(self, scope: Scope, name: str, text: str, constant: bool = True) -> None:
        """Set a name."""
        scope.add(f"{name} = {text}")

    def assigned(self, scope: Scope, target: str, text: str, sign: str = "=") -> None:
        """Assign or add."""
        scope.add(f"{target} {sign} {text}")

    def indexed(self, name: str, at: At, shape: Shape) -> str:
        """Write X[i, j]."""
        return f"{name}[{', '.join(at)}]"

    def made(self, scope: Scope, k: int, name: str) -> None:
        """Make an array, but for what a function returns whole."""
        step = self.steps[k]
        sizes = [self.size(n) for n in step.shape]
        if self.loops.is_whole(k) and isinstance(step.action, Map) and len(step.action.op.core.output) == len(sizes):
            return
        scope.add(f"{name} = np.empty(({', '.join(sizes)}{',' * (len(sizes) == 1)}), dtype)")

    def line(self, line: str, named: dict[str, str]) -> str:
        """Write a line of the catalogue."""
        return in_numba(line, named)

    def choice(self, condition: str, value: str, other: str) -> str:
        """Write a conditional expression."""
        return f"({value} if {condition} else {other})"

    def number(self, value: Scalar) -> str:
        """Write a known number."""
        text = literal(value).replace('float("inf")', "np.inf")
        return f"{text}.0" if re.fullmatch(r"\d+", text) else text

    def size_as_number(self, text: str) -> str:
        """A size is a number."""
        return text

    def both(self, a: str, b: str) -> str:
        """Write a conjunction."""
        return f"{a} and {b}"

    def quotient(self, a: str, b: str) -> tuple[str, str]:
        """Write whole division."""
        return f"({a}) // {b}", f"({a}) % {b}"

    def as_place(self, text: str) -> str:
        """A position is an integer."""
        return f"int({text})"

    def refused(self, scope: Scope, condition: str, text: str, extent: str) -> None:
        """Raise an error."""
        scope.add(f"if not ({condition}):")
        scope.add(f'    raise IndexError("{text}: positions are whole numbers from 0 to {extent} - 1")')

    def whole(self, scope: Scope, k: int, op: Op, operands: Sequence[str]) -> None:
        """Call NumPy's function, which numba compiles for one matrix, for each entry of the leading axes."""
        line = op.code.numba or op.code.numpy
        if op.extents or re.search(r"\$xp[,)]", line):
            raise lacking(op, self.language)
        step, name = self.steps[k], self.values[k]
        lead = [self.size(n) for n in step.shape[: len(step.shape) - len(op.core.output)]]
        at = f"[{', '.join(VARIABLES[axis] for axis in range(len(lead)))}]" if lead else ""
        inner = scope
        for axis, size in enumerate(lead):
            self.opened(inner, VARIABLES[axis], size)
            inner = Scope(inner.depth + 1, inner.lines)
        named = {p: f"{o}{at}" for p, o in zip(op.parameters, operands, strict=True)}
        self.assigned(inner, f"{name}{at}", Template(line).substitute(named, xp="np"))


def _checks(program: Program, names: Names) -> list[str]:
    """Write what is asked of sizes: code that numba compiles would read beyond an axis, or call the largest -inf."""
    lines = []
    for size, least, words in all_demands(program):
        lines += [f"if {names.size(size)} < {names.size(least)}:", f'    raise ValueError("{words}")']
    return lines


def code_in_numba(exprs: tuple[Expr, ...], name: str) -> str:
    """Return a Python file with one compiled function of all expressions."""
    program = with_checks(unfolded(lower(*exprs)))
    ops = [step.action.op for step in program.instructions if isinstance(step.action, Map)]
    helpers = {h.__name__: h for op in ops for h in op.code.helpers if h.__name__ in op.code.numba}
    names = readable_names(program, LIBRARIES | {name, "njit", *FUNCTIONS, *helpers, *VARIABLES})
    code = NumbaCode(program, names)
    body = code.body()
    results = [code.values[k] for k in program.outputs]
    seen: set[str] = set()
    for p, (k, own) in enumerate(zip(program.outputs, list(results), strict=True)):
        results[p] = f"{own}.copy()" if own in seen and program.instructions[k].shape else own
        seen.add(own)
    checks = _checks(program, names)
    text = "\n".join([*checks, *body, *results])
    pairs = zip(names.arguments, program.arguments, strict=True)
    arrays = [own for k, (own, s) in enumerate(pairs) if s.shape and k not in program.positions]
    head = [f"dtype = {arrays[0]}.dtype" if arrays else "dtype = np.float64"] if "dtype)" in text else []
    head += size_lines(program, names, text)
    comments = argument_comments(program, names, ", positions from 0: any integers")
    lines = [*comments, *head, *checks, *body, f"return {', '.join(results)}"]
    function = f"{HEADER}def {name}({', '.join(parameters(program, names))}):\n" + "".join(f"    {x}\n" for x in lines)
    called = [source for own, source in FUNCTIONS.items() if f"{own}(" in text]
    needs_scipy = "# np.linalg in numba needs SciPy\n" * ("np.linalg" in text or bool(helpers))
    return assembled([*called, f"{needs_scipy}{formulas(exprs)}{function}"], helpers, decorator="@njit\n")
