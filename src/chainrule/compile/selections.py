"""Products with selectors are slices, with pairing tensors reshapes, and with one-hot rows gathers and scatters: the
arrays of zeros and ones are never made.

Σ_b S_ab x_b is x[start:stop]; Σ_a S_ab x_a is x within zeros; Σ_k P_kij x_k is x with one axis as two, and so back.
Σ_v H_kv W_vd is W[idx], and Σ_k H_kv G_kd adds row k of G to row idx_k of zeros.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass

from chainrule.compile.program import Action, Contract, Pad, Part, Put, Reshape, Take
from chainrule.compile.recorder import Recorder
from chainrule.expression.extent import minus
from chainrule.expression.gather import onehot, whole_places
from chainrule.expression.node import Apply, Expr, Subscripts
from chainrule.expression.op import Code, Op
from chainrule.expression.product import number_size
from chainrule.expression.selection import flip, one_hot, pair, selector, strided
from chainrule.expression.shape import Size

Operand = tuple[int, Subscripts]
SELECTIONS = (selector, one_hot, strided, flip, pair, onehot)

places_of = Op(
    "positions(idx, n)",
    "(),()->()",
    derivative=lambda idx, n, y: (None, None),
    because="positions are whole numbers, which do not move a little",
    rule="gather",
    code=Code(
        "whole_places($idx, $n)",
        jax="$xp.asarray($idx, int)",
        torch="$xp.as_tensor($idx).long()",
        helper=whole_places,
    ),
    is_positional=True,
)


@dataclass(frozen=True, slots=True)
class Selection:
    """A constant factor: what its operation is, its indices, and the place it selects from."""

    factor: Expr
    sub: Subscripts
    positions: int = -1  # the instruction that holds them

    @property
    def op(self) -> Op:
        """Which kind of selection it is."""
        assert isinstance(self.factor, Apply)
        return self.factor.op

    @property
    def start(self) -> Size:
        """The first place that is selected."""
        if self.op is flip:
            return minus(self.factor.shape[0], 1)
        return number_size(self.factor.args[0]) if self.factor.args else 0

    @property
    def step(self) -> int:
        """How far it is from one place that is selected to the next."""
        assert isinstance(self.factor, Apply)
        if self.op is flip:
            return -1
        return int(number_size(self.factor.args[1])) if self.op is strided else 1


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

    def take(self, selection: Selection, others: Container[int]) -> bool:
        """Work a selection into the operands; False if the array of zeros and ones has to be made after all.

        `others` are the indices of the selections that are not worked in.
        """
        long, short = self._ends(selection)
        if len(set(selection.sub)) < len(selection.sub) or long in others:
            return False
        held = {i for _, labels in self.operands for i in labels}
        gathers = selection.op is onehot
        if not gathers and any(long in labels and set(short) & set(labels) for _, labels in self.operands):
            return False
        if long not in self.output:
            if long not in held:
                return False
            self._open(selection, long, short)
            return True
        if gathers and (long in held or set(short) & set(self.output)):
            return False
        free = not set(short) & set(self.output) and self.output.count(long) == 1
        if not free or not short or not (gathers or set(short) <= held):
            return False
        self._open(selection, long, short)
        place = self.output.index(long)
        self.output = (*self.output[:place], *short, *self.output[place + 1 :])
        self.after.append((long, short, selection))
        return True

    def _ends(self, selection: Selection) -> tuple[int, Subscripts]:
        """The index of the whole axis, and those that stand for it in the parts."""
        if selection.op in (selector, strided, flip, onehot):
            return selection.sub[-1], selection.sub[:-1]
        return selection.sub[0], selection.sub[1:]

    def _open(self, selection: Selection, long: int, short: Subscripts) -> None:
        for k, (number, labels) in enumerate(self.operands):
            if labels.count(long) > 1:  # of a diagonal, the one axis that it has once it is read
                diagonal = tuple(dict.fromkeys(labels))
                number, labels = self.recorder.view(number, labels, diagonal), diagonal
            if long in labels:
                axis = labels.index(long)
                inner = tuple(i for i in short if i not in labels)
                new = (*labels[:axis], *inner, *labels[axis + 1 :])
                shape = tuple(self.sizes[i] for i in new)
                operands, subs, action = self._opening(selection, axis)
                self.operands[k] = self.recorder.record(action, (number, *operands), (labels, *subs), new, shape), new

    def _opening(self, selection: Selection, axis: int) -> tuple[tuple[int, ...], tuple[Subscripts, ...], Action]:
        """Return what is read beside the operand, and what is done: positions taken, a reshape, a slice."""
        if selection.op is onehot:
            return (selection.positions,), (selection.sub[:-1],), Take(axis)
        return (), (), Reshape() if selection.op is pair else Part(axis, selection.start, selection.step)

    def finished(self, number: int, labels: Subscripts) -> Operand:
        """Put the result where it belongs: within zeros, or two axes as one."""
        order = self.output
        for long, short, selection in reversed(self.after):
            if not set(short) <= set(labels):
                number, labels = self._expanded(number, labels, short, order)
            axis, place = labels.index(short[0]), order.index(short[0])
            new = (*labels[:axis], long, *labels[axis + len(short) :])
            order = (*order[:place], long, *order[place + len(short) :])
            operands, subs, action = self._placing(selection, axis)
            shape = tuple(self.sizes[i] for i in new)
            number, labels = self.recorder.record(action, (number, *operands), (labels, *subs), new, shape), new
        return number, labels

    def _placing(self, selection: Selection, axis: int) -> tuple[tuple[int, ...], tuple[Subscripts, ...], Action]:
        if selection.op is onehot:
            return (selection.positions,), (selection.sub[:-1],), Put(axis)
        if selection.op is flip:
            return (), (), Part(axis, selection.start, -1)
        return (), (), Reshape() if selection.op is pair else Pad(axis, selection.start, selection.step)

    def _expanded(self, number: int, labels: Subscripts, short: Subscripts, order: Subscripts) -> Operand:
        """Return the value with the axes of the parts, along which it is the same."""
        full = tuple(i for i in order if i in labels or i in short)
        kept = [k for k, i in enumerate(full) if i in labels]
        shape = tuple(self.sizes[i] for i in full)
        return self.recorder.record(Contract(), (number,), (tuple(kept),), tuple(range(len(full))), shape), full


def is_selection(e: Expr) -> bool:
    """True for an array of constants that a slice or a reshape can replace."""
    return isinstance(e, Apply) and e.op in SELECTIONS


def is_positioned(e: Expr) -> bool:
    """True for one-hot rows at an array of positions."""
    return isinstance(e, Apply) and e.op is onehot
