"""For tests of hand-written gradients: an assertion that says what is wrong.

from chainrule.testing import assert_gradient

def test_gradient():
    assert_gradient(loss, gradient, wrt="w", X=X, w=w, y=y)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from chainrule.proofread.gradients import check_gradient


def assert_gradient(
    f: Callable[..., Any],
    g: Callable[..., Any],
    *,
    wrt: str | Sequence[str] | None = None,
    seed: int = 0,
    **values: Any,
) -> None:
    """Fail unless `g` gives the gradient of the number that `f` returns, at the given values; see `check_gradient`.

    Raises: AssertionError with the verdict on each argument, what is wrong with it and the right formula, where the
    functions could be followed; also where the gradient could not be checked (values at which the loss is not finite).
    """
    report = check_gradient(f, g, wrt=wrt, seed=seed, **values)
    if not report.correct:
        raise AssertionError(f"the gradient is not that of the function\n{report}")
