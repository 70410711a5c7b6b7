"""The share that ends last finds the runs of the others, also in parts that it had left before they did."""

from types import SimpleNamespace

import pytest
import xarray as xr

from brainjax import sweep
from brainjax.commands import work


class Reporter:
    def expect(self, name, size):
        pass


@pytest.mark.parametrize("done", [True, False])
def test_parts_that_lacked_runs_are_looked_at_again(done, tmp_path, monkeypatch):
    asked = []

    def execute(plan, *, store, progress):
        asked.append(plan)
        return xr.Dataset({"x": 1.0}) if plan == "last" or (done and asked.count(plan) == 2) else None

    monkeypatch.setattr(sweep, "execute", execute)
    monkeypatch.setattr(sweep, "resumed", lambda plan, store: plan)
    job = SimpleNamespace(
        parts={"first": SimpleNamespace(size=1), "last": SimpleNamespace(size=1)},
        experiment=SimpleNamespace(entry=SimpleNamespace(name="x")),
        plan=lambda part: part,
        plan_ahead=lambda: None,
    )
    _, results = work._executed(job, tmp_path, Reporter())
    assert asked == ["first", "last", "first"]
    assert (results is None) is not done
