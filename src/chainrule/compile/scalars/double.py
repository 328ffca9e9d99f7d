"""Elementary functions of float64 numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

LOG2E = 1.4426950408889634
LN2_HIGH = 6.93147180369123816490e-01  # ln 2 in two parts: the first has 32 zero bits at its end
LN2_LOW = 1.90821492927058770002e-10
WHOLE = 6755399441055744.0  # 1.5·2⁵²: in a sum with it a number is rounded to a whole one, and stands in the last bits
WHOLE_BITS = 0x4338000000000000
ROOT_HALF_BITS = 0x3FE6A09E667F3BCD


# --- functions
def reduced_exp(z: Any) -> Any:
    """Return (p, n) with exp(z) = (1 + p)·2ⁿ and |p| < 0.42, for |z| < 800; p is NaN for NaN.

    (p - r)/r² is the polynomial of degree 9 that differs least from (exp(r) - 1 - r)/r² for |r| ≤ ln(2)/2.
    """
    shifted = z * LOG2E + WHOLE
    n = shifted - WHOLE
    r = (z - n * LN2_HIGH) - n * LN2_LOW
    r2 = r * r
    r4 = r2 * r2
    low = (0.5000000000000012 + r * 0.166666666666667) + r2 * (0.041666666666515424 + r * 0.008333333333307207)
    middle = (0.0013888888947014943 + r * 0.00019841269917381351) + r2 * (
        2.4801489943140297e-05 + r * 2.755721630081369e-06
    )
    high = 2.7631280036522325e-07 + r * 2.5117861485044155e-08
    return r + r2 * (low + r4 * (middle + r4 * high)), np.float64(shifted).view(np.int64) - np.int64(WHOLE_BITS)


def power_of_two(n: Any) -> Any:
    """Return 2ⁿ for a whole number n from -1022 to 1023."""
    return np.int64((n + np.int64(1023)) << np.int64(52)).view(np.float64)


def fast_exp(z: Any) -> Any:
    """Return exp(z); 0 below -745.2, inf above 709.8, NaN for NaN."""
    inside = -746.0 if z < -746.0 else z
    inside = 710.0 if inside > 710.0 else inside
    p, n = reduced_exp(inside)
    half = n >> np.int64(1)
    scale = power_of_two(half)
    return (scale + scale * p) * power_of_two(n - half)


def falling_exp(z: Any) -> Any:
    """Return exp(z) for z ≤ 0 or NaN: one power of two is enough, 2⁶⁴ times too large until the end."""
    p, n = reduced_exp(-746.0 if z < -746.0 else z)
    scale = power_of_two(n + np.int64(64))
    return (scale + scale * p) * 5.421010862427522e-20


def fast_expm1(z: Any) -> Any:
    """Return exp(z) - 1, accurate at 0."""
    inside = -50.0 if z < -50.0 else z
    inside = 710.0 if inside > 710.0 else inside
    p, n = reduced_exp(inside)
    half = n >> np.int64(1)
    scale = power_of_two(half)
    value = (scale * p + (scale - power_of_two(half - n))) * power_of_two(n - half)
    return z if z == 0.0 else value


def fast_log(z: Any) -> Any:
    """Return ln z: z = m·2ⁿ with m around 1, and ln m = 2 artanh(s), s = (m - 1)/(m + 1).

    For 2 artanh(s) = 2s + s·rest, rest/s² is the polynomial in s² that differs least for √½ ≤ m ≤ √2.
    """
    normal = z if z >= 2.2250738585072014e-308 else z * 18014398509481984.0
    bits = np.float64(normal).view(np.int64)
    n = (bits - np.int64(ROOT_HALF_BITS)) >> np.int64(52)
    m = np.int64(bits - (n << np.int64(52))).view(np.float64)
    count: Any = np.float64(n)
    count = count if z >= 2.2250738585072014e-308 else count - 54.0
    f = m - 1.0
    s = f / (2.0 + f)
    s2 = s * s
    s4 = s2 * s2
    low = 0.6666666666666685 + s2 * 0.3999999999970094
    middle = 0.28571428684486805 + s2 * 0.2222220406871465
    high = (0.18183297050665276 + s2 * 0.1532050520126131) + s4 * 0.14734582987466377
    rest = s2 * (low + s4 * (middle + s4 * high))
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


def small_log1p(z: Any) -> Any:
    """Return ln(1 + z) for 0 ≤ z ≤ 1, as in `fast_log` with m = 1 + z: ln m = z - s·(z - rest)."""
    s = z / (2.0 + z)
    s2 = s * s
    s4 = s2 * s2
    s8 = s4 * s4
    low = (0.6666666666666651 + s2 * 0.40000000000096897) + s4 * (0.28571428554385747 + s2 * 0.22222223611120878)
    high = (0.18181755311012798 + s2 * 0.1538633821142275) + s4 * (0.13303662976034986 + s2 * 0.12086264208911351)
    rest = s2 * (low + s8 * (high + s8 * (0.08421355408292248 + s2 * 0.16876480835741148)))
    return z - s * (z - rest)


def fast_tanh(z: Any) -> Any:
    """Return tanh z = t/(t + 2) with t = expm1(2|z|), and the sign of z."""
    size = abs(z)
    t = fast_expm1(2.0 * (size if size < 22.0 else 22.0))
    value = t / (t + 2.0)
    value = value if z > 0.0 else -value
    return z if z != z or z == 0.0 else value


def fast_sigmoid(z: Any) -> Any:
    """Return 1/(1 + exp(-z)); the exponent is never positive."""
    e = falling_exp(-abs(z))
    return (1.0 if z >= 0.0 else e) / (1.0 + e)


def fast_softplus(z: Any) -> Any:
    """Return ln(1 + exp(z)) = max(z, 0) + log1p(exp(-|z|))."""
    return (0.0 if z <= 0.0 else z) + small_log1p(falling_exp(-abs(z)))


def order_key(z: Any) -> Any:
    """Return a whole number that is larger for a larger z, and largest for NaN."""
    bits = np.float64(z).view(np.int64)
    key = bits ^ ((bits >> np.int64(63)) & np.int64(0x7FFFFFFFFFFFFFFF))
    return np.int64(0x7FFFFFFFFFFFFFFF) if z != z else key


def key_value(key: Any) -> Any:
    """Return the number of a key; NaN for the largest key."""
    bits = key ^ ((key >> np.int64(63)) & np.int64(0x7FFFFFFFFFFFFFFF))
    return np.int64(bits).view(np.float64)
