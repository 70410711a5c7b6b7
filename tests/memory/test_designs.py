"""Designs: what strings mean, where they are refused, arrays, random order."""

import collections

import jax
import numpy as np
import pytest

from brainjax import memory
from brainjax.memory import compile_design, parse_design, shuffle_trials

A, B = ("A", 1.0), ("B", 1.0)
US = (("US", 1.0),)


def trials_of(text):
    """Cues, outcomes and test of each trial, phase by phase."""
    return [[tuple(trial) for trial in phase.trials] for phase in parse_design(text).phases[0]]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A+", [[((A,), US, False)]]),
        (" 2 A - | B ? ", [[((A,), (), False)] * 2, [((B,), (), True)]]),
        ("2AB+/1#A", [[((A, B), US, False)] * 2 + [((A,), (), True)]]),
        ("2(A+ / B-)", [[((A,), US, False), ((B,), (), False)] * 2]),
        ("X: A- / 2_", [[((A, ("X", 1.0)), (), False)] + [((("X", 1.0),), (), False)] * 2]),
        ("3_ | _+ | A'+", [[((), (), False)] * 3, [((), US, False)], [((("A'", 1.0),), US, False)]]),
        ("A(0.5)B+2", [[((("A", 0.5), B), (("US", 2.0),), False)]]),
        ("A(food)(shock=-1.5)", [[((A,), (("food", 1.0), ("shock", -1.5)), False)]]),
        ("A(2)(food=3)", [[((("A", 2.0),), (("food", 3.0),), False)]]),
        ("2{tone}A-", [[((("tone", 1.0), A), (), False)] * 2]),
        ("lab: !2A+ / B-", [[((A, ("lab", 1.0)), US, False)] * 2 + [((B, ("lab", 1.0)), (), False)]]),
        ("2(2(A+) / B-)", [([((A,), US, False)] * 2 + [((B,), (), False)]) * 2]),
    ],
)
def test_what_a_string_means(text, expected):
    assert trials_of(text) == expected


@pytest.mark.parametrize(
    ("text", "at", "expected"),
    [
        ("", 0, "expected a cue"),
        ("40A", 3, r"expected '\+', '-'"),
        ("40A+ / 40ab+", 9, "expected a cue"),
        ("0A+", 0, "whole number of trials, 1 or more"),
        ("1.5A+", 0, "whole number of trials"),
        ("2(A+ / B-", 9, r"expected '\)' or '/'"),
        ("A+ |", 4, "expected a cue"),
        ("A+ B-", 3, "expected '/' before another trial type"),
        ("A+?", 1, "no outcome on a test trial"),
        ("#A-", 2, "no outcome on a test trial"),
        ("#A?", 2, "'#' already marks"),
        ("AA+", 1, "each cue"),
        ("A: A+", 3, "each cue"),
        ("A(food", 6, r"expected '\)'"),
        ("A(food=x)", 7, "expected a magnitude"),
        ("A(0)+", 2, "intensity above 0"),
        ("{2}+", 1, "expected a cue's name"),
        ("A(food)(food)", 12, "each outcome once"),
    ],
)
def test_a_caret_marks_the_place(text, at, expected):
    with pytest.raises(ValueError, match=expected) as caught:
        parse_design({"mine": text})
    message, shown, caret = str(caught.value).split("\n")
    assert "group 'mine'" in message
    assert f"position {at}" in message
    assert shown[2:] == text
    assert caret.index("^") == at + 2


def test_designs_without_content():
    with pytest.raises(ValueError, match="at least one group"):
        parse_design({})
    with pytest.raises(ValueError, match="at least one cue"):
        parse_design("4_")


def test_arrays():
    design = parse_design({"blocked": "X: 2A+ | AB(2)+0.5 / B?", "control": "3B- / A(food)"})
    assert design.cues == ("A", "B", "X")
    assert design.outcomes == ("US", "food")
    assert not design.random
    trials = compile_design(design)
    cues, outcomes = np.asarray(trials.cues), np.asarray(trials.outcomes)
    np.testing.assert_array_equal(cues[0], [[1, 0, 1], [1, 0, 1], [1, 2, 0], [0, 1, 0]])
    np.testing.assert_array_equal(outcomes[0], [[1, 0], [1, 0], [0.5, 0], [0, 0]])
    np.testing.assert_array_equal(cues[1], [[0, 1, 0]] * 3 + [[1, 0, 0]])
    np.testing.assert_array_equal(outcomes[1], [[0, 0]] * 3 + [[0, 1]])
    np.testing.assert_array_equal(trials.test, [[False] * 3 + [True], [False] * 4])
    np.testing.assert_array_equal(trials.phase, [[0, 0, 1, 1], [0, 0, 0, 0]])
    rates = memory.outcome_rates(trials, reinforced=0.3, unreinforced=0.1)
    np.testing.assert_allclose(rates, [[0.3, 0.3, 0.3, 0.1], [0.1, 0.1, 0.1, 0.3]])
    shorter = compile_design(parse_design({"long": "3A+", "short": "A+ | A-"}))
    np.testing.assert_array_equal(shorter.present, [[True] * 3, [True, True, False]])
    assert float(np.abs(shorter.cues[1, 2]).sum()) == 0


def test_random_order():
    text = "C- | !3A+ / 2(B- / C-) | 2(!A+ / B-) / C? | A- / B-"
    design = parse_design({"first": text, "second": "A- | !4A+ / 4B-"})
    assert design.random
    trials = compile_design(design)
    keys = jax.random.split(jax.random.key(0), 400)
    many = jax.jit(jax.vmap(shuffle_trials, in_axes=(0, None)), compiler_options={"xla_backend_optimization_level": 0})(
        keys, trials
    )
    cues = np.asarray(many.cues)[:, 0].argmax(-1)  # A, B, C
    assert (cues[:, 0] == 2).all()
    phase = cues[:, 1:8]
    assert (np.sort(phase, axis=1) == np.sort([0, 0, 0, 1, 2, 1, 2])).all()
    for block in (cues[:, 8:10], cues[:, 10:12]):
        assert (np.sort(block, axis=1) == [0, 1]).all()
    assert (cues[:, 12] == 2).all()
    np.testing.assert_array_equal(cues[:, 13:], np.tile([0, 1], (400, 1)))
    # outcomes, tests and phases move with their trials
    reinforced = np.asarray(many.outcomes)[:, 0, :, 0] > 0
    np.testing.assert_array_equal(reinforced[:, 1:8], phase == 0)
    np.testing.assert_array_equal(np.asarray(many.test)[:, 0], np.tile(np.asarray(trials.test)[0], (400, 1)))
    np.testing.assert_array_equal(np.asarray(many.phase), np.tile(np.asarray(trials.phase), (400, 1, 1)))
    np.testing.assert_array_equal(np.asarray(many.present), np.tile(np.asarray(trials.present), (400, 1, 1)))
    # every order of a phase is equally likely: where its lone pair of B stands has 21 equally likely values
    places = collections.Counter(tuple(np.flatnonzero(row == 1)) for row in phase)
    assert len(places) == 21
    counts = np.array(list(places.values()))
    assert ((counts - 400 / 21) ** 2 / (400 / 21)).sum() < 45  # chi-square with 20 degrees: 99.9 % below 45.3
    first_of_pair = cues[:, 8]
    assert abs(first_of_pair.mean() - 0.5) < 4 * 0.5 / 20
    both = np.asarray(many.cues)[:, 1, 1:9].argmax(-1)
    assert abs(np.corrcoef(both[:, 0], phase[:, 0] == 0)[0, 1]) < 4 / 20  # groups are shuffled independently


def test_a_key_for_compiling_is_a_key_for_shuffling():
    design = parse_design("!10A+ / 10B-")
    key = jax.random.key(3)
    for found, expected in zip(compile_design(design, key), shuffle_trials(key, compile_design(design)), strict=True):
        np.testing.assert_array_equal(found, expected)
    assert not np.array_equal(compile_design(design).cues, compile_design(design, key).cues)
