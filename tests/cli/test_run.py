"""``plan`` and ``run`` as users run them: fresh processes, one device, float32, no flags for XLA."""

import json
import os
import signal
import stat
import time

import numpy as np
import pytest
import xarray as xr

from brainjax import claims
from tests.cli import toy

LEAVES = [
    "chunks",
    "claims.json",
    "config.json",
    "figure.pdf",
    "figure.png",
    "provenance.json",
    "results.nc",
]


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def done(tmp_path_factory, cache):
    """A finished run of the toy: its folder, and what the command said."""
    folder = tmp_path_factory.mktemp("done")
    toy.write(folder)
    status, out, err = toy.brainjax(folder, "run", "demo/decay", cache=cache)
    assert status == 0, err
    return folder, out, err


def opened(path):
    with xr.open_dataset(path, engine="h5netcdf") as dataset:
        return dataset.load()


def test_run_leaves_exactly_its_files(done):
    folder, _, _ = done
    assert toy.files(folder / "runs") == ["demo"]
    run = folder / "runs" / "demo" / "decay"
    assert toy.files(run) == LEAVES
    assert opened(run / "results.nc").sizes == {"rate": 2, "seed": 8, "step": 4}
    held = claims.from_json((run / "claims.json").read_text())
    assert [(c.name, c.verdict, c.n) for c in held] == [("faster", "holds", 8), ("grows", "fails", 8)]
    config = json.loads((run / "config.json").read_text())
    assert config["config"]["noise"] == {"sd": 0.1, "kind": "normal"}
    assert config["sweep"]["rate"]["rate"] == {"kind": "traced", "values": [1.0, 4.0]}
    provenance = json.loads((run / "provenance.json").read_text())
    assert provenance["precision"] == "float32"
    assert provenance["runs"] == 16
    assert set(provenance["files"]) == {"results.nc", "figure.png", "figure.pdf", "claims.json", "config.json"}
    assert str(folder) not in (run / "provenance.json").read_text()
    assert (run / "figure.png").read_bytes().startswith(b"\x89PNG")


def test_run_says_where_things_are_and_what_holds(done):
    _, out, err = done
    for expected in ("✓ holds", "✗ FAILS", "A larger rate ends lower.", "runs/demo/decay/figure.png", "16 runs in "):
        assert expected in out
    assert "demo/decay: 16 of 16 runs" in err
    assert "\x1b" not in out + err


def test_the_compilation_cache_is_filled_and_private(done, cache):
    (folder,) = (cache / "brainjax" / "xla").iterdir()
    assert "jaxlib" in folder.name
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert any(folder.iterdir())


def test_the_same_command_continues_and_more_seeds_reuse_the_store(done, cache):
    folder, _, _ = done
    run = folder / "runs" / "demo" / "decay"
    before = opened(run / "results.nc")
    status, _, err = toy.brainjax(folder, "run", "demo/decay", "--seeds=12", "--strict", cache=cache)
    assert status == 1  # a claim fails, and --strict was given
    assert "demo/decay: 16 of 24 runs" in err
    after = opened(run / "results.nc")
    assert after.isel(seed=slice(8)).drop_attrs().identical(before.drop_attrs())
    assert toy.files(run) == LEAVES


def test_plan_executes_nothing(tmp_path, cache):
    toy.write(tmp_path)
    words = ["--sweep.noise.sd=0:1:5", "--config.rate=2", "--seeds=3"]
    status, out, err = toy.brainjax(tmp_path, "plan", "demo/decay", *words, cache=cache)
    assert status == 0
    assert "15 = noise.sd 5 (traced) x seed 3 (seed)" in out
    assert err == "note: rate is swept by default: --config pins it to 2.0\n"
    assert toy.files(tmp_path) == ["experiments"]


@pytest.mark.slow
def test_variant_out_and_a_file_anywhere(tmp_path, cache):
    path = toy.write(tmp_path, name="../elsewhere/own")
    status, _, err = toy.brainjax(tmp_path, "run", str(path), "--variant=quick", "--seeds=2", cache=cache)
    assert status == 0, err
    assert toy.files(tmp_path / "runs") == ["own-quick"]
    status, _, err = toy.brainjax(tmp_path, "run", str(path), "--out=here/there", "--config.rate=2", cache=cache)
    assert status == 0, err
    assert toy.files(tmp_path / "here" / "there") == LEAVES


@pytest.mark.slow
def test_named_parts_make_a_tree_with_a_store_each(tmp_path, cache):
    toy.write(tmp_path, toy.PARTS, "demo/parts")
    status, out, err = toy.brainjax(tmp_path, "run", "demo/parts", "--seeds=3", "--sweep.a=1,2,3", cache=cache)
    assert status == 0, err
    assert "15 runs in" in out
    run = tmp_path / "runs" / "demo" / "parts"
    assert toy.files(run) == LEAVES
    assert toy.files(run / "chunks") == ["one", "two"]
    tree = xr.open_datatree(run / "results.nc", engine="h5netcdf")
    assert tree["one"].sizes == {"a": 3, "seed": 3}
    assert tree["two"].sizes == {"b": 2, "seed": 3}
    provenance = json.loads((run / "provenance.json").read_text())
    assert provenance["precision"] == "float64"
    assert set(provenance["parts"]) == {"one", "two"}
    status, out, _ = toy.brainjax(tmp_path, "plan", "demo/parts", "--precision=float32", cache=cache)
    assert "demo/parts: two" in out
    assert "float32" in out
    assert "16 runs, 3 compilations" in out


@pytest.mark.slow
def test_shards_meet_in_one_store(tmp_path, cache):
    toy.write(tmp_path)
    words = ["run", "demo/decay", "--width=4", "--seeds=16"]
    run = tmp_path / "runs" / "demo" / "decay"
    status, out, err = toy.brainjax(tmp_path, *words, "--shard=0/2", cache=cache)
    assert status == 0, err
    assert "share 0/2 is done: 16 of 32 runs" in out
    assert toy.files(run) == ["chunks"]
    status, out, err = toy.brainjax(tmp_path, *words, "--shard=1/2", cache=cache)
    assert status == 0, err
    assert toy.files(run) == LEAVES
    status, _, err = toy.brainjax(tmp_path, *words, "--out=whole", cache=cache)
    assert status == 0, err
    assert opened(run / "results.nc").identical(opened(tmp_path / "whole" / "results.nc"))


def test_diverged_runs_are_counted_and_kept(tmp_path, cache):
    toy.write(tmp_path, toy.TOY.replace("jnp.ones(())", "jnp.where(config.rate > 2, jnp.nan, 1.0)"))
    status, out, err = toy.brainjax(tmp_path, "run", "demo/decay", cache=cache)
    assert status == 0, err
    assert "8 of them diverged" in out
    assert "8 not finite" in out  # in the claims table
    results = opened(tmp_path / "runs" / "demo" / "decay" / "results.nc")
    assert np.isnan(results.final.sel(rate=4.0)).all()
    assert json.loads((tmp_path / "runs" / "demo" / "decay" / "provenance.json").read_text())["diverged_runs"] == 8


SLOW = ["run", "demo/decay", "--config.work=10000000", "--width=4", "--seeds=64", "--config.rate=1", "--workers=1"]


def started(folder, cache):
    """The slow toy, once it has stored some of its runs but not all."""
    process = toy.command(folder, *SLOW, cache=cache)
    blocks = folder / "runs" / "demo" / "decay" / "chunks" / "blocks"
    deadline = time.monotonic() + 60
    while not (blocks.is_dir() and any(name.endswith(".nc") for name in os.listdir(blocks))):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return process


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory, cache):
    folder = tmp_path_factory.mktemp("uninterrupted")
    toy.write(folder)
    status, _, err = toy.brainjax(folder, *SLOW, cache=cache)
    assert status == 0, err
    return opened(folder / "runs" / "demo" / "decay" / "results.nc")


@pytest.mark.slow
def test_ctrl_c_says_what_is_stored_and_the_same_command_continues(tmp_path, cache, uninterrupted):
    toy.write(tmp_path)
    process = started(tmp_path, cache)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    last = err.strip().splitlines()[-1]
    assert "interrupted; at least " in last
    assert "of 64 runs are stored in runs/demo/decay/chunks; the same command continues" in last
    assert "Traceback" not in err
    stored = int(last.split("at least ")[1].split()[0])
    assert 0 < stored < 64
    status, _, err = toy.brainjax(tmp_path, *SLOW, cache=cache)
    assert status == 0, err
    begun_with = int(err.split("demo/decay: ")[1].split()[0])
    assert stored <= begun_with < 64
    assert opened(tmp_path / "runs" / "demo" / "decay" / "results.nc").identical(uninterrupted)


@pytest.mark.slow
def test_a_kill_loses_only_what_was_in_progress(tmp_path, cache, uninterrupted):
    toy.write(tmp_path)
    process = started(tmp_path, cache)
    process.kill()
    process.communicate(timeout=60)
    run = tmp_path / "runs" / "demo" / "decay"
    (run / f".results.{process.pid}.part.nc").write_bytes(b"half a file")  # as if killed while writing results
    status, _, err = toy.brainjax(tmp_path, *SLOW, cache=cache)
    assert status == 0, err
    assert 0 < int(err.split("demo/decay: ")[1].split()[0]) < 64
    assert toy.files(run) == LEAVES
    assert opened(run / "results.nc").identical(uninterrupted)


@pytest.mark.parametrize(
    ("change", "words", "says"),
    [
        (None, ["--config.noise.sd=-1"], "noise.sd must not be negative"),
        pytest.param(None, ["--variant=fast"], "variant must be '' or 'quick'", marks=pytest.mark.slow),
        (None, ["--out=/proc/nowhere"], "/proc/nowhere: No such file or directory"),
        (('"final": ()', '"last": ()'), [], "run returns 'final', which DIMS does not name"),
        pytest.param(("def claims", "def assertions"), [], "it must define claims", marks=pytest.mark.slow),
        pytest.param(("def get_config", "def get_config(:"), [], "line 20", marks=pytest.mark.slow),
        (("[*order, greater(", "[*order, str("), [], None),
        pytest.param(("return curves(", "return str("), [], None, marks=pytest.mark.slow),
    ],
)
def test_expected_errors_are_one_line_and_status_1(change, words, says, tmp_path, cache):
    toy.write(tmp_path, toy.TOY.replace(*change) if change else toy.TOY)
    status, _, err = toy.brainjax(tmp_path, "run", "demo/decay", *words, cache=cache)
    assert status == 1
    if says is None:  # a bug of the experiment's author: Python's own error with its traceback
        assert "Traceback" in err
        assert "decay.py" in err
    else:
        assert says in err.splitlines()[-1]
        assert "Traceback" not in err


def test_a_value_error_from_inside_jax_keeps_its_traceback_without_jax_frames(tmp_path, cache):
    change = ("return {", "x = jnp.ones((2, 3)) + jax.lax.reshape(x, (7,)) if config.work else x\n    return {")
    toy.write(tmp_path, toy.TOY.replace(*change))
    status, _, err = toy.brainjax(tmp_path, "plan", "demo/decay", cache=cache)
    assert status == 1
    assert "Traceback" in err
    assert "decay.py" in err
    assert err.count("site-packages/jax/") <= err.count("Traceback")  # only where each error was raised


def test_a_store_of_another_config_is_refused_and_nothing_is_lost(done, cache):
    folder, _, _ = done
    run = folder / "runs" / "demo" / "decay"
    before = {name: (run / name).read_bytes() for name in LEAVES if name != "chunks"}
    status, _, err = toy.brainjax(folder, "run", "demo/decay", "--config.steps=5", cache=cache)
    assert status == 1
    assert "steps" in err.splitlines()[-1]
    assert {name: (run / name).read_bytes() for name in before} == before


@pytest.mark.parametrize("kind", ["a file in the way", pytest.param("open to others", marks=pytest.mark.slow)])
def test_without_a_usable_cache_folder_a_run_says_so_and_goes_on(tmp_path, kind):
    toy.write(tmp_path)
    place = tmp_path / "cache"
    if kind == "open to others":
        status, _, _ = toy.brainjax(tmp_path, "plan", "demo/decay", cache=place)
        (folder,) = (place / "brainjax" / "xla").iterdir()
        folder.chmod(0o777)
    else:
        place.write_text("not a folder")
    status, out, err = toy.brainjax(tmp_path, "plan", "demo/decay", cache=place)
    assert status == 0
    assert "runs" in out
    assert err.startswith("note: no compilation cache: ")
    assert err.count("note: ") == 1


def test_list_shows_a_broken_experiment_beside_the_others(tmp_path):
    toy.write(tmp_path)
    toy.write(tmp_path, "def broken(:\n", "demo/broken")
    status, out, _ = toy.brainjax(tmp_path, "list")
    assert status == 0
    assert "cannot be read: line 1" in out
    assert "Decay is faster" in out
