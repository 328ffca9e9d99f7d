"""The verdict on a claim: correct, correct up to layout, correct under a condition, wrong, or undecided."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from chainrule.errors import ChainruleError
from chainrule.expression.build import contract
from chainrule.expression.node import Expr, is_zero, zeros
from chainrule.proofread.claim import Claim
from chainrule.proofread.compare import Agreement, Grounds, grounds
from chainrule.proofread.conditions import AGREE, agrees_with_some, condition_of
from chainrule.proofread.kinks import kink_remark
from chainrule.proofread.targets import turned

Status = Literal["correct", "correct up to layout", "correct if", "wrong", "cannot tell", "given", "not understood"]
LayoutName = Literal["", "numerator", "denominator"]
ORDER: tuple[Status, ...] = ("correct", "correct up to layout", "correct if", "cannot tell", "wrong")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be said of one line.

    `layout` is the layout the line is in, where it shows one; `condition` is what makes it true; `why` explains.
    """

    status: Status
    why: str = ""
    layout: LayoutName = ""
    condition: str = ""
    exact: bool = False
    finding: str = ""  # a class of error found on the way

    @property
    def rank(self) -> int:
        """The best verdict first."""
        return ORDER.index(self.status) if self.status in ORDER else len(ORDER)


def judge(claim: Claim, side: str = "", outputs: int = 0, agreed: str = "", loose: bool = False) -> Verdict:
    """Return the verdict on a claim whose right side could be built.

    `side` is how a vector is written, `outputs` how many axes belong to the function, `agreed` the layout that the
    working has used so far, and `loose` says that rows and columns had to be ignored.
    """
    assert claim.stated is not None
    truth, said = claim.expanded(claim.truth), claim.expanded(claim.stated)
    if said.ndim == 0 and is_zero(said) and truth.ndim:
        said = zeros(truth.shape)
    said = squeezed(said, truth)
    try:
        ground = grounds([truth, said])
    except ChainruleError as error:
        return Verdict("cannot tell", f"no point was found at which both sides are defined: {error.message}")
    if said.shape == truth.shape and (found := ground.agree(truth, said)).answer != "different":
        return agreed_verdict(found, claim, truth, said, layout_of(claim, truth, side, outputs, False), agreed, loose)
    other = turned(truth, outputs) if 0 < outputs < truth.ndim else transposed_matrix(truth)
    if other is not None and said.shape == other.shape and (found := ground.agree(other, said)).same:
        return agreed_verdict(
            found, claim, other, said, layout_of(claim, truth, side, outputs, True), agreed, loose, True
        )
    return differing(claim, truth, said, ground)


OUTSIDE = "condition outside its sum"


def judge_branches(claim: Claim, branches: list[Expr]) -> Verdict:
    """Return the verdict on a case split outside the sum over its index: right where all samples agree, if at all."""
    truth = claim.expanded(claim.truth)
    if any(branch.shape != truth.shape for branch in branches):
        return Verdict("wrong", "the condition depends on an index that no sum around it binds", finding=OUTSIDE)
    why = "the condition depends on the index, so it belongs inside the sum"
    if agrees_with_some(truth, branches):
        return Verdict("correct if", why, condition=AGREE, finding=OUTSIDE)
    return Verdict("wrong", why, finding=OUTSIDE)


def squeezed(said: Expr, truth: Expr) -> Expr:
    """Drop axes of one entry: an n×1 matrix is a vector."""
    if said.ndim <= truth.ndim or 1 not in said.shape:
        return said
    letters = "abcdefgh"[: said.ndim]
    kept = "".join(c for c, size in zip(letters, said.shape, strict=True) if size != 1)
    return contract(f"{letters}->{kept}", said) if len(kept) == truth.ndim else said


def transposed_matrix(truth: Expr) -> Expr | None:
    """Return the transpose of a gradient by a matrix, which some write for it."""
    return contract("ij->ji", truth) if truth.ndim == 2 else None


def layout_of(claim: Claim, truth: Expr, side: str, outputs: int, flipped: bool) -> LayoutName:
    """Return the layout a line shows: rows for gradients are numerator layout, columns denominator layout."""
    if claim.kind != "derivative" or len(claim.wrt) != 1:
        return ""
    if truth.ndim == 1 and side in ("row", "column"):
        return "numerator" if (side == "row") == (outputs == 0) else "denominator"
    if truth.ndim != 2:
        return ""
    if outputs == 0:
        return "numerator" if flipped else ""
    return "denominator" if flipped else "numerator"


def agreed_verdict(
    found: Agreement, claim: Claim, truth: Expr, said: Expr, layout: LayoutName, agreed: str, loose: bool,
    flipped: bool = False,
) -> Verdict:  # fmt: skip
    """Return the verdict on sides that are equal, or that rounding does not let tell apart."""
    if found.answer == "unsure":
        return Verdict("cannot tell", "the sides differ by less than what rounding may do at these values")
    remark = kink_remark(truth, said)
    finding = "kink value" if remark else ""
    other = "numerator" if agreed == "denominator" else "denominator"
    if loose:
        why = "the numbers are right, but rows and columns do not fit as written"
        return Verdict("correct up to layout", why, layout, exact=found.exact, finding=finding)
    matrix_gradient = flipped and claim.function is not None and not claim.function.ndim
    if matrix_gradient or (layout and agreed and layout == other):
        why = f"{described(layout, claim)}; its transpose is what the other layout has"
        return Verdict("correct up to layout", why, layout, exact=found.exact, finding=finding)
    if flipped and not layout:
        return Verdict("correct up to layout", "its transpose is right", layout, exact=found.exact, finding=finding)
    return Verdict("correct", remark, layout, exact=found.exact, finding=finding)


def described(layout: LayoutName, claim: Claim) -> str:
    """Say which layout a line is in."""
    scalar = claim.function is not None and not claim.function.ndim
    if layout == "numerator":
        return "numerator layout (a row)" if scalar else "numerator layout (a row for each output)"
    return "denominator layout (a column)" if scalar else "denominator layout (a column for each output)"


def differing(claim: Claim, truth: Expr, said: Expr, ground: Grounds) -> Verdict:
    """Return the verdict on sides that are not equal everywhere."""
    if said.shape != truth.shape:
        diagonal = truth.ndim == 2 and said.ndim == 1 and truth.shape[0] == truth.shape[1] == said.shape[0]
        if diagonal and ground.agree(contract("ii->i", truth), said).same:
            why = "these are only the diagonal's entries of the Jacobian"
            return Verdict("wrong", why, finding="Jacobian given as its diagonal")
        return Verdict("wrong", f"the sides have different shapes: {shapes(truth)} is due, {shapes(said)} is written")
    if Grounds(ground.places).agree(truth, said).answer != "different":  # only fractions tell them apart
        return Verdict("wrong", exact=True)
    condition = condition_of(truth, said)
    if condition:
        return Verdict("correct if", "it does not hold in general", condition=condition)
    return Verdict("wrong")


def shapes(e: Expr) -> str:
    """Write a shape for people."""
    return "×".join(str(size) for size in e.shape) or "a scalar"
