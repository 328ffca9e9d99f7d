"""One instruction -> one line of array code: the best primitive for each, `einsum` last."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from string import Template

from chainrule.compile.dialects import IN_NUMPY, Dialect
from chainrule.compile.groups import weight
from chainrule.compile.operands import Operands
from chainrule.compile.program import (
    Combine,
    Constant,
    Contract,
    Divide,
    Entries,
    Gram,
    Instruction,
    Length,
    Load,
    Map,
    Pad,
    Part,
    Program,
    Put,
    Reshape,
    Take,
)
from chainrule.compile.writing import (
    Line,
    Names,
    combination,
    einsum_spec,
    either,
    literal,
    parenthesised,
    unwrapped,
)
from chainrule.compile.written_into import written_into
from chainrule.expression.extent import minus, plus, times
from chainrule.expression.node import Subscripts
from chainrule.expression.shape import Scalar, Size

LONGEST_PART = 48  # characters of a value that is written inside a longer line
LARGE = 1 << 20  # entries: one operation on as many runs in blocks, which threads share; of several, on fewer


class Primitives(Operands):
    """Writes the instructions of one program as lines of array code, in one library's dialect.

    `texts` holds, by instruction, what later lines call its value: a variable, or what is shorter than one (a literal,
    an argument, a transpose).
    """

    def __init__(self, program: Program, names: Names, dialect: Dialect = IN_NUMPY, into: bool = False) -> None:
        super().__init__(names, dialect)
        self.program = program
        self.into = into  # whether the last instruction writes into the array `out` of the caller, if there is one
        self.texts: list[str] = []
        self.numbers = program.numbers
        self.nested = self._nested()
        self.uses_dtype = False
        self.variables = 0
        self.groups: dict[str, Program] = {}  # the entry-by-entry groups by the name of their function

    def lines(self) -> list[Line]:
        """Return the lines; the line of an instruction whose value is written once holds that value's instruction."""
        lines: list[Line] = []
        for k, step in enumerate(self.program.instructions):
            text = self._inline(step)
            if isinstance(step.action, Entries):
                line, text = self._group(k, step, step.action)
                lines.append(Line(line, step.shape, k))
            elif text is None:
                text, *more = self._statement(k, step, f"v{self.variables}")
                if k not in self.nested or more or len(text) > self.longest_part(step):
                    line, text = self._line_of(k, text)
                    lines += [Line(line, step.shape, k), *(Line(line, None, k) for line in more)]
            self.texts.append(parenthesised(text))
        return lines

    def longest_part(self, step: Instruction) -> int:
        """Return how many characters a value may have that is written inside a longer line."""
        return LONGEST_PART

    def _line_of(self, k: int, text: str) -> tuple[str, str]:
        """Return the line that keeps a value, and what later lines call it."""
        name = f"v{self.variables}"
        self.variables += 1
        return f"{name} = {text}", name

    # --- what needs no variable
    def _nested(self) -> set[int]:
        """The values used once, and written once there: a part of a longer line lets NumPy work in its memory."""
        steps = self.program.instructions
        uses = Counter(operand for step in steps for operand in step.operands) + Counter(self.program.outputs)
        written: Counter[int] = Counter(self.program.outputs)
        for step in steps:
            written.update(self._written(step))
        return {k for k, step in enumerate(steps) if uses[k] == written[k] == 1} - set(self.program.outputs)

    def _written(self, step: Instruction) -> list[int]:
        """Return the operands as often as the line of this step writes them."""
        if isinstance(step.action, Entries):
            return list(step.operands) * 2
        if not isinstance(step.action, Map):
            return list(step.operands)
        line, op = self._line(step), step.action.op
        found = re.findall(r"\$(\w+)", line)
        return [operand for p, operand in zip(op.parameters, step.operands, strict=True) for _ in range(found.count(p))]

    def _inline(self, step: Instruction) -> str | None:
        match step.action:
            case Load(position):
                return self.names.arguments[position]
            case Length(size):
                return self.size(size)
            case Constant(value):
                return literal(value)
            case Contract() if step.is_transpose:
                return self.transposed(self.texts[step.operands[0]], step.subscripts[0], step.output)
        return None

    # --- what does
    def _statement(self, k: int, step: Instruction, name: str) -> list[str]:
        texts = [self.texts[operand] for operand in step.operands]
        if isinstance(step.action, Gram):
            return [self._gram(step, texts)]
        if isinstance(step.action, Contract) and len(texts) == 1:
            return self._rearranged(step, texts[0], name)
        if isinstance(step.action, Part | Pad | Reshape | Take | Put):
            return self._selected(step, texts, name)
        if isinstance(step.action, Contract) and step.summed:
            return [self._product(step, texts)]
        if isinstance(step.action, Map) and not step.action.op.is_elementwise:
            return [self._applied(step, texts)]
        if k in self.numbers:
            return [self._number(step, texts)]
        texts = [self.aligned(t, sub, step.output) for t, sub in zip(texts, step.subscripts, strict=True)]
        if self.into and k == self.program.outputs[0]:
            known = [self._constant(operand) for operand in step.operands]
            return [written_into(step.action, texts, known) or self._elementwise(step, texts)]
        return [self._elementwise(step, texts)]

    def _gram(self, step: Instruction, texts: list[str]) -> str:
        """Write the call of a matrix times itself."""
        labels, (i,) = step.subscripts[0], step.summed
        free = tuple(n for n in labels if n != i)
        others = tuple(n for n in step.subscripts[1] if n != i)
        arguments = [self.transposed(texts[0], labels, (i, *free)), *texts[2:]]
        return self.transposed(f"gram({', '.join(arguments)})", free + others, step.output)

    def _group(self, k: int, step: Instruction, action: Entries) -> tuple[str, str]:
        """Write a group of operations on entries, the lines themselves or a call in blocks; return its variable too."""
        given = [self.texts[operand] for operand in step.operands]
        name = f"entries{len(self.groups)}"
        self.groups[name] = action.program
        inner = Primitives(action.program, Names(tuple(given), self.names.sizes), self.dialect)
        inner.variables = self.variables
        lines = [line.text for line in inner.lines()]
        self.variables, self.uses_dtype = inner.variables, self.uses_dtype or inner.uses_dtype
        own = inner.texts[action.program.outputs[0]]
        count = " * ".join(self.size(n) for n in step.shape)
        operands = ", ".join(unwrapped(text) for text in given)
        how = f"{step.subscripts}, {action.reuse}, {action.form!r}, {k in self.program.outputs}"
        blocks = f"in_blocks({name}, {self.extent(step.shape)}, {how}, {operands})"
        return either(lines, f"{count} < {LARGE // weight(step, action)}", own, blocks), own

    def _number(self, step: Instruction, texts: list[str]) -> str:
        """Arithmetic on sizes stays a Python number, which takes the type of the array it meets; 1/0 is inf."""
        if isinstance(step.action, Contract | Combine):
            return self._elementwise(step, texts)
        texts = [self.spell("float", x=t) for t in texts]
        text = self._written_as(IN_NUMPY, step, texts) if isinstance(step.action, Map) else " / ".join(texts)
        return self.spell("number", x=text)

    def _elementwise(self, step: Instruction, texts: list[str]) -> str:
        match step.action:
            case Contract():
                return " * ".join(texts)
            case Divide(is_length):
                if is_length:
                    below = "over a size" if step.operands[1] in self.numbers else "over a norm"
                    return self.spell(below, x=texts[0], y=texts[1])
                return " / ".join(texts)
            case Combine(coefficients):
                known = [self._constant(operand) for operand in step.operands]
                return self.less(step) or combination(coefficients, texts, known)
        return self._applied(step, texts)

    def less(self, step: Instruction) -> str:
        """Write z − f(z), f along the last axis, where the library has one function for it; "" elsewhere."""
        if not isinstance(step.action, Combine) or sorted(step.action.coefficients) != [-1, 1]:
            return ""
        f, z = (step.action.coefficients.index(c) for c in (-1, 1))
        reduced = self.program.instructions[step.operands[f]]
        is_read_here = step.operands[f] in self.nested and reduced.operands == (step.operands[z],)
        along = step.subscripts[z] == step.output and step.subscripts[f] == step.output[:-1]
        if not isinstance(reduced.action, Map) or not is_read_here or not along:
            return ""
        (parameter,) = reduced.action.op.parameters
        line = reduced.action.op.code.less.get(self.dialect.code, "")
        return Template(line).substitute({parameter: unwrapped(self.texts[step.operands[z]])}, xp=self.dialect.alias)

    def _constant(self, k: int) -> Scalar | None:
        action = self.program.instructions[k].action
        return action.value if isinstance(action, Constant) else None

    def _applied(self, step: Instruction, texts: Sequence[str]) -> str:
        """Write an operation; where a library's functions of several arrays take no numbers, these become arrays."""
        assert isinstance(step.action, Map)
        op = step.action.op
        ndims = {p: len(self.program.instructions[o].shape) for p, o in zip(op.parameters, step.operands, strict=True)}
        if op.code.typed and not any(ndims[p] for p in op.code.typed):
            self.uses_dtype = True
            pairs = zip(op.parameters, texts, strict=True)
            texts = [self.spell("typed", x=t) if p in op.code.typed else t for p, t in pairs]
        elif len(texts) > 1 and self.dialect.knows("operand") and "$xp." in self._line(step):
            known = [operand in self.numbers for operand in step.operands]
            self.uses_dtype = self.uses_dtype or any(known)
            texts = [self.spell("operand", x=t) if k else t for t, k in zip(texts, known, strict=True)]
        return self._written_as(self.dialect, step, texts)

    def _written_as(self, dialect: Dialect, step: Instruction, texts: Sequence[str]) -> str:
        assert isinstance(step.action, Map)
        op = step.action.op
        named = dict(zip(op.parameters, texts, strict=True)) | {"xp": dialect.alias}
        named |= {
            axis: unwrapped(self.size(n))
            for axis, n in zip(op.extents, step.shape[len(step.shape) - len(op.extents) :], strict=True)
        }
        self.uses_dtype = self.uses_dtype or bool(op.extents)
        line = self._line(step, dialect)
        line = re.sub(r"(?<=\()\$(\w+)(?=[,)])", lambda found: unwrapped(named[found[1]]), line)
        return re.sub(r"\$(\w+)", lambda found: named[found[1]], line)

    def _line(self, step: Instruction, dialect: Dialect | None = None) -> str:
        """Return the operation's own line of code, the one for known arguments if it has one."""
        assert isinstance(step.action, Map)
        code = (dialect or self.dialect).code
        return step.action.op.code.line(code, self.program.known(step), is_number=not step.shape)

    # --- one operand: sums, diagonals, expansions
    def _rearranged(self, step: Instruction, text: str, name: str) -> list[str]:
        labels, output = step.subscripts[0], step.output
        if len(set(labels)) < len(labels):
            return [self._diagonal(text, labels, output)]
        if len(set(output)) < len(output):
            return self._on_the_diagonal(step, text, name)
        if step.summed:
            kept = tuple(i for i in labels if i in output)
            if not kept:
                return [self.spell("total", x=text)]
            return [self.transposed(self.spell("sum", x=text, axes=self.axes_of(labels, output)), kept, output)]
        shape = self.extent(step.shape)
        if not labels and step.operands[0] in self.numbers:
            self.uses_dtype = True
            return [self.spell("filled", x=text, shape=shape)]
        return [self.spell("expanded", x=self.aligned(text, labels, output), shape=shape)]

    def _selected(self, step: Instruction, texts: list[str], name: str) -> list[str]:
        if isinstance(step.action, Take | Put):
            return self._by_position(step, texts, name).split("\n")
        text = texts[0]
        if isinstance(step.action, Reshape):
            return [self.spell("reshaped", x=text, shape=self.extent(step.shape))]
        assert isinstance(step.action, Part | Pad)
        axis, start = step.action.axis, step.action.start
        place = {"before": ":, " * axis, "axis": str(axis), "first": unwrapped(self.size(start)), "name": name}
        if isinstance(step.action, Part) and len(step.shape) < len(step.subscripts[0]):
            return [self.spell("entry", x=text, **place)]
        part = step if isinstance(step.action, Part) else self.program.instructions[step.operands[0]]
        if step.action.step != 1:
            return self._stepped(step, text, part.shape[axis], place).split("\n")
        end = plus(start, part.shape[axis])
        place["end"] = unwrapped(self.size(end))
        if isinstance(step.action, Part):
            return [self.spell("part", x=text, **place)]
        self.uses_dtype = True
        margin = f"{place['first']}, {unwrapped(self.size(minus(step.shape[axis], end)))}"
        place["margins"] = ", ".join(f"({margin})" if k == axis else "(0, 0)" for k in range(len(step.shape))) + ","
        place["inner_margins"] = "0, 0, " * (len(step.shape) - 1 - axis) + margin  # of the last axes, from the last on
        return self.spell("padded", x=text, shape=self.extent(step.shape), **place).split("\n")

    def _stepped(self, step: Instruction, text: str, count: Size, place: dict[str, str]) -> str:
        """Write a slice in steps, or what fills one; what goes back is a slice that is turned round."""
        assert isinstance(step.action, Part | Pad)
        axis, start, pace = step.action.axis, step.action.start, step.action.step
        last = plus(start, times(pace, minus(count, 1)))
        first, end = (unwrapped(self.size(n)) for n in ((start, plus(last, 1)) if pace > 0 else (last, plus(start, 1))))
        place |= {"first": first, "end": end, "pace": str(abs(pace))}
        if isinstance(step.action, Part):
            whole = pace == -1 and count == self.program.instructions[step.operands[0]].shape[axis]
            taken = text if whole else self.spell("stepped", x=text, **place)
            return self.spell("turned", x=taken, **place) if pace < 0 else taken
        self.uses_dtype, filling = True, self.spell("turned", x=text, **place) if pace < 0 else text
        return self.spell("spread", x=filling, shape=self.extent(step.shape), **place)

    def _by_position(self, step: Instruction, texts: list[str], name: str) -> str:
        assert isinstance(step.action, Take | Put)
        axis, (x, index), (labels, positions) = step.action.axis, texts, step.subscripts
        place = {
            "before": ":, " * axis,
            "slices": "slice(None), " * axis,
            "axis": str(axis),
            "name": name,
            "index": index,
            "shape": self.extent(step.shape),
        }
        if isinstance(step.action, Put):
            self.uses_dtype = True
            rest = [self.size(n) for n in step.shape]
            place["lined"] = ", ".join([*rest[:axis], "-1", *rest[axis + 1 :]])
            return self.spell("put", x=x, **place)
        if not set(positions) & set(labels):
            return self.spell("taken", x=x, **place)
        x = self.with_axes(x, labels, (*step.output, labels[axis]))
        place["index"] = self.with_axes(index, positions, (*step.output, labels[axis]))
        return self.spell("taken along", x=x, **place)

    def _diagonal(self, text: str, labels: Subscripts, output: Subscripts) -> str:
        if len(labels) == 2:
            return self.spell("diagonal" if output else "trace", x=text)
        return self._einsum([text], [labels], output)

    def _on_the_diagonal(self, step: Instruction, text: str, name: str) -> list[str]:
        labels, output = step.subscripts[0], step.output
        if len(output) == 2 and len(labels) == 1:
            return [self.spell("diagonal matrix", x=text)]
        self.uses_dtype = True
        if len(output) == 2 and text == "1":
            return [self.spell("identity", n=self.size(step.shape[0]))]
        once = tuple(dict.fromkeys(output))
        spec = einsum_spec([output], once)
        if self.dialect.knows("on the diagonal"):
            mask = self._diagonal_mask(step)
            text = self.spell("typed", x=text) if step.operands[0] in self.numbers else text
            x = self.aligned(text, labels, tuple(i if output.index(i) == k else -1 for k, i in enumerate(output)))
            return [self.spell("on the diagonal", x=x, mask=mask)]
        x = self.aligned(text, labels, once)
        return self.spell("on the diagonal", x=x, shape=self.extent(step.shape), spec=spec, name=name).split("\n")

    def _diagonal_mask(self, step: Instruction) -> str:
        """Write where the entries stand that are not zero: where every axis agrees with the first of its index."""
        output = step.output
        equal = []
        for k, i in enumerate(output):
            first = output.index(i)
            if first < k:
                index = ", ".join(":" if axis in (first, k) else "None" for axis in range(len(output)))
                equal.append(f"({self.spell('identity', n=self.size(step.shape[k]))} != 0)[{index}]")
        return " & ".join(equal)

    # --- two operands, summed
    def _product(self, step: Instruction, texts: list[str]) -> str:
        (a, b), out = step.subscripts, step.output
        summed = tuple(i for i in a if i in step.summed)
        shared = tuple(i for i in out if i in a and i in b)
        left, right = (tuple(i for i in sub if i not in (*summed, *shared)) for sub in (a, b))
        if not left and not right:
            return self._dot(texts, a, b, out, summed)
        if not left or (right and out == shared + right + left):  # a matrix stands before a vector: X.T @ v
            a, b, left, right, texts = b, a, right, left, texts[::-1]
        as_matmul = out == shared + left + right and len(summed) == 1
        if as_matmul and len(left) <= 1 and len(right) <= 1 and not (shared and not (left and right)):
            first = self.transposed(texts[0], a, shared + left + summed)
            second = self.transposed(texts[1], b, shared + summed + right)
            return self.spell("matrix product", x=first, y=second)
        if as_matmul and not shared and a == left + summed and len(right) <= 1:
            return self.spell("matrix product", x=texts[0], y=self.transposed(texts[1], b, summed + right))
        if shared:
            return self._einsum(texts, [a, b], out)
        axes = tuple(a.index(i) for i in summed), tuple(b.index(i) for i in summed)
        product = self.spell("tensor product", x=texts[0], y=texts[1], axes=str(axes))
        return self.transposed(product, left + right, out)

    def _dot(self, texts: list[str], a: Subscripts, b: Subscripts, out: Subscripts, summed: Subscripts) -> str:
        """Both operands have the same axes: one dot product, or one for each entry of the output."""
        if not out and len(a) == 1:
            return self.spell("matrix product", x=texts[0], y=texts[1])
        if not out:
            return self.spell("inner product", x=texts[0], y=self.transposed(texts[1], b, a))
        if len(summed) == 1 and a == b == out + summed:
            return self.spell("inner products", x=texts[0], y=texts[1])
        if self.dialect.has("product, summed"):
            y = self.transposed(texts[1], b, a)
            text = self.spell("product, summed", x=texts[0], y=y, axes=self.axes_of(a, out))
            return self.transposed(text, tuple(i for i in a if i in out), out)
        return self._einsum(texts, [a, b], out)

    def _einsum(self, texts: Sequence[str], subscripts: Sequence[Subscripts], output: Subscripts) -> str:
        return self.spell("einsum", spec=einsum_spec(subscripts, output), x=", ".join(texts))
