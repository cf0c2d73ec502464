"""The quantile function of the beta distribution, in double precision.

I_x(a, b) is the regularised incomplete beta function, the distribution function of Beta(a, b);
the quantile at p is the x with I_x(a, b) = p.
"""

from __future__ import annotations

import math

TINY = 1e-300
PRECISION = 1e-16
TERMS = 400


def beta_quantile(p: float, a: float, b: float) -> float:
    """x in [0, 1] with I_x(a, b) = p, to about 1e-14; 0 <= p <= 1, a, b > 0."""
    if not (0 <= p <= 1 and a > 0 and b > 0):
        raise ValueError(f"expected 0 <= p <= 1 and a, b > 0, got p={p}, a={a}, b={b}")
    if p in (0.0, 1.0):
        return float(p)
    if a == b and p == 0.5:
        return 0.5
    if p > 0.5:  # the small tail is the one that floating point resolves
        return 1 - beta_quantile(1 - p, b, a)
    low, high = 0.0, 1.0
    x = 0.5
    while high - low > PRECISION * max(x, TINY):
        excess = incomplete_beta(x, a, b) - p
        low, high = (low, x) if excess > 0 else (x, high)
        newton = x - excess / _density(x, a, b)
        step = newton if low < newton < high else (low + high) / 2
        if step in (x, low, high):
            return step
        x = step
    return x


def incomplete_beta(x: float, a: float, b: float) -> float:
    """I_x(a, b) for 0 <= x <= 1 by its continued fraction (NIST DLMF 8.17.22)."""
    if x in (0.0, 1.0):
        return float(x)
    if x > (a + 1) / (a + b + 2):  # beyond this point the fraction of the mirror image is faster
        return 1 - incomplete_beta(1 - x, b, a)
    return x * (1 - x) * _density(x, a, b) / a / _fraction(x, a, b)


def _density(x: float, a: float, b: float) -> float:
    """x^(a−1) (1 − x)^(b−1) / B(a, b)"""
    log_B = math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
    return math.exp((a - 1) * math.log(x) + (b - 1) * math.log1p(-x) - log_B)


def _fraction(x: float, a: float, b: float) -> float:
    """1 + d_1/(1 + d_2/(1 + ...)) from the front, by Lentz's method (DLMF 3.10(iii))."""
    C, D, value = 1.0, 0.0, 1.0
    for n in range(1, TERMS):
        d = _coefficient(n, x, a, b)
        D = 1 / ((1 + d * D) or TINY)
        C = (1 + d / C) or TINY
        value *= C * D
        if abs(C * D - 1) < PRECISION:
            break
    return value


def _coefficient(n: int, x: float, a: float, b: float) -> float:
    """d_n of the continued fraction (DLMF 8.17.23)."""
    m, odd = divmod(n, 2)
    if odd:
        return -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
    return m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
