"""The three chain rules a reader knows (Parr and Howard 2018, section 4.5)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ChainRule:
    """One of the three chain rules, chosen by the shapes and by how many paths lead from the variable to the result."""

    name: str
    statement: str
    because: str


SINGLE_VARIABLE = ChainRule(
    "single-variable chain rule",
    "dy/dx = (dy/du)(du/dx)",
    "there is one path from the variable to the result, and the slopes along it multiply",
)
TOTAL_DERIVATIVE = ChainRule(
    "total-derivative chain rule",
    "∂f/∂x = ∂f/∂x + Σᵢ (∂f/∂uᵢ)(∂uᵢ/∂x)",
    "several paths lead from the variable to the result, and their effects add",
)
VECTOR = ChainRule(
    "vector chain rule",
    "∂f(g(x))/∂x = (∂f/∂g)(∂g/∂x)",
    "the Jacobians multiply, the outer one on the left; the order matters",
)
CHAIN_RULES = (SINGLE_VARIABLE, TOTAL_DERIVATIVE, VECTOR)


def chain_rule(paths: int, scalar: bool) -> ChainRule:
    """Return which chain rule joins `paths` paths, of scalars only or not (Parr and Howard 2018, section 4.5)."""
    if paths > 1:
        return TOTAL_DERIVATIVE
    return SINGLE_VARIABLE if scalar else VECTOR
