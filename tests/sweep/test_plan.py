import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from brainjax.sweep import execute, make_plan, product, seeds, static, traced
from brainjax.sweep.program import thread_hazard, width_for

CONFIG = ConfigDict({"seed": 0, "width": 3, "lr": 0.1, "name": "a", "deep": {"scale": 1.0, "on": True}}).lock()
DIMS = {"y": ("unit",), "total": ()}


def run(key, config):
    y = config.lr * config.deep.scale * jax.random.normal(key, (4,))
    return {"y": y, "total": y.sum()}


def plan_of(function=run, axes=None, **options):
    return make_plan(function, CONFIG, axes or product(traced(lr=[0.1, 0.2]), seeds(3)), dims=DIMS, **options)


def test_one_trace_and_one_compilation_per_static_point(monkeypatch):
    traces = 0
    compilations = 0
    real_compile = jax.stages.Lowered.compile

    def counted(self, *args, **kwargs):
        nonlocal compilations
        compilations += 1
        return real_compile(self, *args, **kwargs)

    def traced_run(key, config):
        nonlocal traces
        traces += 1
        return {"total": config.lr * jax.random.normal(key, (config.width,)).sum()}

    monkeypatch.setattr(jax.stages.Lowered, "compile", counted)
    axes = product(static(width=[2, 3]), traced(lr=[0.1, 0.2, 0.3]), seeds(50))
    plan = plan_of(traced_run, axes, width=16)
    assert (traces, compilations) == (2, 0)
    execute(plan)
    assert (traces, compilations) == (2, 2)
    assert plan.compilations == 2


def test_print_says_what_will_happen():
    text = str(plan_of(axes=product(static(width=[2, 3]), traced(lr=[0.1, 0.2]), seeds(64)), name="toy"))
    for words in ("toy", "256 = width 2 (static) x lr 2 (traced) x seed 64", "compilations  2", "total (scalar)"):
        assert words in text


def test_width_depends_on_the_live_state_alone():
    few, many = plan_of(axes=seeds(2)), plan_of(axes=seeds(5000))
    assert few.width == many.width
    assert width_for(1) == 256
    assert width_for(32 * 1024) == 16
    assert width_for(10**9) == 4


def test_live_state_of_a_loop_is_its_carry():
    def looped(key, config):
        state = jax.random.normal(key, (30, 40))
        state = jax.lax.scan(lambda s, _: (config.lr * s, None), state, None, length=10)[0]
        return {"total": state.sum()}

    (program,) = plan_of(looped).programs
    itemsize = jnp.result_type(float).itemsize
    assert 1200 * itemsize <= program.live_bytes <= 1300 * itemsize


def test_captured_arrays_are_part_of_the_programs_name():
    def capturing(array):
        def captured(key, config):
            return {"total": (config.lr * jnp.asarray(array)).sum() + jax.random.normal(key)}

        return captured

    names = {plan_of(capturing(np.arange(n, n + 50.0))).layout.points[0].fingerprint for n in (0, 0, 1)}
    assert len(names) == 2


def bad_runs():
    def shape(key, config):
        return {"y": jnp.zeros(4) * config.deep.scale, "total": jnp.zeros(int(config.lr)).sum()}

    def branch(key, config):
        return {"total": jnp.ones(()) if config.lr > 0.1 else jnp.zeros(())}

    def unknown_output(key, config):
        return {"totl": jnp.zeros(())}

    def wrong_rank(key, config):
        return {"total": jnp.zeros(3)}

    def no_dict(key, config):
        return jnp.zeros(())

    def key_out(key, config):
        return {"total": key}

    def shapes_differ(key, config):
        return {"y": jnp.zeros(config.width)}

    wide = product(static(width=[2, 3]), seeds(2))
    varied = product(traced(**{"lr": [0.1, 0.2], "deep.scale": [1.0]}), seeds(2))
    return [
        (shape, varied, ["'lr'", "static"]),
        (branch, varied, ["'lr'", "static"]),
        (unknown_output, seeds(2), ["totl", "DIMS", "'total'"]),
        (wrong_rank, seeds(2), ["total", "names 0 axes", "(3,)"]),
        (no_dict, seeds(2), ["dict"]),
        (key_out, seeds(2), ["total", "real numbers"]),
        (shapes_differ, wide, ["width=2", "width=3", "ragged"]),
        (run, product(traced(lrr=[0.1]), seeds(2)), ["lrr", "did you mean 'lr'"]),
        (run, product(traced(**{"deep.scal": [0.1]}), seeds(2)), ["deep.scal", "deep.scale"]),
        (run, product(traced(name=[0.1]), seeds(2)), ["name", "static"]),
        (run, product(traced(width=[2.5]), seeds(2)), ["width", "integer"]),
        (run, product(static(width=["a"]), seeds(2)), ["width", "int"]),
        (run, product(static(deep=[1]), seeds(2)), ["deep"]),
        (run, product(traced(unit=[1.0]), seeds(2)), ["unit"]),
    ]


@pytest.mark.parametrize(("function", "axes", "words"), bad_runs())
def test_bad_runs_and_axes_are_refused_in_one_line(function, axes, words):
    with pytest.raises(ValueError) as caught:
        plan_of(function, axes)
    message = str(caught.value)
    assert "\n" not in message
    assert all(word in message for word in words), message


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"width": 2}, ["width", "at least 4"]),
        ({"width": 8.0}, ["width", "whole number"]),
        ({"workers": 0}, ["workers"]),
        ({"shard": (2, 2)}, ["shard", "2/2"]),
        ({"ragged": "drop"}, ["ragged", "drop"]),
        ({"precision": "float32"}, ["precision", "float64", "jax_enable_x64"]),
    ],
)
def test_bad_options_are_refused_in_one_line(options, words):
    with pytest.raises(ValueError) as caught:
        plan_of(**options)
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_every_grid_point_is_checked_before_anything_is_traced():
    seen = []

    def check(config):
        seen.append((config.width, config.lr))
        if config.lr > 0.15:
            raise ValueError(f"lr: must be at most 0.15, got {config.lr}")

    def never(key, config):
        raise AssertionError("traced")

    with pytest.raises(ValueError, match=r"at most 0\.15"):
        plan_of(never, product(static(width=[2, 3]), traced(lr=[0.1, 0.2]), seeds(2)), check=check)
    assert seen == [(2, 0.1), (2, 0.2)]


def test_an_error_in_the_experiment_itself_is_not_disguised():
    def broken(key, config):
        return {"total": config.lr @ jnp.zeros(3)}

    with pytest.raises(ValueError, match="matmul input"):
        plan_of(broken)


def test_hazard_names_batched_lapack_calls_and_lets_single_ones_pass():
    def texts(function):
        lowered = jax.jit(function).lower(jax.ShapeDtypeStruct((8, 5, 5), jnp.float32))
        return lowered.as_text(), lowered.compile().as_text()

    def hazards(function):
        return [thread_hazard(text) or "" for text in texts(function)]

    assert hazards(lambda a: a @ a) == ["", ""]
    for call, name in ((jnp.linalg.cholesky, "potrf"), (lambda a: jnp.linalg.svd(a, compute_uv=False), "gesdd")):
        assert all("a batched LAPACK call" in found and name in found for found in hazards(jax.vmap(call)))
        assert hazards(lambda a, call=call: jax.lax.map(call, a)) == ["", ""]
    assert all("getrf" in found for found in hazards(jax.vmap(lambda a: jnp.linalg.solve(a, a))))
    both = hazards(jax.vmap(lambda a: jnp.linalg.cholesky(a) + jnp.linalg.eigh(a)[1]))
    assert all("2 batched" in found for found in both)
