"""The beta distribution's quantiles against SciPy's and against cases solved by hand."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

from nodes.diffusion.beta_quantile import beta_quantile, incomplete_beta

shape = st.floats(0.2, 8.0)


@given(p=st.floats(1e-6, 1 - 1e-6), a=shape, b=shape)
@settings(max_examples=60)
def test_quantiles_agree_with_scipy(p: float, a: float, b: float) -> None:
    assert beta_quantile(p, a, b) == pytest.approx(special.betaincinv(a, b, p), rel=1e-9, abs=1e-12)


@given(x=st.floats(0, 1), a=shape, b=shape)
@settings(max_examples=60)
def test_the_distribution_function_agrees_with_scipy(x: float, a: float, b: float) -> None:
    assert incomplete_beta(x, a, b) == pytest.approx(special.betainc(a, b, x), rel=1e-10, abs=1e-13)


@pytest.mark.parametrize("p", [0.0, 0.1, 0.3, 0.5, 0.75, 1.0])
def test_the_arcsine_law_has_its_closed_form(p: float) -> None:
    assert beta_quantile(p, 0.5, 0.5) == pytest.approx(math.sin(math.pi * p / 2) ** 2, abs=1e-14)


def test_the_median_of_a_symmetric_distribution_is_exactly_one_half() -> None:
    assert beta_quantile(0.5, 0.6, 0.6) == 0.5


@pytest.mark.parametrize("tail", [1e-9, 1e-12, 1e-14])
def test_the_far_tail_is_resolved(tail: float) -> None:
    p = 1 - tail

    assert beta_quantile(p, 2.0, 8.0) == pytest.approx(special.betaincinv(2.0, 8.0, p), abs=1e-12)


@pytest.mark.parametrize("n", [1, 7, 20, 30, 97, 200])
def test_rounded_times_are_the_ones_scipy_gives(n: int) -> None:
    p = 1 - np.linspace(0, 1, n, endpoint=False)

    times = [round(beta_quantile(float(q), 0.6, 0.6) * 999) for q in p]

    assert times == np.rint(special.betaincinv(0.6, 0.6, p) * 999).astype(int).tolist()


@pytest.mark.parametrize(("p", "a", "b"), [(-0.1, 1, 1), (1.1, 1, 1), (0.5, 0, 1), (0.5, 1, -1)])
def test_arguments_outside_the_domain_are_refused(p: float, a: float, b: float) -> None:
    with pytest.raises(ValueError, match="expected 0 <= p <= 1"):
        beta_quantile(p, a, b)
