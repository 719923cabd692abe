"""A worker that was slow: what it tells when its submission has long been leased to another."""

from collections.abc import Callable
from datetime import datetime

import pytest

from pipelines.deliver.outbox import LEASE, Outcome, expire_overdue, lease_due, record
from pipelines.frames import State
from tests.conftest import SLOT, World


@pytest.mark.parametrize("told", [State.ACCEPTED, State.PENDING, State.REJECTED])
def test_a_mark_after_the_lease_went_to_another_worker_is_left_out(
    make_world: Callable[[str], World], noon: datetime, told: State
) -> None:
    world = make_world("rest")
    key = ("load-1", noon + SLOT, "forecast", 0)
    world.submit("load-1", noon + SLOT, 100.0)
    now = world.clock.now()
    (slow,) = lease_due(world.store, assets=["load-1"], now=now, worker="slow", limit=10)
    expire_overdue(world.store, now=now + LEASE)
    (same,) = lease_due(world.store, assets=["load-1"], now=now + LEASE, worker="other", limit=10)
    assert same.id == slow.id

    record(world.store, [Outcome(id=slow.id, state=told, at=now + LEASE, error="late")], worker="slow")
    assert world.states() == {key: State.SENDING}

    record(world.store, [Outcome(id=same.id, state=State.ACCEPTED, at=now + LEASE)], worker="other")
    assert world.states() == {key: State.ACCEPTED}
