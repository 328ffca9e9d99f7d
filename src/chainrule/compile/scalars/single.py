"""Elementary functions of float32 numbers: those of `double` with shorter series."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy import float32 as F
from numpy import int32 as I

LOG2E = F(1.44269504)
LN2_HIGH = F(0.693359375)  # ln 2 in two parts: the first has 14 zero bits at its end
LN2_LOW = F(-2.12194440e-4)
WHOLE = F(12582912)  # 1.5·2²³
WHOLE_BITS = I(0x4B400000)
ROOT_HALF_BITS = I(0x3F3504F3)
C2, C3, C4, C5, C6 = F(0.5000000095), F(0.16666518841), F(0.04166620614), F(0.00836888929), F(0.00139504651)
ZERO, HALF, ONE, TWO, INF, NAN = F(0), F(0.5), F(1), F(2), F(np.inf), F(np.nan)


# --- functions
def reduced_exp(z: Any) -> Any:
    """Return (p, n) with exp(z) = (1 + p)·2ⁿ and |p| < 0.42, for |z| < 110: a polynomial of degree 6."""
    shifted = z * LOG2E + WHOLE
    n = shifted - WHOLE
    r = (z - n * LN2_HIGH) - n * LN2_LOW
    r2 = r * r
    return r + r2 * ((C2 + r * C3) + r2 * ((C4 + r * C5) + r2 * C6)), F(shifted).view(np.int32) - WHOLE_BITS


def power_of_two(n: Any) -> Any:
    """Return 2ⁿ for a whole number n from -126 to 127."""
    return I((n + I(127)) << I(23)).view(np.float32)


def fast_exp(z: Any) -> Any:
    """Return exp(z); 0 below -104, inf above 88.8, NaN for NaN."""
    inside = F(-105) if z < F(-105) else z
    inside = F(89) if inside > F(89) else inside
    p, n = reduced_exp(inside)
    half = n >> I(1)
    scale = power_of_two(half)
    return (scale + scale * p) * power_of_two(n - half)


def falling_exp(z: Any) -> Any:
    """Return exp(z) for z ≤ 0 or NaN: one power of two is enough, 2³² times too large until the end."""
    p, n = reduced_exp(F(-105) if z < F(-105) else z)
    scale = power_of_two(n + I(32))
    return (scale + scale * p) * F(2.3283064365386963e-10)


def fast_expm1(z: Any) -> Any:
    """Return exp(z) - 1, accurate at 0."""
    inside = F(-30) if z < F(-30) else z
    inside = F(89) if inside > F(89) else inside
    p, n = reduced_exp(inside)
    half = n >> I(1)
    scale = power_of_two(half)
    value = (scale * p + (scale - power_of_two(half - n))) * power_of_two(n - half)
    return z if z == ZERO else value


def fast_log(z: Any) -> Any:
    """Return ln z: z = m·2ⁿ with m around 1, and ln m = 2 artanh(s), s = (m - 1)/(m + 1)."""
    normal = z if z >= F(1.17549435e-38) else z * F(33554432)
    bits = F(normal).view(np.int32)
    n = (bits - ROOT_HALF_BITS) >> I(23)
    m = I(bits - (n << I(23))).view(np.float32)
    count = F(n)
    count = count if z >= F(1.17549435e-38) else count - F(25)
    f = m - ONE
    s = f / (TWO + f)
    s2 = s * s
    rest = s2 * ((F(0.66666754332) + s2 * F(0.39979720656)) + s2 * s2 * F(0.29821872245))
    half = HALF * f * f
    value = count * LN2_HIGH - ((half - (s * (half + rest) + count * LN2_LOW)) - f)
    value = value if z < INF else z
    value = value if z > ZERO else NAN
    return value if z != ZERO else -INF


def fast_log1p(z: Any) -> Any:
    """Return ln(1 + z), accurate at 0: what 1 + z rounds away is put back."""
    u = ONE + z
    lost = (z - (u - ONE)) / u
    value = fast_log(u)
    return value + lost if u > ZERO and u < INF else value


def small_log1p(z: Any) -> Any:
    """Return ln(1 + z) for 0 ≤ z ≤ 1, as in `fast_log` with m = 1 + z: ln m = z - s·(z - rest)."""
    s = z / (TWO + z)
    s2 = s * s
    low = F(0.66666438633) + s2 * F(0.40020509096)
    rest = s2 * (low + s2 * s2 * (F(0.28015871876) + s2 * F(0.27951282501)))
    return z - s * (z - rest)


def fast_tanh(z: Any) -> Any:
    """Return tanh z = t/(t + 2) with t = expm1(2|z|), and the sign of z."""
    size = abs(z)
    t = fast_expm1(TWO * (size if size < F(10) else F(10)))
    value = t / (t + TWO)
    value = value if z > ZERO else -value
    return z if z != z or z == ZERO else value


def fast_sigmoid(z: Any) -> Any:
    """Return 1/(1 + exp(-z)); the exponent is never positive."""
    e = falling_exp(-abs(z))
    return (ONE if z >= ZERO else e) / (ONE + e)


def fast_softplus(z: Any) -> Any:
    """Return ln(1 + exp(z)) = max(z, 0) + log1p(exp(-|z|))."""
    return (ZERO if z <= ZERO else z) + small_log1p(falling_exp(-abs(z)))


def order_key(z: Any) -> Any:
    """Return a whole number that is larger for a larger z, and largest for NaN."""
    bits = F(z).view(np.int32)
    key = bits ^ ((bits >> I(31)) & I(0x7FFFFFFF))
    return I(0x7FFFFFFF) if z != z else key


def key_value(key: Any) -> Any:
    """Return the number of a key; NaN for the largest key."""
    bits = key ^ ((key >> I(31)) & I(0x7FFFFFFF))
    return I(bits).view(np.float32)
