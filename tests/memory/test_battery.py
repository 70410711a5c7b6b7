"""The battery of conditioning phenomena against known responses, predicted signs and ridge regression."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brainjax import memory
from brainjax.memory import BATTERY, Phenomenon, make, parse_design

FAST = {"xla_backend_optimization_level": 0}  # to compile
DECAY = np.log(0.98)
RULES = {
    "hebb": {"beta": 0.2},
    "hebb_decay": {"beta": 0.2, "log_decay": DECAY},
    "covariance": {"beta": 0.2, "mean_rate": 0.0, "value_mean": 0.5},
    "oja_clamped": {"beta": 0.2},
    "bush_mosteller": {"beta": 0.2},
    "delta": {"beta": 0.2},
    "gated_delta": {"beta": 0.2, "log_decay": DECAY},
    "normalised_linear": {},
    "softmax": {"inverse_temperature": 4.0},
    "recursive_least_squares": {"ridge": 0.5},
}
NAMES = [phenomenon.name for phenomenon in BATTERY]


OFTEN = ("hebb", "delta", "gated_delta", "normalised_linear", "unit")


def rules(names):
    """Parameters, those that are run less often marked as slow."""
    return [name if name in OFTEN else pytest.param(name, marks=pytest.mark.slow) for name in names]


@functools.cache
def effects(rule):
    """Of the whole battery; ``unit`` is the delta rule with keys scaled to length 1."""
    base, kind = ("delta", "unit") if rule == "unit" else (rule, "sum")
    run = functools.partial(memory.run_battery, make(base), constants=RULES[base], compound=kind)
    return jax.jit(run, compiler_options=FAST)()


def responses(rule, *names):
    """Of treated groups, or of control groups where a name begins with a bar."""
    found = effects(rule)
    where = [(found.control if name.startswith("|") else found.treated, NAMES.index(name.strip("|"))) for name in names]
    return [float(values[j]) for values, j in where]


COLUMNS = (
    "acquisition", "extinction", "blocking", "overshadowing", "conditioned inhibition", "latent inhibition",
    "|latent inhibition", "overexpectation", "forgetting",
)  # fmt: skip


PRINTED = {
    "hebb": [8, 8, 8, 8, 0, 1, 1, 16, 8],
    "hebb_decay": [5.5, 2.5, 5.5, 5.5, 0, 0.96, 0.96, None, 0.74],
    "covariance": [4, 0, 4, 4, -8, -3.5, 0.5, None, 4],
    "oja_clamped": [1, 1, 1, 1, 0, 0.67, 0.67, 1, 1],
    "bush_mosteller": [1, 0, 1, 1, 0, 0.67, 0.67, 1, 1],
    "delta": [1, 0, 0, 0.5, -1, 0.67, 0.67, 0.5, 1],
    "unit": [1, 0, 0.207, 0.707, -0.99, 0.67, 0.67, 0.71, 1],
    "gated_delta": [0.93, 0, 0.28, 0.49, -0.66, 0.65, 0.65, 0.37, 0.12],
    "normalised_linear": [1, 0.5, 1, 1, 0, 0.11, 1, 1, 1],
    "softmax": [1, 0.5, 1, 1, 0.0, 0.11, None, 1, 0.96],  # empty trials are exemplars too
}


@pytest.mark.parametrize("rule", rules(PRINTED))
def test_known_responses(rule):
    """Computed before this library existed, by a script in numpy; to the digits that it printed."""
    found = responses(rule, *COLUMNS)
    for name, value, known in zip(COLUMNS, found, PRINTED[rule], strict=True):
        if known is not None:
            digits = len(str(known).partition(".")[2])
            assert value == pytest.approx(known, abs=0.5 * 10**-digits + 1e-9 if digits else 0.005), name


@pytest.mark.parametrize("rule", rules(BATTERY[0].predicted))
def test_predicted_signs(rule):
    signs = dict(zip(NAMES, np.asarray(memory.effect_signs(effects(rule).effect)).tolist(), strict=True))
    assert signs == {phenomenon.name: phenomenon.predicted[rule] for phenomenon in BATTERY}


@pytest.mark.slow
def test_ridge_regression_predicts_recursive_least_squares():
    trials = memory.compile_design(memory.battery_design())
    expected = []
    for g in range(trials.test.shape[0]):
        learned = np.asarray(trials.present[g] & ~trials.test[g])
        x, y = np.asarray(trials.cues[g])[learned], np.asarray(trials.outcomes[g])[learned]
        weights = np.linalg.solve(x.T @ x + 0.5 * np.eye(x.shape[1]), x.T @ y)
        expected.append((np.asarray(trials.cues[g])[np.asarray(trials.test[g])] @ weights)[0, 0])
    found = effects("recursive_least_squares")
    np.testing.assert_allclose(found.treated, expected[::2], atol=1e-9)
    np.testing.assert_allclose(found.control, expected[1::2], atol=1e-9)


@pytest.mark.slow
def test_associability_rules_have_latent_inhibition_of_their_own():
    """Pearce and Hall's cue loses associability where nothing surprises; Mackintosh's does not without a context."""
    tried = [p for p in BATTERY if p.name in ("acquisition", "blocking", "latent inhibition")]

    @functools.partial(jax.jit, compiler_options=FAST)
    def both():
        return {name: memory.run_battery(make(name), phenomena=tried).effect for name in ("mackintosh", "pearce_hall")}

    for name, latent in (("mackintosh", 0), ("pearce_hall", -1)):
        np.testing.assert_array_equal(memory.effect_signs(both()[name]), [1, -1, latent], err_msg=name)


@pytest.mark.slow
def test_forty_cycles_of_inhibition_and_superconditioning():
    """The same with half the training, and what time alone does to an overexpected cue."""
    tried = (
        Phenomenon("inhibition", "40(A+ / AB-) | B?", "40(A+ / B-) | B?", -1, {}, ""),
        Phenomenon("super", "40A+ | 40(A+ / AB-) | 40BC+ | C?", "40A+ | 40(A+ / D-) | 40BC+ | C?", 1, {}, ""),
    )

    @functools.partial(jax.jit, compiler_options=FAST)
    def found():
        kinds = {"delta": "sum", "unit": "unit", "covariance": "sum"}
        return {
            name: memory.run_battery(
                make("covariance" if name == "covariance" else "delta"),
                phenomena=tried, constants=RULES.get(name, RULES["delta"]), compound=kind,
            ).treated
            for name, kind in kinds.items()
        }  # fmt: skip

    values = found()
    assert float(values["delta"][0]) == pytest.approx(-0.967, abs=6e-4)
    np.testing.assert_allclose(values["unit"], [-0.914, 1.175], atol=6e-4)
    assert float(values["covariance"][0]) == pytest.approx(-4)


def test_time_matched_controls():
    (control,) = responses("gated_delta", "|overexpectation")
    assert control == pytest.approx(0.184, abs=5e-4)  # the reinforced compound raises A above what time leaves


def test_designs_and_batches():
    design = memory.battery_design()
    assert len(design.groups) == 2 * len(BATTERY)
    assert not design.random
    for phenomenon in BATTERY:
        for text in (phenomenon.treated, phenomenon.control):
            tests = [trial.test for phase in parse_design(text).phases[0] for trial in phase.trials]
            assert sum(tests) == 1, phenomenon.name
            assert tests[-1], phenomenon.name
    # more overlap between the cues: more of what blocks is answered anyway
    few = [p for p in BATTERY if p.name in ("overshadowing", "blocking")]
    overlaps = np.array([0.0, 0.5])
    run = jax.jit(
        jax.vmap(lambda r: memory.run_battery(make("delta"), phenomena=few, constants={"beta": 0.2}, overlap=r)),
        compiler_options=FAST,
    )
    found = run(overlaps)
    assert found.effect.shape == (2, 2)
    # B is answered by the overlap r after A+; AB+ then takes r from the response 1 + r, half of it from each cue
    blocked = [p.name for p in few].index("blocking")
    np.testing.assert_allclose(found.treated[:, blocked], overlaps / 2, atol=1e-3)
    with pytest.raises(ValueError, match="different names"):
        memory.battery_design([BATTERY[0], BATTERY[0]])
    with pytest.raises(ValueError, match="negligible must be zero or more"):
        memory.effect_signs(0.3, negligible=-1)
    np.testing.assert_array_equal(memory.effect_signs(jnp.array([-0.5, 0.005, 0.02])), [-1, 0, 1])


def test_two_timescales_that_share_an_error_recover_spontaneously():
    """One cue written at a slow and a fast component: extinction is fast and forgotten, acquisition is partly slow."""
    designs = {f"{n}, {wait}": f"{n}A+ | {n}A- | {wait}_ | A?" for n in (40, 100) for wait in (50, 200, 1000)}
    designs |= {f"{n}, now": f"{n}A+ | {n}A- | A?" for n in (40, 100)}
    trials = memory.compile_design(parse_design(designs))
    constants = {"log_decay": np.log([0.9999, 0.97])}
    codes = np.sqrt([[0.02, 0.2]])  # rates of the slow and the fast component

    @functools.partial(jax.jit, compiler_options=FAST)
    def tested(trials):
        run = memory.simulate(make("decoupled_delta"), trials, codes=codes, constants=constants)
        return memory.tested_response(run, trials)[:, 0]

    tested = tested(trials)
    np.testing.assert_allclose(tested[:3], [0.063, 0.077, 0.071], atol=6e-4)
    np.testing.assert_allclose(tested[3:6], [0.125, 0.153, 0.142], atol=6e-4)
    np.testing.assert_allclose(tested[6:], [0.008, 0.015], atol=6e-4)
