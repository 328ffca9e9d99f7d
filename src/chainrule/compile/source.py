"""Program -> Python text. Only identifiers made here reach the text that is run: no name of a symbol or a size does."""

from __future__ import annotations

import builtins
import keyword
import re
import textwrap
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from chainrule.compile.demands import Demand
from chainrule.compile.dialects import IN_NUMPY, Dialect
from chainrule.compile.primitives import Primitives
from chainrule.compile.program import Load, Program
from chainrule.compile.writing import Line, Names
from chainrule.expression.extent import is_derived
from chainrule.expression.shape import Shape, Size

PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,30}\Z")
OURS = re.compile(r"(v|a|n)\d+\Z|n_")  # the form of the names made here
TAKEN = frozenset(dir(builtins)) | set(keyword.kwlist) | set(keyword.softkwlist) | {"np", "dtype", "annotations"}


# --- names
def made_names(program: Program) -> Names:
    """Name arguments by position, and a size after itself only if its name is plain letters and digits."""
    return Names(tuple(f"a{k}" for k in range(len(program.arguments))), _size_names(program))


def readable_names(program: Program, taken: set[str]) -> Names:
    """Keep the symbols' own names where they are safe to write as a parameter."""
    used = set(taken)
    names = []
    for k, symbol in enumerate(program.arguments):
        name = symbol.name if is_safe_name(symbol.name) and symbol.name not in used else f"a{k}"
        used.add(name)
        names.append(name)
    return Names(tuple(names), _size_names(program))


def is_safe_name(name: str) -> bool:
    """True for an identifier that Python reads as it is written and that means nothing else."""
    normal = unicodedata.normalize("NFKC", name) == name
    return name.isidentifier() and normal and name not in TAKEN and not OURS.match(name) and not name.startswith("__")


def _size_names(program: Program) -> dict[str, str]:
    return {size: f"n_{size}" if PLAIN.match(size) else f"n{k}" for k, size in enumerate(program.sizes)}


# --- the function that is run
@dataclass(frozen=True, slots=True)
class Body:
    """What a function does: lines that set its sizes and types, lines that compute, and what it returns."""

    head: list[str]
    lines: list[Line]
    results: list[str]
    groups: Mapping[str, Program]  # what runs entry by entry, by the name of its function


def function_body(program: Program, names: Names, dialect: Dialect = IN_NUMPY, into: bool = False) -> Body:
    """Write the instructions of a program; with `into`, the last one writes into an array `out` if there is one."""
    return body_of(Primitives(program, names, dialect, into))


def body_of(primitives: Primitives) -> Body:
    """Return the body of the function that computes the program of these primitives."""
    program, names, dialect = primitives.program, primitives.names, primitives.dialect
    lines = primitives.lines()
    results = _results(program, primitives)
    head = size_lines(program, names, "\n".join([*(line.text for line in lines), *results]))
    if primitives.uses_dtype or any("dtype" in r for r in results):
        head.insert(0, _types(program, names, dialect))
    return Body(head, lines, results, primitives.groups)


def function_text(
    program: Program,
    names: Names,
    name: str,
    dialect: Dialect = IN_NUMPY,
    free_early: bool = True,
    into: bool = False,
) -> str:
    """Return the source of a function of the arguments by position (then the given sizes) that returns the outputs.

    With `into` the function also takes an array `out` in which its one result may be written.
    """
    body = function_body(program, names, dialect, into)
    lines = [text for texts in written(body, names, dialect, free_early) for text in texts]
    text = "\n".join(
        [*argument_comments(program, names, dialect.positions), *body.head, *lines, f"return {', '.join(body.results)}"]
    )
    groups = "".join(
        function_text(group, made_names(group), own, dialect, free_early, into=True) + "\n\n"
        for own, group in body.groups.items()
    )
    taken = ", ".join([*parameters(program, names), *(["out=None"] if into else [])])
    return f"{groups}def {name}({taken}):\n{textwrap.indent(text, '    ')}\n"


def parameters(program: Program, names: Names) -> list[str]:
    """Return what the arguments are called, then the given sizes."""
    return [*names.arguments, *(names.sizes[size] for size in program.given)]


def argument_comments(program: Program, names: Names, positions: str = "") -> list[str]:
    """Return a line for each argument: `# X: N × d`, and for one that holds positions what else is to be said."""
    pairs = enumerate(zip(names.arguments, program.arguments, strict=True))
    kinds = dict.fromkeys(program.positions, positions)
    return [f"# {own}: {shape_words(symbol.shape, names)}{kinds.get(k, '')}" for k, (own, symbol) in pairs]


def _types(program: Program, names: Names, dialect: Dialect) -> str:
    """Write the line that says which type, and where, new arrays have: those of the arguments."""
    typed = [own for k, own in enumerate(names.arguments) if k not in program.positions]
    if not typed:
        return dialect.spell("no types")
    shaped = {own for own, symbol in zip(names.arguments, program.arguments, strict=True) if symbol.shape}
    arrays = [own for own in typed if own in shaped]
    return dialect.spell("types", arguments=", ".join(typed), like=(arrays or typed)[0])


def shape_words(shape: Shape, names: Names) -> str:
    """Write a shape for a comment; a size that could not lend its name to the code is called what the code calls it."""
    return " × ".join(names.size(n).replace("n_", "") for n in shape) or "number"


def with_shape(line: str, shape: Shape | None, names: Names) -> str:
    """Write the shape behind a line."""
    return line if shape is None else f"{line}  # {shape_words(shape, names)}"


def size_lines(program: Program, names: Names, text: str) -> list[str]:
    """Write the lines that take from the arguments' shapes the sizes which a text uses."""
    lines = []
    for size in program.sizes:
        place, name = program.place_of(size), names.sizes[size]
        if place is not None and re.search(rf"\b{name}\b", text):
            lines.append(f"{name} = {names.arguments[place[0]]}.shape[{place[1]}]")
    return lines


def unpacked_sizes(program: Program, names: Names) -> list[str]:
    """Write the lines that name all sizes which the arguments' shapes show."""
    lines = []
    known: set[object] = set(program.given)
    for own, symbol in zip(names.arguments, program.arguments, strict=True):
        new = [n if n in program.sizes and n not in known and symbol.shape.index(n) == k else None
               for k, n in enumerate(symbol.shape)]  # fmt: skip
        if any(new):
            lines.append(f"{', '.join(names.sizes[n] if n else '_' for n in new)}{',' * (len(new) == 1)} = {own}.shape")
        known.update(new)
    return lines


def written(body: Body, names: Names, dialect: Dialect, free_early: bool = True) -> list[list[str]]:
    """Return each line with its shape behind it; then one that drops the arrays which nobody reads any more.

    So their memory serves the next ones.
    """
    freed = _freed(body) if free_early and dialect.frees else [[] for _ in body.lines]
    lines = [with_shape(line.text, line.shape, names) for line in body.lines]
    return [[line, *([f"del {', '.join(done)}"] if done else [])] for line, done in zip(lines, freed, strict=True)]


def _freed(body: Body) -> list[list[str]]:
    """Return, for each line but the last, the arrays of as many axes as there are that it is the last to read."""
    ndim = max((len(line.shape) for line in body.lines if line.shape), default=0)
    used = [set(re.findall(r"\bv\d+\b", line.text)) for line in body.lines]
    last = {name: k for k, names in enumerate(used) for name in names}
    kept = {name for result in body.results for name in re.findall(r"\bv\d+\b", result)}
    lines = [line.text for line in body.lines if line.shape and len(line.shape) == ndim]
    large = {name for text in lines for name in re.findall(r"^ *(v\d+) =", text, re.M)[-1:]}
    return [
        sorted(name for name in large - kept if last[name] == k < len(body.lines) - 1) for k in range(len(body.lines))
    ]


def _results(program: Program, primitives: Primitives) -> list[str]:
    """Return what is returned: arrays of the caller's own, never an argument or a shared or read-only view of one."""
    results: list[str] = []
    owned: set[int] = set()
    for k in program.outputs:
        text, root = primitives.texts[k], k
        step = program.instructions[root]
        while step.is_view:
            root = step.operands[0]
            step = program.instructions[root]
        if k in primitives.numbers:
            text = primitives.spell("typed", x=text)
        elif program.instructions[k].shape:
            borrowed = root in owned or isinstance(step.action, Load) or _is_expanded(program, k, primitives.numbers)
            text = primitives.spell("copied", x=text) if borrowed else text
            owned.add(root)
        results.append(text)
    return results


def _is_expanded(program: Program, k: int, numbers: set[int]) -> bool:
    """True for a read-only view that repeats entries; a repeated number is an array filled with it."""
    step = program.instructions[k]
    return step.is_view and len(step.output) > len(set(step.subscripts[0])) and step.operands[0] not in numbers


# --- the way in
def entry_text(program: Program, names: Names, demands: Sequence[Demand] = ()) -> str:
    """Return the source of a function that returns the arguments if they can be used as they are, else None.

    They can if all are arrays of one float type in the right shapes, and sizes are as large as is asked; a
    Python number takes their type.
    """
    pairs = list(zip(names.arguments, program.arguments, strict=True))
    arrays = [(own, symbol.shape) for own, symbol in pairs if symbol.shape]
    if any(is_derived(size) for _, shape in arrays for size in shape):
        lines = ["return None"]  # sizes such as n-1 are compared one by one
    else:
        lines = [*_type_lines([own for own, _ in arrays]), *_shape_lines(arrays, names)]
        lines += [_number_line(own) for own, symbol in pairs if not symbol.shape]
        lines += [_unless(f"{own}.__class__ is int and {own} >= 0") for own in (names.sizes[n] for n in program.given)]
        lines += [_unless(f"{names.size(d.size)} >= {names.size(d.least)}") for d in demands]
        lines.append(f"return ({''.join(f'{own}, ' for own in parameters(program, names))})")
    return f"def enter({', '.join(parameters(program, names))}):\n{textwrap.indent(chr(10).join(lines), '    ')}\n"


def _unless(condition: str) -> str:
    return f"if not ({condition}):\n    return None"


def _type_lines(arrays: Sequence[str]) -> list[str]:
    if not arrays:
        return ["number = float64"]
    lines = [
        _unless(f"{' is '.join(f'{own}.__class__' for own in arrays)} is ndarray"),
        f"kind = {arrays[0]}.dtype",
        "if kind is double:\n    number = float64",
        "elif kind is single:\n    number = float32",
        "else:\n    return None",
    ]
    same = " and ".join(f"{own}.dtype is kind" for own in arrays[1:])
    return [*lines, _unless(same)] if same else lines


def _shape_lines(arrays: Sequence[tuple[str, Shape]], names: Names) -> list[str]:
    """Compare the shapes: an array that shows a new size is unpacked, any other has the shape that is known by then."""
    known: set[Size] = set()
    lines = []
    for own, shape in arrays:
        new: dict[Size, int] = {
            n: k for k, n in reversed(list(enumerate(shape))) if isinstance(n, str) and n not in known
        }
        if new:
            shown = [names.size(n) if new.get(n) == k else f"s{k}" for k, n in enumerate(shape)]
            lines += [_unless(f"{own}.ndim == {len(shape)}"), f"{', '.join(shown)}, = {own}.shape"]
            same = [f"s{k} == {names.size(n)}" for k, n in enumerate(shape) if new.get(n) != k]
            lines += [_unless(" and ".join(same))] if same else []
        else:
            lines.append(_unless(f"{own}.shape == ({', '.join(map(names.size, shape))},)"))
        known.update(new)
    return lines


def _number_line(own: str) -> str:
    wrong = f"if {own}.__class__ is not float:\n        return None\n    {own} = number({own})"
    return f"if {own}.__class__ is not number:\n    {wrong}"
