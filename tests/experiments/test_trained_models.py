"""The experiment with trained networks: its claims can fail, whatever part of the grid was run."""

import json

import numpy as np
import pytest
import xarray as xr

from brainjax import catalog

SEEDS = 6


@pytest.fixture(scope="module")
def experiment():
    return catalog.load("conditioning/trained_models")


def result(experiment, index, *, networks=("hebb", "softmax", "delta", "gated delta", "unit delta"), axes=None):
    """Responses whose indices are ``index(network, kind, stage, world)``, with a little spread."""
    module = experiment.module
    axes = {"network": list(networks), "world": [0.0, 1.0, 2.0]} if axes is None else axes
    sizes = [len(values) for values in axes.values()]
    spread = 0.01 * np.cos(np.arange(SEEDS))
    response = np.zeros([*sizes, SEEDS, 2, 2, len(module.PHENOMENA), 2])
    config = json.loads(json.dumps(experiment.get_config("").to_dict()))
    for place in np.ndindex(*sizes):
        at = config | {name: axes[name][i] for name, i in zip(axes, place, strict=True)}
        for s, stage in enumerate(module.STAGES):
            for k, kind in enumerate(module.KINDS):
                value = index(at["network"], kind, stage, at["world"])
                response[(*place, slice(None), s, k, slice(None), 1)] = value + spread[:, None]
    dims = (*axes, "seed")
    rate = np.full([*sizes, SEEDS, 2, 2], 1.5) + spread[:, None, None]
    loss = np.full([*sizes, SEEDS, config["windows"]], 0.5)
    return xr.Dataset(
        {
            name: ((*dims, *module.DIMS[name]), values)
            for name, values in {"response": response, "rate": rate, "loss": loss}.items()
        },
        {**axes, "seed": np.arange(SEEDS)},
        {"config": json.dumps(config)},
    )


def as_expected(network, kind, stage, world):
    corrects = network in ("delta", "gated delta")
    return 0.4 if corrects and kind == "sum" and stage == "trained" and world == 1 else 0.0


def test_all_claims_hold_for_what_is_expected(experiment):
    found = experiment.claims(result(experiment, as_expected))
    assert len(found) == len({claim.name for claim in found}) == 17
    assert {claim.verdict for claim in found} == {"holds"}


def test_claims_fail_for_the_opposite(experiment):
    """If all but the error-correcting networks show everything, in all conditions, only what is not an index holds."""
    found = experiment.claims(result(experiment, lambda *at: 0.4 - as_expected(*at)))
    assert {claim.name for claim in found if claim.verdict != "fails"} == {
        "networks learn",
        "single cues teach too high a rate",
    }


def test_a_part_of_the_grid_has_its_claims_and_its_figure(experiment):
    """The default network and world alone, as when both are pinned on the command line."""
    data = result(experiment, as_expected, axes={})
    assert {claim.verdict for claim in experiment.claims(data)} == {"holds"}
    page = experiment.figure(data)
    assert [ax.get_title() for ax in page.axes][:5] == list(experiment.module.PHENOMENA)
