"""Programs in plain C (C99 and libm), with loops: one function of sizes, row-major arrays and pointers to results."""

from __future__ import annotations

import re
from collections.abc import Sequence

from chainrule.compile.assembly import formulas
from chainrule.compile.c_functions import C_FUNCTIONS, NEEDS
from chainrule.compile.demands import Demand, all_demands
from chainrule.compile.loop_code import VARIABLES, LoopCode
from chainrule.compile.loop_language import At, Scope, lacking
from chainrule.compile.lower import lower
from chainrule.compile.positions import with_checks
from chainrule.compile.program import Program
from chainrule.compile.recipes import unfolded
from chainrule.compile.scalar_code import in_c
from chainrule.compile.source import argument_comments, readable_names, shape_words
from chainrule.compile.writing import Names, combination, literal
from chainrule.expression.node import Expr
from chainrule.expression.op import Op
from chainrule.expression.shape import Scalar, Shape

WORDS = """
auto break case char const continue default do double else enum extern float for goto if inline int long
register restrict return short signed sizeof static struct switch typedef union unsigned void volatile while
real main NULL INFINITY NAN errno status exp log log1p expm1 sin cos tan asin acos atan sinh cosh tanh asinh
acosh atanh cbrt erf pow sqrt fabs abs malloc free fma signbit isnan
isinf lgamma tgamma erfc hypot floor ceil rint round trunc fmin fmax fmod fdim logb scalbn copysign remainder
nearbyint ilogb frexp ldexp exp2 log2 log10 carg cimag conj cproj creal REAL exit abort atoi
"""
NO_POSITION = 2  # what a function returns that was given a position which is not on its axis
TOO_SHORT = 3  # the same for an axis that has fewer entries than are read
END = "done"  # the label behind which memory is given back
TAKEN = set(WORDS.split()) | set(VARIABLES)  # what C, its library and the loops call something else


class CCode(LoopCode):
    """One program as lines of C."""

    language = "C"

    def __init__(self, program: Program, names: Names, results: Sequence[str]) -> None:
        super().__init__(program, names)
        self.results = results
        self.refuses = any(step.is_check for step in program.instructions)
        self.memory: list[str] = []
        self.lengths: list[str] = []
        for k, result in reversed(list(zip(self.program.outputs, results, strict=True))):
            if self.steps[k].shape:
                self.values[k] = result

    def opened(self, scope: Scope, variable: str, extent: str) -> None:
        """Write the first line of a loop."""
        scope.add(f"for (long {variable} = 0; {variable} < {extent}; {variable}++) {{")

    def closed(self, scope: Scope) -> None:
        """Write the last."""
        scope.add("}")

    def variable(self, scope: Scope, name: str, text: str, constant: bool = True) -> None:
        """Declare and set."""
        scope.add(f"{'const ' * constant}real {name} = {text};")

    def assigned(self, scope: Scope, target: str, text: str, sign: str = "=") -> None:
        """Assign or add."""
        scope.add(f"{target} {sign} {text};")

    def indexed(self, name: str, at: At, shape: Shape) -> str:
        """Row-major: X[i * n_d + j]."""
        place = _operand(at[0])
        for axis, (index, size) in enumerate(zip(at[1:], shape[1:], strict=True)):
            place = f"({place})" if axis else place
            place = f"{place} * {self.size(size)} + {_operand(index)}"
        return f"{name}[{place}]"

    def made(self, scope: Scope, k: int, name: str) -> None:
        """Memory is taken where the function begins."""
        if name not in self.results and name not in self.memory:
            self.memory.append(name)
            self.lengths.append(" * ".join(f"(size_t){self.size(n)}" for n in self.steps[k].shape))

    def line(self, line: str, named: dict[str, str]) -> str:
        """Write a line of the catalogue."""
        return in_c(line, named)

    def choice(self, condition: str, value: str, other: str) -> str:
        """Write a conditional expression."""
        return f"({condition} ? {value} : {other})"

    def number(self, value: Scalar) -> str:
        """Write a known number."""
        return c_number(literal(value))

    def size_as_number(self, text: str) -> str:
        """A size counts as a real number."""
        return f"(real){text}"

    def both(self, a: str, b: str) -> str:
        """Write a conjunction."""
        return f"{a} && {b}"

    def quotient(self, a: str, b: str) -> tuple[str, str]:
        """Write whole division."""
        return f"{_operand(a)} / {b}", f"{_operand(a)} % {b}"

    def as_place(self, text: str) -> str:
        """A position is a long, as sizes are."""
        return f"(long){text}"

    def refused(self, scope: Scope, condition: str, text: str, extent: str) -> None:
        """Go to the end."""
        for line in (f"if (!({condition})) {{", f"    status = {NO_POSITION};", f"    goto {END};", "}"):
            scope.add(line)

    def _combination(self, coefficients: Sequence[Scalar], texts: Sequence[str]) -> str:
        return c_number(combination(coefficients, texts))

    def whole(self, scope: Scope, k: int, op: Op, operands: Sequence[str]) -> None:
        """Call the function once for each entry of the leading axes."""
        if not op.code.c:
            raise lacking(op, self.language)
        step, name, core = self.steps[k], self.values[k], op.core
        lead = step.shape[: len(step.shape) - len(core.output)]
        given = self.steps[step.operands[0]].shape
        entries = [" * ".join(self.size(n) for n in shape[len(lead) :]) or "1" for shape in (given, step.shape)]
        n = self.size(given[-1])
        if not step.shape:
            scope.add(f"real {name} = NAN;")
            scope.add(f"status |= {op.code.c}({operands[0]}, &{name}, {n});")
        elif not lead:
            scope.add(f"status |= {op.code.c}({operands[0]}, {name}, {n});")
        else:
            self.opened(scope, "i", " * ".join(self.size(n) for n in lead))
            call = f"{op.code.c}({operands[0]} + i * {entries[0]}, {name} + i * {entries[1]}, {n})"
            scope.add(f"    status |= {call};")
            self.closed(scope)


def _operand(text: str) -> str:
    return f"({text})" if " " in text else text


def c_number(text: str) -> str:
    """Fractions of whole numbers are no whole numbers."""
    return re.sub(r"\((\-?\d+) / (\d+)\)", r"(\1.0 / \2)", text).replace('float("inf")', "INFINITY")


def code_in_c(exprs: tuple[Expr, ...], name: str) -> str:
    """Return a C file: the type, the functions that are called, and one function that computes the expressions."""
    program = with_checks(unfolded(lower(*exprs)))
    found = readable_names(program, TAKEN | {name, *C_FUNCTIONS})
    plain = [own if own.isascii() else f"a{k}" for k, own in enumerate(found.arguments)]
    names = Names(tuple(plain), found.sizes)
    taken = {*plain, name}
    stem = next(word for word in ("result", "result_", "result__") if not any(t.startswith(word) for t in taken))
    results = [stem] if len(exprs) == 1 else [f"{stem}{k}" for k in range(len(exprs))]
    code = CCode(program, names, results)
    body = code.body()
    checks = [f"if ({names.size(d.size)} < {names.size(d.least)}) return {TOO_SHORT};" for d in all_demands(program)]
    head, tail = [*checks, *_memory(code)], _copies(code)
    parameters = _parameters(program, names, results)
    text = "\n".join([*head, *body, *tail])
    unused = [p.split()[-1].lstrip("*") for p in parameters]
    unused = [own for own in unused if not re.search(rf"\b{own}\b", text)]
    silent = [f"(void){own};" for own in unused]
    called = [f for f in C_FUNCTIONS if re.search(rf"\b{f}\(", text)]
    called = list(dict.fromkeys(f for c in called for f in (*NEEDS.get(c, ()), c)))
    comments = [line.replace("#", " *", 1) for line in argument_comments(program, names, ", positions from 0: long")]
    comments += [f" * {result}: {shape_words(e.shape, names)}" for result, e in zip(results, exprs, strict=True)]
    lines = [f"    {line}" for line in (*silent, *head, *body, *tail, "return status;")]
    lines = [line.strip() if line.endswith(f" {END}:") else line for line in lines]
    words = formulas(exprs).replace("# ", " * ").replace("*/", "* /").rstrip("\n")
    fails = ["1 if there is no memory", *[f"{NO_POSITION} if a position is not on its axis"] * code.refuses]
    fails += [f"{TOO_SHORT} if an axis is too short: {_short(all_demands(program), names)}"] * bool(checks)
    comments.append(" * returns 0, " + ", ".join([*fails[:-1], f"or {fails[-1]}"]))
    about = "\n".join(["/*", *([words] if words else []), *comments, " */"])
    function = f"int {name}({', '.join(parameters)})\n{{\n    int status = 0;\n" + "\n".join(lines) + "\n}\n"
    return "\n".join([_HEAD.replace("NAME", name), *(C_FUNCTIONS[f].lstrip("\n") for f in called), about, function])


def _short(demands: Sequence[Demand], names: Names) -> str:
    """Say which axes those are."""
    return ", ".join(
        dict.fromkeys(f"{shape_words((d.size,), names)} < {shape_words((d.least,), names)}" for d in demands)
    )


def _parameters(program: Program, names: Names, results: Sequence[str]) -> list[str]:
    """Declare sizes, arguments and results."""
    parameters = [f"long {names.sizes[size]}" for size in program.sizes]
    for k, (own, symbol) in enumerate(zip(names.arguments, program.arguments, strict=True)):
        kind = "long" if k in program.positions else "real"
        parameters.append(f"const {kind} *{own}" if symbol.shape else f"{kind} {own}")
    return [*parameters, *(f"real *{result}" for result in results)]


def _memory(code: CCode) -> list[str]:
    lines = [
        f"real *{own} = malloc({length} * sizeof(real) + 1);"
        for own, length in zip(code.memory, code.lengths, strict=True)
    ]
    if code.memory:
        lines.append(f"if (!{' || !'.join(code.memory)}) {{")
        lines += [*(f"    free({own});" for own in code.memory), "    return 1;", "}"]
    return lines


def _copies(code: CCode) -> list[str]:
    """Write the results that are single numbers, and those that are asked for twice; give the memory back."""
    lines = []
    for k, result in zip(code.program.outputs, code.results, strict=True):
        value, shape = code.values[k], code.steps[k].shape
        if not shape:
            lines.append(f"*{result} = {value};")
        elif value != result:
            count = " * ".join(code.size(n) for n in shape)
            lines.append(f"for (long i = 0; i < {count}; i++) {result}[i] = {value}[i];")
    label = [f"{END}:"] if code.refuses else []
    return [*lines, *label, *(f"free({own});" for own in code.memory)]


_HEAD = """/*
 * Compile: cc -O3 -std=c99 -shared -fPIC NAME.c -o NAME.so -lm
 * Arrays are row-major; add -DREAL=float for single precision.
 */
#include <stdlib.h>
#include <tgmath.h>

#ifndef REAL
#define REAL double
#endif
typedef REAL real;
"""
