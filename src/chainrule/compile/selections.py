"""Products with selectors are slices, and with pairing tensors reshapes: the arrays of zeros and ones are never made.

Σ_b S_ab x_b is x[start:stop]; Σ_a S_ab x_a is x within zeros; Σ_k P_kij x_k is x with one axis as two, and so back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from chainrule.compile.program import Action, Pad, Part, Recorder, Reshape
from chainrule.expression.node import Apply, Expr, Subscripts
from chainrule.expression.op import Op
from chainrule.expression.product import number_size
from chainrule.expression.selection import one_hot, pair, selector
from chainrule.expression.shape import Size

Operand = tuple[int, Subscripts]
SELECTIONS = (selector, one_hot, pair)


@dataclass(frozen=True, slots=True)
class Selection:
    """A constant factor: what its operation is, its indices, and the place it selects from."""

    factor: Expr
    sub: Subscripts

    @property
    def op(self) -> Op:
        """Which kind of selection it is."""
        assert isinstance(self.factor, Apply)
        return self.factor.op

    @property
    def start(self) -> Size:
        """The first place that is selected."""
        return number_size(self.factor.args[0]) if self.factor.args else 0


class Eliminated:
    """The operands of a product whose selections are gone, its new output, and what is done with the result."""

    def __init__(
        self, recorder: Recorder, operands: Sequence[Operand], output: Subscripts, sizes: Mapping[int, Size]
    ) -> None:
        self.recorder = recorder
        self.operands = list(operands)
        self.output = output
        self.sizes = sizes
        self.after: list[tuple[int, Subscripts, Selection]] = []  # an index of the output, what stands for it, why

    def take(self, selection: Selection) -> bool:
        """Work a selection into the operands; False if the array of zeros and ones has to be made after all."""
        if len(set(selection.sub)) < len(selection.sub):
            return False
        long, short = self._ends(selection)
        held = {i for _, labels in self.operands for i in labels}
        if any(long in labels and set(short) & set(labels) for _, labels in self.operands):
            return False
        if long not in self.output:
            if long not in held:
                return False
            self._open(selection, long, short)
            return True
        free = not set(short) & set(self.output) and self.output.count(long) == 1
        if not free or not short or not set(short) <= held:
            return False
        self._open(selection, long, short)
        place = self.output.index(long)
        self.output = (*self.output[:place], *short, *self.output[place + 1 :])
        self.after.append((long, short, selection))
        return True

    def _ends(self, selection: Selection) -> tuple[int, Subscripts]:
        """The index of the whole axis, and those that stand for it in the parts."""
        if selection.op is selector:
            return selection.sub[1], selection.sub[:1]
        return selection.sub[0], selection.sub[1:]

    def _open(self, selection: Selection, long: int, short: Subscripts) -> None:
        for k, (number, labels) in enumerate(self.operands):
            if long in labels:
                axis = labels.index(long)
                new = (*labels[:axis], *short, *labels[axis + 1 :])
                shape = tuple(self.sizes[i] for i in new)
                action: Action = Reshape() if selection.op is pair else Part(axis, selection.start)
                self.operands[k] = self.recorder.record(action, (number,), (labels,), new, shape), new

    def finished(self, number: int, labels: Subscripts) -> Operand:
        """Put the result where it belongs: within zeros, or two axes as one."""
        for long, short, selection in reversed(self.after):
            axis = labels.index(short[0])
            new = (*labels[:axis], long, *labels[axis + len(short) :])
            shape = tuple(self.sizes[i] for i in new)
            action: Action = Reshape() if selection.op is pair else Pad(axis, selection.start)
            number, labels = self.recorder.record(action, (number,), (labels,), new, shape), new
        return number, labels


def is_selection(e: Expr) -> bool:
    """True for an array of constants that a slice or a reshape can replace."""
    return isinstance(e, Apply) and e.op in SELECTIONS
