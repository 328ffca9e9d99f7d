"""How much a computation may make: expressions swell, and a message is better than a wait without end."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from functools import wraps
from time import monotonic
from typing import ParamSpec, TypeVar

from chainrule.errors import DomainError

NODES = 200_000  # distinct expressions that one call may make
SECONDS = 30.0  # and how long it may take
CHECKED = 64  # the clock is read once for so many new expressions

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(slots=True)
class Budget:
    """What is left of it: the number of expressions made, and when the time is over."""

    deadline: float
    made: int = 0

    def spend(self) -> None:
        """Note one new expression. Raises: DomainError if there were too many, or the time is over."""
        self.made += 1
        if self.made % CHECKED and self.made < NODES:
            return
        if self.made >= NODES or monotonic() > self.deadline:
            raise DomainError(
                "the expression grows beyond what can be worked out",
                expected=f"at most {NODES} parts, within {SECONDS:.0f} seconds",
                found=f"{self.made} parts so far",
                hint="name an intermediate result and differentiate in parts, or take a vjp instead of a Jacobian",
            )


_budget: ContextVar[Budget | None] = ContextVar("budget", default=None)


def spend() -> None:
    """Note that an expression was made, if somebody counts."""
    budget = _budget.get()
    if budget is not None:
        budget.spend()


def bounded(function: Callable[P, T]) -> Callable[P, T]:
    """Let a function make only so many expressions, in so much time; calls inside it share its budget."""

    @wraps(function)
    def limited(*args: P.args, **kwargs: P.kwargs) -> T:
        if _budget.get() is not None:
            return function(*args, **kwargs)
        token = _budget.set(Budget(monotonic() + SECONDS))
        try:
            return function(*args, **kwargs)
        finally:
            _budget.reset(token)

    return limited
