"""Elementary functions of float64 numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

LOG2E = 1.4426950408889634
LN2_HIGH = 6.93147180369123816490e-01  # ln 2 in two parts: the first has 32 zero bits at its end
LN2_LOW = 1.90821492927058770002e-10
ROOT2 = 1.4142135623730951


# --- functions
def reduced_exp(z: Any) -> Any:
    """Return (p, n) with exp(z) = (1 + p)·2ⁿ and |p| < 0.42, for |z| < 800: Taylor's series of expm1 to degree 13."""
    n = np.floor(z * LOG2E + 0.5)
    r = (z - n * LN2_HIGH) - n * LN2_LOW
    r2 = r * r
    r4 = r2 * r2
    low = (1 / 2 + r * (1 / 6)) + r2 * (1 / 24 + r * (1 / 120))
    middle = (1 / 720 + r * (1 / 5040)) + r2 * (1 / 40320 + r * (1 / 362880))
    high = (1 / 3628800 + r * (1 / 39916800)) + r2 * (1 / 479001600 + r * (1 / 6227020800))
    return r + r2 * (low + r4 * (middle + r4 * high)), n


def power_of_two(n: Any) -> Any:
    """Return 2ⁿ for a whole float n from -1022 to 1023."""
    return np.int64((np.int64(n) + np.int64(1023)) << np.int64(52)).view(np.float64)


def fast_exp(z: Any) -> Any:
    """Return exp(z); 0 below -745.2, inf above 709.8, NaN for NaN."""
    inside = z if z > -746.0 else -746.0
    inside = inside if inside < 710.0 else 710.0
    p, n = reduced_exp(inside)
    half = np.floor(n * 0.5)
    value = (1.0 + p) * power_of_two(half) * power_of_two(n - half)
    return z if z != z else value


def fast_expm1(z: Any) -> Any:
    """Return exp(z) - 1, accurate at 0."""
    inside = z if z > -50.0 else -50.0
    inside = inside if inside < 710.0 else 710.0
    p, n = reduced_exp(inside)
    half = np.floor(n * 0.5)
    scale = power_of_two(half)
    value = (scale * p + (scale - power_of_two(half - n))) * power_of_two(n - half)
    return z if z != z or z == 0.0 else value


def fast_log(z: Any) -> Any:
    """Return ln z: z = m·2ⁿ with m around 1, and ln m = 2 artanh(s), s = (m - 1)/(m + 1)."""
    normal = z if z >= 2.2250738585072014e-308 else z * 18014398509481984.0
    bits = np.float64(normal).view(np.int64)
    n = (bits >> np.int64(52)) - np.int64(1023)
    m = np.int64((bits & np.int64(0xFFFFFFFFFFFFF)) | np.int64(0x3FF0000000000000)).view(np.float64)
    is_large = m > ROOT2
    m = m * 0.5 if is_large else m
    count: Any = np.float64(n + np.int64(1)) if is_large else np.float64(n)
    count = count if z >= 2.2250738585072014e-308 else count - 54.0
    f = m - 1.0
    s = f / (2.0 + f)
    s2 = s * s
    s4 = s2 * s2
    low = (2 / 3 + s2 * (2 / 5)) + s4 * (2 / 7 + s2 * (2 / 9))
    high = (2 / 11 + s2 * (2 / 13)) + s4 * (2 / 15 + s2 * (2 / 17) + s4 * (2 / 19 + s2 * (2 / 21)))
    rest = s2 * (low + s4 * s4 * high)
    half = 0.5 * f * f
    value = count * LN2_HIGH - ((half - (s * (half + rest) + count * LN2_LOW)) - f)
    value = value if z < np.inf else z
    value = value if z > 0.0 else np.nan
    return value if z != 0.0 else -np.inf


def fast_log1p(z: Any) -> Any:
    """Return ln(1 + z), accurate at 0: what 1 + z rounds away is put back."""
    u = 1.0 + z
    lost = (z - (u - 1.0)) / u
    value = fast_log(u)
    return value + lost if u > 0.0 and u < np.inf else value


def fast_tanh(z: Any) -> Any:
    """Return tanh z = t/(t + 2) with t = expm1(2|z|), and the sign of z."""
    size = abs(z)
    t = fast_expm1(2.0 * (size if size < 22.0 else 22.0))
    value = t / (t + 2.0)
    value = value if z > 0.0 else -value
    return z if z != z or z == 0.0 else value


def fast_sigmoid(z: Any) -> Any:
    """Return 1/(1 + exp(-z)); the exponent is never positive."""
    e = fast_exp(-abs(z))
    return (1.0 if z >= 0.0 else e) / (1.0 + e)


def fast_softplus(z: Any) -> Any:
    """Return ln(1 + exp(z)) = max(z, 0) + log1p(exp(-|z|))."""
    return (0.0 if z <= 0.0 else z) + fast_log1p(fast_exp(-abs(z)))


def order_key(z: Any) -> Any:
    """Return a whole number that is larger for a larger z, and largest for NaN."""
    bits = np.float64(z).view(np.int64)
    key = bits ^ ((bits >> np.int64(63)) & np.int64(0x7FFFFFFFFFFFFFFF))
    return np.int64(0x7FFFFFFFFFFFFFFF) if z != z else key


def key_value(key: Any) -> Any:
    """Return the number of a key; NaN for the largest key."""
    bits = key ^ ((key >> np.int64(63)) & np.int64(0x7FFFFFFFFFFFFFFF))
    return np.int64(bits).view(np.float64)
