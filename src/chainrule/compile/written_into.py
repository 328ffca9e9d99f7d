"""An operation on entries -> the function of NumPy that writes its result into an array `out`."""

from __future__ import annotations

from collections.abc import Sequence

from chainrule.compile.program import Action, Combine, Contract, Divide
from chainrule.compile.writing import literal, signed_terms
from chainrule.expression.shape import Scalar


def written_into(action: Action, texts: Sequence[str], known: Sequence[Scalar | None]) -> str | None:
    """Write the function that NumPy's operator stands for, which takes the place of its result; None if there is none.

    `known` are the values of those operands that are constants.
    """
    match action:
        case Contract():
            return f"np.multiply({texts[0]}, {texts[1]}, out=out)"
        case Divide(is_length) if not is_length:
            return f"np.divide({texts[0]}, {texts[1]}, out=out)"
        case Combine((c,)):
            return f"np.multiply({texts[0]}, {literal(c)}, out=out)"
        case Combine(coefficients) if len(texts) == 2:
            (negative, first), (less, second) = signed_terms(coefficients, texts, known)
            if not negative:
                return f"np.{'subtract' if less else 'add'}({first}, {second}, out=out)"
    return None
