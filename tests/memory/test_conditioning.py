"""Simulated experiments against a simulator of Rescorla and Wagner written with dictionaries, and closed forms."""

import collections
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brainjax import memory
from brainjax.memory import compile_design, make, outcome_rates, parse_design, simulate

DELTA = make("delta")
FAST = {"xla_backend_optimization_level": 0}  # to compile
fast = functools.partial(jax.jit, compiler_options=FAST)


def simulated(trials, rule=DELTA, **options):
    return fast(lambda trials: simulate(rule, trials, **options))(trials)


def answers(text, rule=DELTA, **options):
    trials = compile_design(parse_design(text))
    return np.asarray(fast(lambda t: memory.tested_response(simulate(rule, t, **options), t)[:, 0])(trials))


def rescorla_wagner(trials, alpha, on, off):
    """Responses of each trial (cues, outcome, learn), and the strengths at the end: floats in dictionaries."""
    strength, responses = collections.defaultdict(float), []
    for cues, outcome, learn in trials:
        total = 0.0
        for cue in cues:
            total += strength[cue]
        responses.append(total)
        if learn:
            beta = on if outcome else off
            for cue in cues:
                strength[cue] += alpha[cue] * beta * (outcome - total)
    return responses, strength


def repeated(*parts):
    """Trials of (count, cues, outcome); an outcome of None is a test."""
    return [
        (cues, 0.0 if outcome is None else outcome, outcome is not None) for n, cues, outcome in parts for _ in range(n)
    ]


def test_the_delta_rule_is_the_model_of_rescorla_and_wagner():
    alpha = {"A": 0.3, "B": 0.8, "C": 0.55}
    rng = np.random.default_rng(0)
    kinds = ["A+", "AB-", "ABC+2", "B-", "C+", "AC-", "BC?", "A?", "_"]
    order = rng.choice(len(kinds), 120)
    trials = compile_design(parse_design("|".join(kinds[i] for i in order)))
    written = [
        [("A", 1.0, True), ("AB", 0.0, True), ("ABC", 2.0, True), ("B", 0.0, True), ("C", 1.0, True), ("AC", 0.0, True),
         ("BC", 0.0, False), ("A", 0.0, False), ("", 0.0, True)][i] for i in order
    ]  # fmt: skip
    responses, strength = rescorla_wagner(written, alpha, 0.4, 0.25)
    found = simulated(
        trials,
        salience=np.array(list(alpha.values())),
        controls={"beta": outcome_rates(trials, reinforced=0.4, unreinforced=0.25)},
        strengths=True,
    )
    np.testing.assert_allclose(found.responses[0, :, 0], responses, atol=1e-13)
    last = found.state.weights[0, :, 0] * np.sqrt(list(alpha.values()))
    np.testing.assert_allclose(last, [strength[cue] for cue in "ABC"], atol=1e-13)
    # strengths are read before each trial: the response is the sum over the cues present
    summed = (np.asarray(found.strengths)[0, :, :, 0] * np.asarray(trials.cues)[0]).sum(-1)
    np.testing.assert_allclose(summed, responses, atol=1e-13)


def test_intensities_scale_response_and_change():
    trials = compile_design(parse_design("2A(0.5)B+ | A?"))
    found = simulated(trials, salience=np.array([0.6, 0.2]), constants={"beta": 0.5}, strengths=True)
    first = np.array([0.3 * 0.5, 0.1])  # alpha beta x lambda
    np.testing.assert_allclose(found.strengths[0, 1, :, 0], first, rtol=1e-12)
    total = 0.5 * first[0] + first[1]
    np.testing.assert_allclose(found.responses[0, 1, 0], total, rtol=1e-12)
    np.testing.assert_allclose(found.strengths[0, 2, :, 0], first + first * (1 - total), rtol=1e-12)


# ------------------------------------------------------------------------------------------------------- closed forms
def last_strengths(cues, alpha, beta, *parts):
    _, strength = rescorla_wagner(repeated(*parts), alpha, beta, beta)
    return [strength[cue] for cue in cues]


def test_closed_forms():
    beta, alpha = 0.4, {"A": 0.3, "B": 0.8}
    a, b = alpha.values()
    both = np.array([a, b])
    after = functools.partial(last_strengths, "AB", alpha, beta)

    @fast
    def theory(n):
        return {
            "acquisition": memory.acquisition_strength(n, salience=a, beta=beta),
            "extinction": memory.extinction_strength(n, salience=a, beta=beta, initial=0.7),
            "overshadowing": memory.compound_strengths(n, saliences=both, beta=beta),
            "blocking": memory.blocking_strength(6, n, blocker=a, blocked=b, beta=beta),
            "unblocking": memory.blocking_strength(6, n, blocker=a, blocked=b, beta=beta, second_asymptote=2.0),
            "overexpectation": memory.overexpectation_strengths(9, n, saliences=both, beta=beta),
            "superconditioning": memory.superconditioning_strengths(
                n, inhibitor=b, target=a, beta=beta, inhibition=0.5
            ),
            "inhibition": memory.inhibition_strengths(n, excitor=a, inhibitor=b, beta=beta, asymptote=1.5),
            "protection": memory.compound_strengths(
                n, saliences=both, beta=beta, asymptote=0.0, initial=np.array([1, -1.0])
            ),
        }

    numbers = np.array([0.0, 1.0, 5.0, 17.0])
    found = theory(numbers)
    for j, n in enumerate(numbers.astype(int)):
        at = {name: value[j] for name, value in found.items()}
        start = after((9, "A", 1.0))[0]
        assert float(at["acquisition"]) == pytest.approx(after((n, "A", 1.0))[0])
        assert float(at["extinction"]) == pytest.approx(0.7 * after((9, "A", 1.0), (n, "A", 0.0))[0] / start)
        np.testing.assert_allclose(at["overshadowing"], after((n, "AB", 1.0)), atol=1e-14)
        assert float(at["blocking"]) == pytest.approx(after((6, "A", 1.0), (n, "AB", 1.0))[1], abs=1e-14)
        assert float(at["unblocking"]) == pytest.approx(after((6, "A", 1.0), (n, "AB", 2.0))[1], abs=1e-14)
        pretrained = after((9, "A", 1.0), (9, "B", 1.0), (n, "AB", 1.0))
        np.testing.assert_allclose(at["overexpectation"], pretrained, atol=1e-14)
        cycles = after(*[part for _ in range(n) for part in ((1, "A", 1.5), (1, "AB", 0.0))])
        np.testing.assert_allclose(at["inhibition"], cycles, atol=1e-13)
        scaled = 0.5 / after((9, "B", 1.0))[1]  # an inhibitor of strength -0.5, by linearity
        inhibited = after((9, "B", -scaled), (n, "AB", 1.0))
        np.testing.assert_allclose(at["superconditioning"], inhibited[::-1], atol=1e-14)
        np.testing.assert_allclose(at["protection"], [1, -1])  # nothing is left to be unlearned


def test_limits_of_the_closed_forms():
    same = np.array([0.5, 0.5])
    np.testing.assert_allclose(memory.compound_strengths(2000, saliences=same, beta=0.3), 0.5)
    np.testing.assert_allclose(memory.overexpectation_strengths(999, 999, saliences=same, beta=0.3), 0.5)
    limit = memory.superconditioning_strengths(999, inhibitor=0.5, target=0.5, beta=0.3)
    np.testing.assert_allclose(limit, [0, 1], atol=1e-12)
    np.testing.assert_allclose(memory.inhibition_strengths(2000, excitor=0.5, inhibitor=0.4, beta=0.3), [1, -1])
    slow = memory.inhibition_strengths(1000, excitor=0.01, inhibitor=1e-5, beta=1.0) - np.array([1, -1.0])
    slower = memory.inhibition_strengths(1001, excitor=0.01, inhibitor=1e-5, beta=1.0) - np.array([1, -1.0])
    np.testing.assert_allclose(1 - slower / slow, 1e-5 / 2, rtol=0.01)


def test_lengths_scaled_to_one_are_another_theory():
    groups = {
        "block": "40A+ | 40AB+ | B?",
        "shadow": "40AB+ | B?",
        "blocker": "40A+ | 40AB+ | A?",
        "empty": "A+ | 2_ | A?",
    }
    found = answers(groups, compound="unit", constants={"beta": 0.2})
    np.testing.assert_allclose(found, [0.207, 0.707, 1.207, 0.2], atol=5e-4)

    @fast
    def theory():
        learned = memory.acquisition_strength(40, salience=1.0, beta=0.2)
        pair = memory.configural_strengths(40, cues=2, beta=0.2, initial=jnp.stack([learned, 0 * learned]))
        return jnp.stack([pair[1], memory.configural_strengths(40, cues=2, beta=0.2)[0], pair[0]])

    np.testing.assert_allclose(found[:3], theory(), rtol=1e-12)
    assert found[3] == pytest.approx(0.2)  # an empty trial has no length to scale


def test_tokens_do_not_block():
    trials = compile_design(parse_design("40A+ | 40AB+ | B? / AB? / A?"))
    tokens = simulated(trials, compound="tokens", constants={"beta": 0.2}).responses[0, -3:, 0]
    np.testing.assert_allclose(tokens, [1, 2, 1], atol=1e-3)
    # each token is a step of decay, and so is a trial without cues
    groups = {"A": "AB+ | 3_ | A?", "B": "AB+ | 3_ | B?"}
    settings = {"rule": make("gated_delta"), "constants": {"beta": 0.2, "log_decay": np.log(0.9)}}
    np.testing.assert_allclose(answers(groups, compound="tokens", **settings), [0.2 * 0.9**4, 0.2 * 0.9**3], rtol=1e-12)


# -------------------------------------------------------------------------------------------------- codes and batches
def test_codes_of_cues():
    many = fast(jax.vmap(lambda overlap: memory.overlapping_codes(4, overlap, dimension=6)))(np.array([0.3, 0.0, 1.0]))
    for rho, codes in zip((0.3, 0.0, 1.0), np.asarray(many), strict=True):
        np.testing.assert_allclose(codes @ codes.T, (1 - rho) * np.eye(4) + rho, atol=1e-14)
    np.testing.assert_allclose(many[1], np.eye(4, 6), atol=1e-15)
    drawn = np.asarray(memory.random_codes(jax.random.key(0), 5, 400))
    np.testing.assert_allclose(np.linalg.norm(drawn, axis=1), 1, rtol=1e-12)
    gram = (drawn @ drawn.T)[np.triu_indices(5, 1)]
    assert abs(gram).max() < 5 / 20
    # generalisation: what is learned about A is answered to B in proportion to their overlap
    trials = compile_design(parse_design("7A+ | A? / B?"))
    found = simulated(trials, codes=memory.overlapping_codes(2, 0.3), constants={"beta": 0.2})
    a, b = found.responses[0, -2:, 0]
    assert float(b / a) == pytest.approx(0.3)
    assert float(a) == pytest.approx(1 - 0.8**7)


def test_one_program_over_groups_orders_and_constants():
    design = parse_design({"shorter": "!3A+ / 3B- | AB?", "longer": "!5A+ / 5B- | AB?"})
    trials, rates = compile_design(design), np.array([0.1, 0.5])
    keys = jax.random.split(jax.random.key(1), 3)

    def run(key, beta):
        now = memory.shuffle_trials(key, trials)
        return memory.tested_response(simulate(DELTA, now, constants={"beta": beta}), now)[:, 0]

    found = fast(jax.vmap(jax.vmap(run, (None, 0)), (0, None)))(keys, rates)
    assert found.shape == (3, 2, 2)  # keys, rates, groups
    np.testing.assert_allclose(found, np.tile(1 - (1 - rates[:, None]) ** [3, 5], (3, 1, 1)), rtol=1e-12)


@pytest.mark.parametrize("name", sorted(memory.RULES))
def test_every_rule_can_be_conditioned(name):
    trials = compile_design(parse_design({"first": "X: 2A+ | _ / 3AB(food) | B?", "second": "A-"}), dtype=np.float32)
    found = jax.eval_shape(lambda: simulate(make(name), trials, strengths=True, codes=0.5 * np.eye(3, 4)))
    assert found.responses.shape == (2, 7, 2)
    assert found.strengths.shape == (2, 7, 3, 2)
    assert found.responses.dtype == np.float32


@pytest.mark.parametrize("name", [pytest.param("softmax", marks=pytest.mark.slow), "pearce_hall"])
def test_responses_are_reads_before_writes(name):
    rule, trials = make(name), compile_design(parse_design("3A+ | 2B- / _ | 4AB+ | A-"))
    keys, outcomes = trials.cues[0], trials.outcomes[0]
    expected = fast(lambda: memory.apply(rule, keys, keys, outcomes, read="before").outputs)()
    np.testing.assert_allclose(simulated(trials, rule).responses[0], expected, rtol=1e-12, atol=1e-14)


@pytest.mark.slow
def test_an_experiment_goes_on_from_a_state():
    first, second = {"a": "3AB+", "b": "9A+"}, {"a": "2A- / B?", "b": "A- / A?"}
    whole = compile_design(parse_design({name: f"{first[name]} | {second[name]}" for name in first}))
    first, second = compile_design(parse_design(first)), compile_design(parse_design(second))
    halfway = simulated(first, constants={"beta": 0.2})
    rest = simulated(second, constants={"beta": 0.2}, state=halfway.state)
    together = simulated(whole, constants={"beta": 0.2})
    np.testing.assert_allclose(
        memory.tested_response(rest, second), memory.tested_response(together, whole), rtol=1e-12
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda t: simulate(DELTA, t, salience=-1.0), "salience must be zero or more"),
        (lambda t: simulate(DELTA, t, salience=np.ones(3)), "salience must have shape"),
        (lambda t: simulate(DELTA, t, codes=np.eye(3)), "codes must have shape"),
        (lambda t: simulate(DELTA, t, compound="product"), "compound must be one of"),
        (lambda t: simulate(DELTA, t, constants={"beta": 1.2}), r"beta \* \|k\|\^2 must be from 0 to 2"),
        (lambda t: simulate(DELTA, t, constants={"rate": 1.2}), "constants of delta have no 'rate'"),
        (lambda t: memory.overlapping_codes(2, 1.5), "overlap must be between 0 and 1"),
        (lambda t: memory.overlapping_codes(3, 0.5, dimension=2), "dimension must be 3 or more"),
        (lambda t: memory.outcome_rates(t, reinforced=-0.1, unreinforced=0.1), "reinforced must be zero or more"),
        (lambda t: memory.acquisition_strength(-1, salience=1, beta=0.1), "trials must be zero or more"),
        (lambda t: memory.compound_strengths(1, saliences=np.ones(3), beta=0.9), "must be at most 2"),
        (lambda t: memory.inhibition_strengths(1, excitor=2.0, inhibitor=0.1, beta=0.6), "excitor times beta"),
        (lambda t: memory.contingency_strengths(1.5, 0.1), "with_cue must be between 0 and 1"),
    ],
)
def test_bad_input_is_refused_in_one_line(call, message):
    trials = compile_design(parse_design("2AB+"))
    with pytest.raises(ValueError, match=message) as caught:
        call(trials)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_random_reinforcement():
    """Means over random sequences of outcomes, against the closed forms."""
    keys = jax.random.split(jax.random.key(5), 300)
    on, off, p = 0.3, 0.2, 0.4
    steps = 9
    outcomes = jax.random.bernoulli(keys[0], p, (2000, steps))
    strength = np.zeros(2000)
    for t in range(steps):
        us = np.asarray(outcomes[:, t]) * 1.0
        strength += np.where(us, on, off) * (us - strength)
    expected = memory.partial_reinforcement_strength(steps, probability=p, reinforced=on, unreinforced=off)
    assert abs(strength.mean() - float(expected)) < 4 * strength.std() / 2000**0.5
    assert abs(float(expected) - p) > 8 * strength.std() / 2000**0.5
    # contingency: trials of A in X, half reinforced, and more of X alone, a sixth reinforced
    design = parse_design("X: !288A+ / 288A- / 144_+ / 720_")
    many = compile_design(design)

    def settled(key):
        now = memory.shuffle_trials(key, many)
        run = simulate(DELTA, now, constants={"beta": 0.05}, strengths=True)
        return run.strengths[0, -600:, :, 0].mean(0)

    means = np.asarray(fast(jax.vmap(settled))(keys[:48]))
    theory = np.asarray(memory.contingency_strengths(0.5, 1 / 6))[::-1]  # (A, X)
    np.testing.assert_allclose(theory, [1 / 3, 1 / 6])
    z = (means.mean(0) - theory) / (means.std(0, ddof=1) / 48**0.5)
    assert np.all(abs(z) < 4)
    on_off = memory.contingency_strengths(0.5, 0.25, reinforced=0.2, unreinforced=0.1)
    np.testing.assert_allclose(on_off, [0.4, 2 / 3 - 0.4])
