"""The limit to failed attempts: who has to wait, and for how long."""

from __future__ import annotations

from nodegraph.server.throttle import Throttle


def test_the_throttle_forgets_one_failure_at_a_time() -> None:
    now = [0.0]
    throttle = Throttle(lambda: now[0], burst=3, refill=10)
    for _ in range(3):
        assert throttle.wait("a") == 0
        throttle.failed("a")

    assert throttle.wait("a") == 10
    assert throttle.wait("b") == 0
    now[0] = 4
    assert throttle.wait("a") == 6
    now[0] = 25
    throttle.failed("a")
    assert throttle.wait("a") == 0
    throttle.failed("a")
    assert throttle.wait("a") == 5


def test_more_failures_do_not_make_the_wait_longer() -> None:
    throttle = Throttle(lambda: 0.0, burst=3, refill=10)
    for _ in range(100):
        throttle.failed("a")

    assert throttle.wait("a") == 10


def test_a_clock_that_is_set_back_locks_nobody_out() -> None:
    now = [100_000.0]
    throttle = Throttle(lambda: now[0], burst=1, refill=10)
    throttle.failed("a")

    now[0] = 0
    assert throttle.wait("a") == 10
    now[0] = 10
    assert throttle.wait("a") == 0


def test_the_table_of_addresses_is_bounded_and_keeps_the_latest() -> None:
    throttle = Throttle(lambda: 0.0, burst=1, addresses=10)
    for number in range(30):
        throttle.failed(f"10.0.0.{number}")
        if number in (15, 22):
            throttle.failed("10.0.1.1")

    assert len(throttle) == 10
    assert throttle.wait("10.0.1.1") > 0
    assert throttle.wait("10.0.0.29") > 0
    assert throttle.wait("10.0.0.20") == 0


def test_a_network_of_ipv6_is_one_client_and_a_mapped_address_is_itself() -> None:
    throttle = Throttle(lambda: 0.0, burst=1)
    throttle.failed("2001:db8:0:1::1")
    throttle.failed("::ffff:192.0.2.1")

    assert throttle.wait("2001:db8:0:1:ffff::2") > 0
    assert throttle.wait("2001:db8:0:2::1") == 0
    assert throttle.wait("192.0.2.1") > 0
    assert throttle.wait("192.0.2.2") == 0
