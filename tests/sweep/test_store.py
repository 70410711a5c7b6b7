"""What a store promises: resume, growth, refusal, damage, full disks, kills."""

import os
import signal
import time

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict

from brainjax.sweep import collect, execute, make_plan, product, seeds, static, traced
from tests import as_user

DIMS = {"y": ("unit",), "total": ()}


def config(**fields):
    return ConfigDict({"seed": 0, "width": 3, "lr": 0.1, "scale": 1.0, **fields}).lock()


def run(key, config):
    y = config.scale * config.lr * jax.random.normal(key, (config.width,))
    return {"y": y[:2], "total": y.sum()}


def other_run(key, config):
    y = config.scale * config.lr * jax.random.uniform(key, (config.width,))
    return {"y": y[:2], "total": y.sum()}


def swept(store, axes, function=run, settings=None, notes=None, **options):
    plan = make_plan(function, settings or config(), axes, dims=DIMS, **{"width": 8, **options})
    events = []
    result = execute(plan, store, progress=events.append)
    if notes is not None:
        notes += [event.note for event in events if event.note]
    return result, events[0].done


SMALL = product(static(width=[2, 3]), traced(lr=[0.1, 0.2]), seeds(10))
LARGE = product(static(width=[2, 3, 4]), traced(lr=[0.1, 0.15, 0.2]), seeds(25))


def test_a_finished_sweep_is_not_computed_again(tmp_path):
    first, done = swept(tmp_path, SMALL)
    assert done == 0
    again, done = swept(tmp_path, SMALL)
    assert done == 40
    assert again.identical(first)
    assert collect(tmp_path).identical(first)


def test_adding_points_reuses_what_is_stored_and_changes_nothing(tmp_path):
    small, _ = swept(tmp_path, SMALL)
    large, reused = swept(tmp_path, LARGE)
    assert reused == 40
    fresh, _ = swept(None, LARGE)
    assert large.identical(fresh)
    np.testing.assert_array_equal(large["y"].sel(width=[2, 3], lr=[0.1, 0.2], seed=range(10)), small["y"])


def test_a_resume_keeps_the_stores_width(tmp_path):
    first, _ = swept(tmp_path, SMALL, width=16)
    again, done = swept(tmp_path, SMALL, width="auto")
    assert done == 40
    assert again.identical(first)


@pytest.mark.parametrize(
    ("axes", "options", "words"),
    [
        (SMALL, {"settings": config(scale=2.0)}, ["config.scale", "1.0", "2.0"]),
        (SMALL, {"function": other_run}, ["code", "width=2"]),
        (SMALL, {"width": 16}, ["width", "8", "16"]),
        (SMALL, {"independent": True}, ["key_rule"]),
        (product(static(width=[2, 3]), traced(lr=[0.1, 0.2]), seeds(7)), {}, ["seed", "7, 8, 9"]),
        (product(static(width=[2, 3]), traced(scale=[1.0]), seeds(10)), {}, ["axes", "scale"]),
    ],
)
def test_a_store_made_by_something_else_is_refused_with_the_difference(tmp_path, axes, options, words):
    swept(tmp_path, SMALL)
    before = sorted(path.name for path in (tmp_path / "blocks").iterdir())
    with pytest.raises(ValueError) as caught:
        swept(tmp_path, axes, **options)
    message = str(caught.value)
    assert "\n" not in message
    assert all(word in message for word in words), message
    assert sorted(path.name for path in (tmp_path / "blocks").iterdir()) == before


def damage(path, how):
    content = bytearray(path.read_bytes())
    if how == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif how == "flipped":
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    elif how == "empty":
        path.write_bytes(b"")
    else:
        path.with_name(path.name + ".sha256").unlink()


@pytest.mark.parametrize("how", ["truncated", "flipped", "empty", "no checksum"])
def test_a_damaged_block_is_computed_again_and_said_so(tmp_path, how):
    first, _ = swept(tmp_path, SMALL)
    blocks = sorted((tmp_path / "blocks").glob("*.nc"))
    damage(blocks[0], how)
    with pytest.raises(ValueError, match="execute the same plan again"):
        collect(tmp_path)
    notes = []
    again, done = swept(tmp_path, SMALL, notes=notes)
    assert 0 <= done < 40
    assert again.identical(first)
    assert collect(tmp_path).identical(first)
    assert done == 20


def test_the_damage_is_said(tmp_path):
    swept(tmp_path, SMALL)
    damage(sorted((tmp_path / "blocks").glob("*.nc"))[0], "flipped")
    notes = []
    swept(tmp_path, SMALL, notes=notes)
    assert len(notes) == 1
    assert "truncated or altered" in notes[0]
    assert "computed again" in notes[0]


def test_an_unreadable_plan_file_is_one_line(tmp_path):
    swept(tmp_path, SMALL)
    (tmp_path / "plan.json").write_text("{")
    with pytest.raises(ValueError, match=r"plan\.json: not a readable plan file"):
        swept(tmp_path, SMALL)


def test_a_folder_that_cannot_be_written_fails_before_any_work(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        swept(tmp_path / "file" / "store", SMALL)


def test_collect_needs_a_store(tmp_path):
    with pytest.raises(ValueError, match="holds no sweep"):
        collect(tmp_path)


SLOW = """
    import signal, sys
    import jax, jax.numpy as jnp
    from ml_collections import ConfigDict
    from brainjax.sweep import execute, make_plan, product, seeds, static, traced

    DIMS = {"y": ("unit",)}

    def run(key, config):
        w = jax.random.normal(key, (48, 48)) / 48
        w = jax.lax.scan(lambda w, _: (jnp.tanh(config.gain * w @ w + w), None), w, None, length=config.steps)[0]
        return {"y": w[0]}

    if __name__ == "__main__":
        config = ConfigDict({"seed": 0, "gain": 1.0, "steps": 3000}).lock()
        axes = product(static(steps=[3000, 3001]), traced(gain=[0.5, 1.0]), seeds(int(sys.argv[2])))
        plan = make_plan(run, config, axes, width=8)
        show = lambda event: print("progress", event.done, event.total, flush=True)
        result = execute(plan, None if sys.argv[1] == "-" else sys.argv[1], progress=show)
        result.to_netcdf(sys.argv[3], engine="h5netcdf")
"""


def read(path):
    import xarray as xr

    return xr.load_dataset(path, engine="h5netcdf")


def stored_runs(folder):
    return sum(len(read(path)["argument:seed"]) for path in (folder / "blocks").glob("*.nc"))


def test_a_kill_loses_only_the_blocks_in_progress(tmp_path):
    as_user.run(SLOW, "-", 40, "whole.nc", cwd=tmp_path)
    store = tmp_path / "store"
    process = as_user.start(SLOW, store, 40, "killed.nc", cwd=tmp_path)
    deadline = time.monotonic() + 100
    while not list((store / "blocks").glob("*.nc")) and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "killed.nc").exists(), "the sweep was over before the kill: make it longer"
    finished = stored_runs(store)
    kept = {path.name: path.stat().st_mtime_ns for path in (store / "blocks").glob("*.nc")}
    assert 0 < finished < 160
    out = as_user.run(SLOW, store, 40, "resumed.nc", cwd=tmp_path)
    assert out.splitlines()[0] == f"progress {finished} 160"
    assert read(tmp_path / "resumed.nc").identical(read(tmp_path / "whole.nc"))
    for name, modified in kept.items():
        assert (store / "blocks" / name).stat().st_mtime_ns == modified
    assert stored_runs(store) == 160


def test_ctrl_c_keeps_every_finished_chunk(tmp_path):
    store = tmp_path / "store"
    process = as_user.start(SLOW, store, 40, "stopped.nc", cwd=tmp_path)
    line = ""
    for line in process.stdout:
        if int(line.split()[1]) >= 24:
            break
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode != 0
    assert stored_runs(store) >= int(line.split()[1])
    assert not list((store / "blocks").glob("*.part"))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs POSIX resource limits")
def test_a_full_disk_keeps_what_was_finished(tmp_path):
    code = SLOW.replace("import signal, sys", "import pathlib, resource, signal, sys").replace(
        'if __name__ == "__main__":',
        'if __name__ == "__main__":\n        import brainjax.sweep.store as disk\n        disk._BLOCK_SECONDS = 0.0',
    )
    limit = """
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        def show(event):
            if len(list(pathlib.Path(sys.argv[1], "blocks").glob("*.nc"))) >= 2:
                resource.setrlimit(resource.RLIMIT_FSIZE, (1000, -1))

        try:
            execute(plan, sys.argv[1], progress=show)
        except OSError as error:
            print("one line:", error)
    """
    code = code.split("        show = ")[0] + limit.lstrip("\n")
    store = tmp_path / "store"
    out = as_user.run(code, store, 40, "-", cwd=tmp_path)
    assert "one line:" in out
    assert "the same command continues" in out
    finished = stored_runs(store)
    assert 0 < finished < 160
    assert not list((store / "blocks").glob("*.part"))
    out = as_user.run(SLOW, store, 40, "resumed.nc", cwd=tmp_path)
    assert out.splitlines()[0] == f"progress {finished} 160"
