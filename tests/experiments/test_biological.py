"""Arms of biological connectivity: equal norms, their signs; a connectome that is absent is said to be."""

import jax
import numpy as np
import pytest
import xarray as xr

from brainjax import catalog, claims, data
from brainjax.data import _places
from tests.data import files

NAME = "rich_lazy/biological"


@pytest.fixture(scope="module")
def module():
    return catalog.load(NAME).run.__globals__


def settings(module, **changes):
    config = module["get_config"]("quick").copy_and_resolve_references()
    config.unlock()
    config.update(changes)
    return config


@pytest.fixture
def worm(tmp_path, monkeypatch):
    """A worm of 12 cells, on a machine without other data."""
    rng = np.random.default_rng(0)
    counts = rng.integers(1, 9, (12, 12)) * (rng.uniform(size=(12, 12)) < 0.4)
    np.fill_diagonal(counts, 0)
    counts[np.arange(12), np.roll(np.arange(12), 1)] += 1  # every cell receives and sends
    folder = tmp_path / "data" / "connectomes"
    folder.mkdir(parents=True)
    (folder / "WitvlietDataReader1.json").write_text(files.cect(counts, counts, [f"c{i}" for i in range(12)]))
    monkeypatch.setenv("BRAINJAX_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setattr(_places, "SHARED", tmp_path)
    return counts.T


def drawn(module, part, matching):
    """All arms of a circuit, drawn with one key, (arms, units, units)."""
    config, key = settings(module, part=part, matching=matching), jax.random.key(3)
    build = module["synthetic"] if part == "synthetic" else module["from_connectome"]

    def arm(number):
        own = config.copy_and_resolve_references()
        with own.ignore_type():
            own.arm = number
        return build(own)(key)

    return np.asarray(jax.lax.map(arm, np.arange(len(module["arms_of"](part)), dtype=np.int32)))


def test_synthetic_arms_have_one_norm_and_their_signs(module):
    weights = drawn(module, "synthetic", 0)
    np.testing.assert_allclose(np.linalg.norm(weights, axis=(1, 2)), np.linalg.norm(weights[0]), rtol=1e-10)
    radii = np.abs(np.linalg.eigvals(drawn(module, "synthetic", 1))).max(-1)
    np.testing.assert_allclose(radii, radii[0], rtol=1e-10)
    by_name = dict(zip(module["arms_of"]("synthetic"), weights, strict=True))
    for name in ("Dale", "Dale, balanced", "cell types"):
        signs = np.sign(by_name[name])
        assert all(len(set(column) - {0}) <= 1 for column in signs.T)
        assert (signs.sum(0) > 0).sum() == 16
    assert abs(by_name["Dale, balanced"].mean()) < 0.2 * by_name["Dale"].mean()


def test_arms_around_a_connectome_keep_what_they_say(module, worm):
    weights = drawn(module, "witvliet_1", 0)
    by_name = dict(zip(module["arms_of"]("witvliet_1"), weights, strict=True))
    scale = np.linalg.norm(by_name["Gaussian"]) / np.linalg.norm(worm)
    np.testing.assert_allclose(by_name["measured"], worm * scale, rtol=1e-10)
    np.testing.assert_allclose(np.abs(by_name["random signs"]), worm * scale, rtol=1e-10)
    for axis in (0, 1):
        np.testing.assert_array_equal((by_name["rewired"] != 0).sum(axis), (worm != 0).sum(axis))
    assert (by_name["rewired"] != by_name["measured"]).any()


def test_a_circuit_that_is_not_here_is_left_out_and_said_to_be(module, worm):
    config = settings(module, parts=("synthetic", "witvliet_1", "fly_optic_lobe"))
    assert list(module["sweep"](config)) == ["synthetic", "witvliet_1"]
    with pytest.raises(ValueError, match="connectome fly_optic_lobe is not on this machine"):
        module["sweep"](settings(module, parts=("fly_optic_lobe",)))
    claim = module["not_here"]("fly_optic_lobe")
    assert claim.verdict == claims.INCONCLUSIVE
    assert "brainjax.data.connectome('fly_optic_lobe')" in claim.detail
    assert set(module["TITLES"]) - {"synthetic"} <= set(data.CONNECTOMES)


def test_the_regression_is_that_of_each_seed_within_circuits(module):
    """Against least squares with an intercept for each circuit, with one network missing."""
    rng = np.random.default_rng(1)
    groups, slopes, shares = {}, [], []
    for part, arms in (("a", 5), ("b", 3)):
        groups[part, 0] = xr.Dataset(
            {name: (("arm", "seed"), rng.uniform(1, 3, (arms, 4))) for name in ("kernel_alignment", "eigenvalue_rank")}
        )
    groups["a", 0].kernel_alignment[2, 1] = np.nan
    for seed in range(4):
        x, y, circuit = (
            np.concatenate(rows)
            for rows in zip(
                *(
                    (np.log10(g.eigenvalue_rank[:, seed]), g.kernel_alignment[:, seed], np.full(g.sizes["arm"], i))
                    for i, g in enumerate(groups.values())
                ),
                strict=True,
            )
        )
        x, y, circuit = (v[np.isfinite(y)] for v in (x, y, circuit))
        table = np.stack([x, circuit == 0, circuit == 1], 1).astype(float)
        fit, rest, *_ = np.linalg.lstsq(table, y, rcond=None)
        whole = np.linalg.lstsq(table[:, 1:], y, rcond=None)[1]
        slopes.append(fit[0])
        shares.append(1 - (rest / whole)[0])
    slope, share = module["explained"](groups, "kernel_alignment", "eigenvalue_rank")
    np.testing.assert_allclose(slope, slopes, rtol=1e-8)
    np.testing.assert_allclose(share, shares, rtol=1e-8)
