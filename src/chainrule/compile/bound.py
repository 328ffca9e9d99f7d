"""A function with its derivative bound to it: `jax.custom_vjp`, and an `autograd.Function` for torch."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pprint import pformat
from typing import Any

from chainrule.compile.assembly import LIBRARIES, assembled, formulas, helpers
from chainrule.compile.dialects import IN_JAX, IN_TORCH_UNRECORDED, Dialect
from chainrule.compile.differentiable import Differentiable, differentiable
from chainrule.compile.in_place import InPlace, over
from chainrule.compile.lifetimes import Origins, origins_of
from chainrule.compile.program import Program
from chainrule.compile.signs import signs_last
from chainrule.compile.source import (
    Body,
    argument_comments,
    body_of,
    function_body,
    parameters,
    readable_names,
    written,
)
from chainrule.compile.thin import thin_last
from chainrule.compile.writing import Names
from chainrule.errors import DomainError
from chainrule.expression.node import Apply, Expr, walk

Sampler = Callable[[list[Expr]], tuple[Mapping[str, Any], Mapping[str, int]]]  # -> values of symbols, sizes
TAKEN = LIBRARIES | {"ctx", "inputs", "output", "unused", "saved", "value", "once_differentiable", over.__name__}


class Bound:
    """The parts that both libraries' texts are made of."""

    def __init__(self, e: Expr, name: str, dialect: Dialect) -> None:
        self.e, self.name, self.dialect = e, name, dialect
        self.parts: Differentiable = self.planned(differentiable(e))
        forward, backward = self.parts.forward, self.parts.backward
        self.helpers = helpers(forward, dialect) | helpers(backward, dialect)
        taken = TAKEN | {name, f"{name}_forward", f"{name}_backward", class_name(name), *self.helpers}
        self.names = readable_names(forward, taken)
        taken |= set(self.names.arguments)
        self.saved = [_free(f"s{k}", taken) for k in range(self.parts.saved)]
        self.cotangent = _free(f"d_{name}", taken)
        kept = [self.names.arguments[k] for k in self.parts.kept]
        # what the backward program is given, by name
        self.given = [*kept, *(["value"] if self.parts.keeps_value else []), *self.saved]
        sizes = readable_names(backward, taken).sizes
        self.backward_names = Names((*self.given, self.cotangent), sizes)
        self.slopes = [_free(f"d{self.names.arguments[k]}", taken) for k in self.parts.by]
        self.comment = formulas([e])

    def planned(self, parts: Differentiable) -> Differentiable:
        """Return the programs as the library runs them best."""
        return parts

    @property
    def parameters(self) -> str:
        """The parameters of the function."""
        return ", ".join(parameters(self.parts.forward, self.names))

    def for_each_argument(self, texts: Sequence[str]) -> list[str]:
        """Return the texts of the derivatives, one for each argument: `None` for positions."""
        found = dict(zip(self.parts.by, texts, strict=True))
        return [found.get(k, "None") for k in range(len(self.names.arguments))]

    def forward_body(self) -> Body:
        """Return what the forward program does."""
        return function_body(self.parts.forward, self.names, self.dialect)

    def backward_body(self) -> Body:
        """Return what the backward program does."""
        return function_body(self.parts.backward, self.backward_names, self.dialect)

    def forward_lines(self, tail: Callable[[list[str]], str]) -> str:
        """Write the forward program; `tail` writes its last line, given what it returns."""
        body = self.forward_body()
        lines = written(body, self.names, self.dialect)
        return "\n".join([*self.argument_comments, *body.head, *map("\n".join, lines), tail(body.results)])

    @property
    def argument_comments(self) -> list[str]:
        """The shapes of the function's arguments."""
        return argument_comments(self.parts.forward, self.names, self.dialect.positions)

    def backward_comments(self) -> list[str]:
        """Return the shapes of what the backward program is given, but for the arguments."""
        comments = argument_comments(self.parts.backward, self.backward_names)
        return comments[len(self.parts.kept) :]


def _free(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_"
    taken.add(name)
    return name


def _tuple(items: Sequence[str]) -> str:
    return f"({items[0]},)" if len(items) == 1 else f"({', '.join(items)})"


def _indented(text: str, depth: int = 1) -> str:
    return textwrap.indent(text, "    " * depth)


# --- JAX
def bound_in_jax(e: Expr, name: str, sampler: Sampler | None = None) -> str:
    """Write `custom_vjp` code: the function, its forward and its backward pass."""
    bound = Bound(e, name, IN_JAX)
    forward = bound.parts.forward
    count = len(forward.arguments)
    sizes = parameters(forward, bound.names)[count:]
    positions = tuple(range(count, count + len(sizes)))
    decorator = f"@partial(jax.custom_vjp, nondiff_argnums={positions})" if sizes else "@jax.custom_vjp"

    def tail(results: list[str]) -> str:
        kept = [bound.names.arguments[k] for k in bound.parts.kept]
        value = ["value"] if bound.parts.keeps_value else []
        return f"value = {results[0]}\nreturn value, {_tuple([*kept, *value, *results[1:]]) if bound.given else '()'}"

    body = bound.backward_body()
    lines = [text for texts in written(body, bound.backward_names, bound.dialect) for text in texts]
    unpack = [f"{', '.join(bound.given)}{',' * (len(bound.given) == 1)} = saved"] if bound.given else []
    slopes = _tuple(bound.for_each_argument(body.results))
    backward = [*unpack, *bound.backward_comments(), *body.head, *lines, f"return {slopes}"]
    blocks = [
        f"{bound.comment}{decorator}\ndef {name}({bound.parameters}):\n"
        f"    return {name}_forward({bound.parameters})[0]",
        f"def {name}_forward({bound.parameters}):\n"
        f'    """Return the value, and what the backward pass needs."""\n{_indented(bound.forward_lines(tail))}',
        f"def {name}_backward({', '.join([*sizes, 'saved', bound.cotangent])}):\n"
        f'    """Return the derivative by each argument, times the cotangent."""\n{_indented(chr(10).join(backward))}',
        f"{name}.defvjp({name}_forward, {name}_backward)",
    ]
    return assembled(blocks, bound.helpers)


# --- torch
class BoundInTorch(Bound):
    """Both passes run where nothing is recorded, so that values are written over those that nobody reads any more."""

    def __init__(self, e: Expr, name: str) -> None:
        super().__init__(e, name, IN_TORCH_UNRECORDED)

    def planned(self, parts: Differentiable) -> Differentiable:
        """Return the programs with signs and thin factors where they cost least."""
        forward, backward = (thin_last(signs_last(program)) for program in (parts.forward, parts.backward))
        return replace(parts, forward=forward, backward=backward)

    def forward_body(self) -> Body:
        """Write the forward pass in place where it can be."""
        arguments = [frozenset({k}) for k in range(len(self.names.arguments))]
        return self._body(InPlace(self.parts.forward, self.names, self.dialect, arguments))

    def backward_body(self) -> Body:
        """Write the backward pass in place where it can be."""
        return self._body(InPlace(self.parts.backward, self.backward_names, self.dialect, self.origins))

    def _body(self, primitives: InPlace) -> Body:
        body = body_of(primitives)
        self.helpers |= primitives.called
        return body

    @property
    def origins(self) -> Origins:
        """The arguments of the function that each argument of the backward pass comes of; the cotangent has its own."""
        forward = self.parts.forward
        found = origins_of(forward, [frozenset({k}) for k in range(len(forward.arguments))])
        value, *saved = [found[k] for k in forward.outputs]
        kept = [frozenset({k}) for k in self.parts.kept]
        return [*kept, *([value] if self.parts.keeps_value else []), *saved, frozenset({-1})]


def class_name(name: str) -> str:
    """Return the name of the class: `layer_norm` -> `LayerNorm`."""
    camel = "".join(part[:1].upper() + part[1:] for part in name.split("_"))
    return camel if camel != name else f"{name}Function"


def bound_in_torch(e: Expr, name: str, sampler: Sampler | None = None) -> str:
    """Write an `autograd.Function`, the function that applies it, and a test of its derivative."""
    bound = BoundInTorch(e, name)
    blocks = [_torch_class(bound), _torch_function(bound), *_torch_test(bound, sampler)]
    return assembled(blocks, bound.helpers)


def _torch_class(bound: BoundInTorch) -> str:
    arguments = list(bound.names.arguments)
    saved = [*(["value"] if bound.parts.keeps_value else []), *bound.saved]
    outputs = ["value", *bound.saved]
    inner = [f"{', '.join(parameters(bound.parts.forward, bound.names))} = inputs"]
    if len(parameters(bound.parts.forward, bound.names)) == 1:
        inner = [f"({arguments[0]},) = inputs"]
    inner += [f"{', '.join(outputs)} = output"] if bound.saved else ["value = output"] if saved else []
    if bound.saved:  # without the second line, backward is given a zero for every entry of what was saved
        inner += [f"ctx.mark_non_differentiable({', '.join(bound.saved)})", "ctx.set_materialize_grads(False)"]
    inner += [f"ctx.save_for_backward({', '.join(bound.given)})"]
    sizes = parameters(bound.parts.backward, bound.backward_names)[len(bound.given) + 1 :]
    inner += [f"ctx.{size} = {size}" for size in sizes]
    words = bound.comment.replace("# ", "").strip().replace("\n", "\n    ").replace("\\", "\\\\").replace('"', "'")
    return f'''class {class_name(bound.name)}(torch.autograd.Function):
    """{words}"""

    generate_vmap_rule = True

    @staticmethod
    def forward({bound.parameters}):
{_indented(bound.forward_lines(lambda results: f"return {', '.join(results)}"), 2)}

    @staticmethod
    def setup_context(ctx, inputs, output):
{_indented(chr(10).join(inner), 2)}

    @staticmethod
    @once_differentiable
    def backward(ctx, {bound.cotangent}{", *unused" * bool(bound.saved)}):
{_indented(chr(10).join(_torch_backward(bound, sizes)), 2)}'''


def _torch_backward(bound: BoundInTorch, sizes: Sequence[str]) -> list[str]:
    """Compute only those derivatives that are asked for: a line stands under the condition that one needs it."""
    program, names = bound.parts.backward, bound.backward_names
    body = bound.backward_body()
    by, nothing = bound.parts.by, ["None"] * len(bound.parts.forward.given)
    lines = []
    if bound.saved:
        nowhere = ["None"] * len(bound.names.arguments) + nothing
        lines = [f"if {bound.cotangent} is None:", f"    return {', '.join(nowhere)}"]
    lines += [f"{', '.join(bound.given)}{',' * (len(bound.given) == 1)} = ctx.saved_tensors"] if bound.given else []
    lines += [f"{size} = ctx.{size}" for size in sizes]
    lines += [*bound.backward_comments(), *body.head]
    users = users_of(program)
    before: frozenset[int] = frozenset(range(len(by)))
    for line, texts in zip(body.lines, written(body, names, bound.dialect), strict=True):
        asked = users[line.step]
        if asked != before and len(asked) < len(by):
            lines.append(f"if {' or '.join(f'ctx.needs_input_grad[{by[k]}]' for k in sorted(asked))}:")
        before = asked
        lines += [_indented(text, len(asked) < len(by)) for text in texts]
    for k, slope, result in zip(by, bound.slopes, body.results, strict=True):
        lines.append(f"{slope} = {result} if ctx.needs_input_grad[{k}] else None")
    return [*lines, f"return {', '.join([*bound.for_each_argument(bound.slopes), *nothing])}"]


def users_of(program: Program) -> list[frozenset[int]]:
    """Return, for each instruction, the positions of the outputs that need it."""
    users: list[set[int]] = [set() for _ in program.instructions]
    for position, k in enumerate(program.outputs):
        users[k].add(position)
    for k in range(len(users) - 1, -1, -1):
        for operand in program.instructions[k].operands:
            users[operand] |= users[k]
    return [frozenset(found) for found in users]


def _torch_function(bound: Bound) -> str:
    program, own = bound.parts.forward, bound.names.arguments
    typed = [(own[k], program.arguments[k].shape) for k in bound.parts.by]
    arrays = [name for name, shape in typed if shape]
    like = f", dtype={arrays[0]}.dtype, device={arrays[0]}.device" if arrays else ""
    lines = bound.argument_comments
    lines += [f"{name} = torch.as_tensor({name}{like})" for name, shape in typed if not shape]
    for k in sorted(set(range(len(own))) - set(bound.parts.by)):  # positions; some count as numbers too
        whole = f", device={typed[0][0]}.device" if k in program.positions else like
        lines.append(f"{own[k]} = torch.as_tensor({own[k]}{whole})")
    lines += [f"return {class_name(bound.name)}.apply({bound.parameters}){'[0]' * bool(bound.saved)}"]
    return f"{bound.comment}def {bound.name}({bound.parameters}):\n{_indented(chr(10).join(lines))}"


def _torch_test(bound: Bound, sampler: Sampler | None) -> list[str]:
    """Write a test at a point where the function exists, away from its kinks."""
    held = any(isinstance(node, Apply) and node.op.is_held for node in walk(bound.e))
    if sampler is None or held:  # what stop_gradient holds still does move the value
        return []
    try:
        values, sizes = sampler([bound.e, *bound.parts.slopes])
    except DomainError:
        return []
    program = bound.parts.forward
    lines = []
    for k, (own, symbol) in enumerate(zip(bound.names.arguments, program.arguments, strict=True)):
        moves = k in bound.parts.by
        value = values[symbol.name].round(3) if moves else values[symbol.name].astype(int)
        text = pformat(value.tolist(), width=100, compact=True)
        text = text.replace("\n", "\n" + " " * len(f"{own} = torch.tensor("))
        lines.append(f"{own} = torch.tensor({text}{', dtype=torch.float64, requires_grad=True' * moves})")
    inputs = [*bound.names.arguments, *(str(sizes[size]) for size in program.given)]
    lines = ['"""Compare the derivative with differences."""', *lines]
    lines += [f"assert torch.autograd.gradcheck({bound.name}, {_tuple(inputs)})"]
    return [f"def test_{bound.name}():\n{_indented(chr(10).join(lines))}"]
