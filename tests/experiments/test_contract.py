"""What holds for every experiment file: its golden configuration, its paper, its quick variant."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import xarray as xr

from brainjax import catalog
from brainjax.claims import from_json
from tests import as_user

ROOT = Path(__file__).parents[2]
NAMES = sorted(
    str(path.relative_to(ROOT / "experiments").with_suffix("")) for path in (ROOT / "experiments").rglob("*.py")
)

# The quick variant that runs in `make test`: the main job's. Compiling is most of their time; `make test-all` runs all.
ALWAYS = ("critical_periods/deficit_window",)
QUICK = [pytest.param(name, marks=() if name in ALWAYS else pytest.mark.slow) for name in NAMES]


def test_there_are_experiments():
    assert set(ALWAYS) <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_the_resolved_configuration_is_the_golden_one(name):
    """Set BRAINJAX_GOLDEN=write to accept a change; the difference then shows in review."""
    experiment = catalog.load(name)
    resolved = json.loads(json.dumps(experiment.get_config("").to_dict()))
    golden = ROOT / "tests" / "golden" / f"{name.replace('/', '.')}.json"
    if os.environ.get("BRAINJAX_GOLDEN") == "write":
        golden.write_text(json.dumps(resolved, indent=1) + "\n")
    assert resolved == json.loads(golden.read_text())


@pytest.mark.parametrize("name", NAMES)
def test_the_paper_is_in_the_bibliography(name):
    paper = catalog.load(name).entry.paper
    assert re.search(rf"@\w+\{{{re.escape(paper)},", (ROOT / "references.bib").read_text())


@pytest.mark.parametrize("name", QUICK)
def test_the_quick_variant_runs_and_leaves_its_files(name, tmp_path):
    command = [sys.executable, "-m", "brainjax", "run", name, "--variant=quick", f"--out={tmp_path / 'out'}"]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=as_user.environment(XDG_CACHE_HOME=str(tmp_path / "cache")),
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    left = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert left == ["chunks", "claims.json", "config.json", "figure.pdf", "figure.png", "provenance.json", "results.nc"]
    judged = from_json((tmp_path / "out" / "claims.json").read_text())
    assert judged
    assert all(claim.verdict in ("holds", "fails", "inconclusive") for claim in judged)
    tree = xr.open_datatree(tmp_path / "out" / "results.nc", engine="h5netcdf")
    assert any(node.data_vars for node in tree.subtree)


@pytest.mark.parametrize("name", NAMES)
def test_an_unknown_variant_is_refused_in_one_line(name):
    with pytest.raises(ValueError, match="variant") as caught:
        catalog.load(name).get_config("no such variant")
    assert "\n" not in str(caught.value)
