"""One program for a value and its derivative -> a forward program, which also gives what the backward one needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

from chainrule.compile.contraction import nominal, step_cost
from chainrule.compile.lower import lower, lower_as_written, ordered_symbols
from chainrule.compile.program import Combine, Constant, Contract, Instruction, Length, Load, Map, Program
from chainrule.derivative.differentiate import rebuilt, vjp
from chainrule.expression.extent import names_of
from chainrule.expression.gather import position_limits
from chainrule.expression.node import Apply, Expr, Symbol, walk
from chainrule.ops.elementwise import exp, log
from chainrule.simplify.simplify import simplify
from chainrule.simplify.stable import stable


@dataclass(frozen=True, slots=True)
class Differentiable:
    """A function and its vector–Jacobian products by its arguments `by`: all of them but those that hold positions.

    `forward` takes the symbols and returns the value, then the `saved` values. `backward` takes those symbols at the
    positions `kept`, then the saved values (the function's own value is one of them if `keeps_value`), then the
    cotangent, and returns one array for each argument `by`.
    """

    forward: Program
    backward: Program
    kept: tuple[int, ...]
    saved: int
    keeps_value: bool
    by: tuple[int, ...]
    slopes: tuple[Expr, ...]


def differentiable(e: Expr) -> Differentiable:
    """Derive the vector–Jacobian products of `e` and divide the work. Raises: as `vjp`."""
    symbols = ordered_symbols(e)
    cotangent = Symbol(_unused("cotangent", e), e.shape)
    positions = position_limits([e])
    by = tuple(k for k, s in enumerate(symbols) if s not in positions)
    found = [vjp(e, symbols[k], cotangent) for k in by]
    choices = [found, [simplify(slope) for slope in found]]  # backpropagation as it runs; the form that a book prints
    programs = [lower_as_written(*_shared(e, *slopes), arguments=(*symbols, cotangent)) for slopes in choices]
    joint, slopes = min(zip(programs, choices, strict=True), key=lambda pair: work(pair[0]))
    alone = lower(e, arguments=symbols)
    value, *others = joint.outputs
    needed, saved = _backward_steps(joint, value, others)
    kept = _kept(joint, needed, saved)
    internal = tuple(k for k in saved if k != value)
    forward = Program(symbols, alone.given, joint.instructions[: value + 1], (value, *internal))
    order = (*([value] if value in saved else []), *internal)
    backward = _backward(joint, needed, order, kept, alone.given)
    return Differentiable(forward, backward, kept, len(internal), value in saved, by, tuple(slopes))


def has_derivative(e: Expr) -> bool:
    """True if there is a symbol to differentiate by: one that holds no positions."""
    return not position_limits([e]).keys() >= set(e.symbols.values())


def _shared(*exprs: Expr) -> list[Expr]:
    """Return the form to compute with, in which f(z) is exp(ln f(z)) for an f on a whole axis whose logarithm is there.

    So the backward pass of a cross-entropy reads what its forward pass made: softmax(z) is exp(z − logsumexp(z)). Of an
    argument it is made anew (`_is_redone`), by one call.
    """
    exprs = tuple(stable(e) for e in exprs)
    nodes = walk(*exprs)
    present = set(nodes)
    done: dict[Expr, Expr] = {}
    for node in nodes:
        done[node] = rebuilt(node, [done[arg] for arg in node.args])
        is_of_argument = all(isinstance(arg, Symbol) for arg in node.args)
        if not isinstance(node, Apply) or is_of_argument:
            continue
        if node.op.core.output and done[node] is node and node.op.logarithm is None:
            logarithm = stable(log(node))
            if logarithm in present and node not in walk(logarithm):
                done[node] = exp(logarithm)
    return [done[e] for e in exprs]


def _unused(name: str, e: Expr) -> str:
    while name in e.symbols:
        name += "_"
    return name


def _backward_steps(joint: Program, value: int, outputs: Sequence[int]) -> tuple[list[int], list[int]]:
    """Return the instructions of the backward program, and those of the forward one whose values are saved.

    What costs nothing (an argument, a number, a view, positions as integers) is done again, and so are an outer
    product, which is written without reading anything large, and what one call makes of an argument.
    """
    steps, numbers = joint.instructions, joint.numbers
    needed, saved = set(outputs), set()
    redone: set[int] = set()
    for k in range(len(steps) - 1, -1, -1):
        if k not in needed:
            continue
        is_free = isinstance(steps[k].action, Load | Length | Constant) or steps[k].is_view or steps[k].is_check
        if k != value and _is_redone(steps, k):
            redone.update((k, *steps[k].operands))
        is_cheap = is_free or k in numbers or k in redone or (k != value and _is_outer(steps, k))
        if k > value or is_cheap:
            needed.update(steps[k].operands)
        else:
            saved.add(k)
    return sorted(needed - saved), sorted(saved)


def _is_outer(steps: Sequence[Instruction], k: int) -> bool:
    step = steps[k]
    is_product = isinstance(step.action, Contract) and len(step.operands) == 2 and not step.summed
    return is_product and all(0 < len(steps[operand].shape) < len(step.shape) for operand in step.operands)


def _is_redone(steps: Sequence[Instruction], k: int) -> bool:
    """True for f(z) and z − f(z), f along one axis of an argument z, as softmax and its logarithm are.

    To make the array again takes hardly longer than to read it, and less than memory that is fresh because it was kept.
    """
    step = steps[k]
    first = steps[step.operands[0]] if step.operands else step
    match step.action:
        case Map(op):
            return op.core.inputs == (op.core.output,) and len(op.core.output) == 1 and isinstance(first.action, Load)
        case Combine():
            parts = [steps[operand] for operand in step.operands]
            made = [part for part in parts if isinstance(part.action, Map) and part.action.op.code.less]
            loads = [operand for operand in step.operands if isinstance(steps[operand].action, Load)]
            return len(made) == len(loads) == 1 and len(parts) == 2 and list(made[0].operands) == loads
    return False


def _kept(joint: Program, needed: Sequence[int], saved: Sequence[int]) -> tuple[int, ...]:
    """Return the arguments that the backward program reads, and those that alone show a size it needs."""
    last = len(joint.arguments) - 1
    actions = [joint.instructions[k].action for k in needed]
    kept = {action.position for action in actions if isinstance(action, Load)} - {last}
    shapes = [joint.instructions[k].shape for k in (*needed, *saved)]
    sizes = {name for shape in shapes for size in shape for name in names_of(size)}
    sizes |= {action.size for action in actions if isinstance(action, Length)}
    shown = {size for k in (*kept, last) for size in joint.arguments[k].shape}
    shown |= {size for k in saved for size in joint.instructions[k].shape}
    for size in sorted(sizes - shown):
        place = joint.place_of(size)
        if place is not None:
            kept.add(place[0])
    return tuple(sorted(kept))


def _backward(
    joint: Program, needed: Sequence[int], saved: Sequence[int], kept: Sequence[int], given: Sequence[str]
) -> Program:
    residuals = [Symbol(f"saved {k}", joint.instructions[k].shape) for k in saved]
    arguments = (*(joint.arguments[k] for k in kept), *residuals, joint.arguments[-1])
    position = {old: new for new, old in enumerate((*kept, *(-1 - k for k in saved), len(joint.arguments) - 1))}
    steps: list[Instruction] = []
    number: dict[int, int] = {}
    for k in sorted((*needed, *saved)):
        step = joint.instructions[k]
        number[k] = len(steps)
        if k in saved:
            axes = tuple(range(len(step.shape)))
            steps.append(Instruction(Load(position[-1 - k]), (), (), axes, step.shape))
        elif isinstance(step.action, Load):
            steps.append(replace(step, action=Load(position[step.action.position])))
        else:
            steps.append(replace(step, operands=tuple(number[operand] for operand in step.operands)))
    shown = {size for symbol in arguments for size in symbol.shape}
    rest = tuple(size for size in given if size not in shown)
    return Program(arguments, rest, tuple(steps), tuple(number[k] for k in joint.outputs[1:]))


def work(program: Program) -> float:
    """Return the estimated cost of a program: what its products multiply, and the entries that are read and written."""
    total = 0.0
    for step in program.instructions:
        if isinstance(step.action, Load) or step.is_view:
            continue
        sizes = {i: nominal(n) for i, n in program.index_sizes(step).items()}
        total += sum(prod(map(nominal, program.instructions[operand].shape)) for operand in step.operands)
        labels = [frozenset(sub) for sub in step.subscripts]
        kept = frozenset(step.output)
        if len(labels) == 2:
            total += step_cost(labels[0], labels[1], kept, sizes)
        else:
            total += prod(sizes.values())
    return total
