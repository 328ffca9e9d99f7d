"""What a derivation says, as data: written forms, equations of them, steps, derivations.

An expression is canonical, so `x + 0` *is* `x`. A derivation must be able to show `xᵀ + 0⃗ᵀ = xᵀ`; a
written form is what stands on paper before it is simplified. Every written form has a value, so every
equation can be checked with numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

from chainrule.expression.node import Expr, Symbol
from chainrule.expression.shape import Scalar, Shape, Size

Layout = Literal["numerator", "denominator"]
Narrative = Literal["auto", "forward", "backward"]
Detail = Literal["brief", "normal", "full"]


def spoken(name: str) -> str:
    """Return a name as prose writes it: `u1` is u₁."""
    letters = name.rstrip("0123456789")
    return letters + name[len(letters) :].translate(str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉"))


@dataclass(frozen=True, slots=True)
class Partial:
    """∂of/∂wrt, not yet worked out. Shape: of.shape + wrt.shape.

    `direct` holds every other intermediate variable fixed (a local Jacobian); otherwise all paths from
    `wrt` to `of` count (the total derivative). `index` writes row i of it, along the axis of that size: ∂uᵢ/∂w.
    `entry` writes the diagonal entry of an element-wise function's Jacobian, ∂uᵢ/∂zᵢ, which has the shape of `wrt`.
    """

    of: Expr
    wrt: Symbol
    direct: bool = False
    index: Size | None = None
    entry: bool = False

    @property
    def shape(self) -> Shape:
        """of.shape + wrt.shape; of a diagonal entry, that of wrt."""
        return self.wrt.shape if self.entry else self.of.shape + self.wrt.shape


@dataclass(frozen=True, slots=True)
class WrittenProduct:
    """Factors as written by the chain rule, outermost first: (∂C/∂v)(∂v/∂w).

    Factor k has axes (…, aₖ) and factor k+1 axes (aₖ, …): `inner` of them are contracted, 0 for a scalar in between.
    """

    parts: tuple[Written, ...]
    inner: tuple[int, ...]  # how many axes part k and part k+1 share; one entry fewer than parts


@dataclass(frozen=True, slots=True)
class WrittenSum:
    """Terms as written, zeros included: ∂(w·x)/∂w + ∂b/∂w, or xᵀ + 0⃗ᵀ."""

    coefficients: tuple[Scalar, ...]
    parts: tuple[Written, ...]


@dataclass(frozen=True, slots=True)
class Transposed:
    """The row (∂C/∂w)ᵀ of a vector's numerator layout turned into a column; in denominator layout it already is one."""

    part: Written


@dataclass(frozen=True, slots=True)
class Indexed:
    """An expression written sample by sample along the axes of one size: row i where that axis is free, Σᵢ where it is
    summed. With `cases`, a gate [z > 0] becomes a case split inside the sum: {0⃗ᵀ if zᵢ ≤ 0; xᵢᵀ if zᵢ > 0}.
    With `samples`, the mask instead restricts the sum in words: Σ over i with zᵢ > 0.
    With `inside`, number factors stay inside the sum and signs stay as they are: (1/N) Σᵢ −2(yᵢ − uᵢ) xᵢᵀ.
    `size` None: there is no sample axis (a single neuron); only the case split is asked for.
    """

    e: Expr
    size: Size | None
    cases: bool = False
    samples: bool = False
    inside: bool = False


@dataclass(frozen=True, slots=True)
class Called:
    """A derivative with a name of its own: dP for ∂ℓ/∂P, where ℓ = ⟨dO, O⟩ is what the cotangent makes of the output.

    It is printed as its name and has the value of the derivative.
    """

    name: Symbol
    by: Partial


Written = Expr | Partial | Called | WrittenProduct | WrittenSum | Transposed | Indexed


@dataclass(frozen=True, slots=True)
class Equation:
    """left = right[0] = right[1] = …, all of one shape.

    `outputs` says how the sides are laid out: None for a plain value; otherwise the sides are derivatives
    whose first `outputs` axes belong to what is differentiated and the others to the variable. With outputs = 0 a
    vector is a row in numerator layout and a column in denominator layout.
    `arrow` writes an assignment (w ← w − η …) in place of the first equals sign; `by_definition` writes ≔.
    `condition` is a side condition, written after the equation: "for every i".
    """

    left: Written
    right: tuple[Written, ...]
    outputs: int | None = None
    arrow: bool = False
    by_definition: bool = False
    condition: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What numbers say of an equation: the largest relative error over `points` random points, and how it was found."""

    holds: bool
    error: float
    points: int
    method: str  # "both sides", "central differences", "definition"


@dataclass(frozen=True, slots=True)
class Step:
    """One step: the rule's name, what it claims, why, and what the numbers say. A definition has no verdict to need."""

    rule: str
    equation: Equation
    because: str
    verdict: Verdict | None = None
    part: str = ""  # the heading it belongs to: "names", "local", "chain", "substitute", "closed form", "update"
    note: str = ""  # a remark, such as a published line that is wrong here

    def judged(self, verdict: Verdict) -> Step:
        """Return the same step with its verdict."""
        return replace(self, verdict=verdict)


@dataclass(frozen=True, slots=True)
class Derivation:
    """A chain of equal things, from the function to its derivative in closed form.

    `result` has the shape of the variable (for a scalar function: the gradient), independent of the layout it is
    printed in; `results` has one for each variable by name, and `wrt` and `result` are the first of them. `names`
    defines the intermediate variables, each in terms of those before it. With a `cotangent` the results are
    vector–Jacobian products.
    """

    function: Expr
    wrt: Symbol
    result: Expr
    steps: tuple[Step, ...]
    names: Mapping[Symbol, Expr] = field(default_factory=dict)
    layout: Layout = "numerator"
    function_name: str = "C"
    assumptions: tuple[str, ...] = ()
    others: Mapping[Symbol, Expr] = field(default_factory=dict)  # the results by further variables
    cotangent: Symbol | None = None
    goal: Symbol | None = None  # the name of the result where it is no derivative: w₊ of a Newton step
    way: Literal["Jacobians", "adjoints"] = (
        "Jacobians"  # what the steps multiply; adjoints have their variables' shapes
    )
    views: ClassVar[Mapping[str, Callable[[Derivation], str]]] = {}

    @property
    def variables(self) -> tuple[Symbol, ...]:
        """What is differentiated by, in the order asked for."""
        return (self.wrt, *self.others)

    @property
    def results(self) -> dict[str, Expr]:
        """The derivative by each variable, by its name."""
        return {self.wrt.name: self.result, **{x.name: e for x, e in self.others.items()}}

    @property
    def verified(self) -> bool:
        """True if every step that claims something was checked and held."""
        return all(step.verdict is not None and step.verdict.holds for step in self.steps)

    def __str__(self) -> str:
        return self.views["text"](self)

    @property
    def lines(self) -> list[str]:
        """The equation of each step, one line each, without its rule and reason."""
        return self.views["lines"](self).split("\n")

    def to_latex(self) -> str:
        """Write the derivation in LaTeX (an `align*` block for each part, with the rules' names)."""
        return self.views["latex"](self)

    def to_html(self) -> str:
        """Write the derivation as one HTML fragment."""
        return self.views["html"](self)

    def _repr_html_(self) -> str:
        return self.to_html()

    def eval(self, **values: Any) -> Any:
        """Return the derivative's value."""
        return self.result.eval(**values)

    def in_layout(self, layout: Layout) -> Derivation:
        """Return the same derivation, to be printed in another layout."""
        return replace(self, layout=layout)
