"""What of a run is done first."""

from collections.abc import Callable
from typing import Any

from datapipe.transform.execution.schedule import Schedule, Step, ways
from datapipe.transform.manifest.nodes import Model
from datapipe.transform.manifest.tests import DataTest
from datapipe.transform.results import Transformed


def step(name: str, *needs: str, is_test: bool = False) -> Step:
    kind = DataTest if is_test else Model
    node = kind.__new__(kind)
    object.__setattr__(node, "refs", needs)
    object.__setattr__(node, "resource_type", "model")
    return Step(name, node, frozenset(needs))


# A long chain beside models that nothing waits for, each with a test.
STEPS = [
    *(step(name) for name in ("short_1", "short_2", "short_3")),
    *(step("first"), step("second", "first"), step("third", "second")),
    *(step(f"{name}_test", name, is_test=True) for name in ("short_1", "first", "third")),
]


def test_the_way_from_a_step_is_the_longest_of_those_that_wait_for_it() -> None:
    found = ways(STEPS, {"first": 1, "second": 2, "third": 4, "third_test": 8, "first_test": 5})
    assert {name: found[name] for name in ("first", "second", "third", "first_test")} == {
        "first": 15, "second": 14, "third": 12, "first_test": 5,
    }  # fmt: skip
    assert found["short_2"] == 4, "what was never done takes the average"


def test_what_the_whole_run_waits_for_goes_first_and_one_worker_is_enough_for_it() -> None:
    schedule = Schedule(STEPS, ways(STEPS, {}))

    def taken() -> list[str]:
        return [each.unique_id for each in schedule.take(50)]

    assert taken() == ["first"]
    assert taken() == ["short_1"]
    schedule.done("short_1")
    assert taken() == ["short_2"], "tests come after the models that wait for nothing"
    schedule.done("first")
    assert taken() == ["second"]
    assert taken() == ["short_3"]
    assert taken() == ["short_1_test", "first_test"], "second is longer than any other model"
    schedule.done("second")
    schedule.done("first_test")
    assert taken() == ["third"]


def test_without_ways_the_order_is_the_one_given() -> None:
    schedule = Schedule(STEPS)
    taken = []
    while found := schedule.take(50):
        for each in found:
            taken.append(each.unique_id)
            schedule.done(each.unique_id)
    assert taken == [
        "short_1", "short_2", "short_3", "first",
        "short_1_test", "first_test", "second", "third", "third_test",
    ]  # fmt: skip


def test_how_long_each_node_took_is_known_to_the_next_run(
    run: Callable[..., Transformed], rows: Callable[..., list[tuple[Any, ...]]]
) -> None:
    run({"models/slow.sql": "{{ config(materialized='table') }} select 1 as n from pg_sleep(0.1)"})
    ((name, seconds),) = rows("SELECT unique_id, seconds FROM meta.node_states")
    assert name == "model.shop.slow"
    assert seconds >= 0.1
