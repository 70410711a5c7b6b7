"""Connectomes: turned to (post, pre), found in files, folders and wheels, and with the spectra measured before."""

import json
import zipfile

import numpy as np
import pytest

from brainjax import data
from brainjax.core import spectra
from brainjax.data import _places
from tests.data import files

NAMES = ["A", "B", "C", "D"]
COUNTS = np.array([[0, 3, 1, 0], [0, 0, 2, 0], [4, 0, 0, 0], [0, 0, 0, 0]])
GAPS = np.array([[0, 0, 0, 5], [0, 0, 0, 0], [0, 0, 0, 0], [5, 0, 0, 0]])
INNER = "cect/cache/WitvlietDataReader3.json"
FLY = {
    "nodes": [{"name": "R"}, {"name": "L"}, {"name": "T"}],
    "edges": [
        {"src": "R", "tar": "L", "alpha": -1, "offsets": [[[0, 0], 40], [[1, 0], 2.5]]},
        {"src": "L", "tar": "T", "alpha": 1, "offsets": [[[0, 0], 3]]},
    ],
}


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    monkeypatch.setenv("BRAINJAX_DATA", str(tmp_path / "variable"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "user"))
    monkeypatch.setattr(_places, "SHARED", tmp_path / "shared")
    return tmp_path


def test_the_file_is_found_by_itself_in_folders_and_in_wheels(nowhere):
    content = files.cect(COUNTS, GAPS, NAMES)
    file = nowhere / "unpacked" / INNER
    file.parent.mkdir(parents=True)
    file.write_text(content)
    (nowhere / "variable" / "connectomes").mkdir(parents=True)
    wheel = nowhere / "variable" / "connectomes" / "cect-0.3.5-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as packed:
        packed.writestr(INNER, content)
    for path in (file, file.parent, nowhere / "unpacked", wheel, wheel.parent, None):
        read = data.connectome("witvliet_3", path=path)
        np.testing.assert_array_equal(read.weights, COUNTS[:3, :3].T)  # D has no chemical synapse
        assert read.names == ("A", "B", "C")
        assert (read.kind, read.signs) == ("chemical", None)
        assert read.source.endswith(INNER)
    both = data.connectome("witvliet_3", silent=True)
    assert both.names == tuple(NAMES)
    gaps = data.connectome("witvliet_3", kind="electrical")
    assert gaps.names == ("A", "D")
    assert gaps.weights.tolist() == [[0, 5], [5, 0]]


def test_an_installed_package_is_read_but_not_imported(nowhere, monkeypatch):
    file = nowhere / INNER
    file.parent.mkdir(parents=True)
    file.write_text(files.cect(COUNTS, GAPS, NAMES))
    (nowhere / "cect" / "__init__.py").write_text("raise AssertionError('must not be imported')")
    monkeypatch.syspath_prepend(str(nowhere))
    assert data.connectome("witvliet_3").source == str(file)


def test_the_flys_counts_have_the_signs_of_their_types(nowhere):
    path = nowhere / "fib25-fib19_v2.2.json"
    path.write_text(json.dumps(FLY))
    read = data.connectome("fly_optic_lobe", path=path)
    assert read.names == ("R", "L", "T")
    np.testing.assert_array_equal(read.weights, [[0, 0, 0], [-42.5, 0, 0], [0, 3, 0]])
    np.testing.assert_array_equal(read.signs, np.sign(read.weights))


def test_what_is_missing_says_where_it_looked_and_how_to_get_it(nowhere):
    with pytest.raises(FileNotFoundError) as caught:
        data.connectome("cook_male", path=nowhere / "none.json")
    message = str(caught.value)
    for part in ("none.json", "variable/connectomes", "shared/connectomes", "pip download --no-deps cect==0.3.5"):
        assert part in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("white", "{", "JSONDecodeError"),
        ("white", "{}", "KeyError"),
        ("white", files.cect(COUNTS[:3], GAPS, NAMES), "4 names for a table of shape"),
        ("white", files.cect(-COUNTS, GAPS, NAMES), "counts must be zero or more"),
        ("fly_optic_lobe", json.dumps(FLY | {"nodes": [{"name": "R"}]}), "KeyError"),
        ("fly_optic_lobe", json.dumps(FLY).replace("-1", "0"), "alpha must be 1 or -1, got 0"),
    ],
)
def test_a_file_of_another_kind_is_refused(name, content, says, nowhere):
    path = nowhere / "some.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=says) as caught:
        data.connectome(name, path=path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_bad_arguments_are_refused(nowhere):
    with pytest.raises(ValueError, match="name must be one of"):
        data.connectome("mouse")
    with pytest.raises(ValueError, match="kind of fly_optic_lobe must be one of 'chemical'"):
        data.connectome("fly_optic_lobe", kind="electrical")
    (nowhere / "cect-1-py3.whl").write_bytes(b"no wheel")
    with pytest.raises(ValueError, match="neither a JSON file nor a wheel"):
        data.connectome("white", path=nowhere)


# N, density, stable rank, participation ratio, Roy-Vetterli, Liu, numerical rank: measured once with numpy alone from
# the same files, to the digits given.
SPECTRA = {
    ("cook_hermaphrodite", "chemical"): (446, 0.0245, 10.6, 30.3, 173, 0.068, 300),
    ("cook_hermaphrodite", "electrical"): (462, 0.0135, 2.7, 3.9, 106, 0.019, 460),
    ("varshney", "chemical"): (281, 0.029, 2.5, 5.8, 112.5, 0.103, 248),
    ("white", "chemical"): (303, 0.026, 2.5, 5.9, 119, 0.098, 262),
    ("witvliet_8", "chemical"): (219, 0.046, 4.9, 15.8, 100, 0.060, 161),
    ("witvliet_1", "chemical"): (187, 0.022, 6.6, 22.3, 94, 0.091, 141),
}


QUICK = ("witvliet_1", "chemical")


@pytest.mark.parametrize(
    "which",
    [pytest.param(which, marks=[] if which == QUICK else pytest.mark.slow, id=" ".join(which)) for which in SPECTRA],
)
def test_spectra_of_the_worm(which):
    name, kind = which
    try:
        weights = data.connectome(name, kind=kind).weights
    except FileNotFoundError as error:
        pytest.skip(str(error))
    n, density, stable, participation, entropy, liu, rank = SPECTRA[which]
    assert len(weights) == n
    assert np.mean(weights != 0) == pytest.approx(density, abs=5e-4)
    values = spectra.singular_values(weights)
    assert float(spectra.stable_rank(values)) == pytest.approx(stable, abs=0.05)
    assert float(spectra.participation_ratio(values)) == pytest.approx(participation, abs=0.05)
    assert float(spectra.effective_rank(values)) == pytest.approx(entropy, abs=0.5)
    assert float(spectra.eigenvalue_rank(spectra.eigenvalues(weights))) == pytest.approx(liu, abs=5e-4)
    assert int(spectra.numerical_rank(values)) == rank


def test_directions_and_signs_of_the_real_files():
    try:
        worm, fly = data.connectome("cook_hermaphrodite"), data.connectome("fly_optic_lobe")
    except FileNotFoundError as error:
        pytest.skip(str(error))
    post, pre = worm.names.index("AIYL"), worm.names.index("ASEL")
    assert (worm.weights[post, pre], worm.weights[pre, post]) == (32, 0)
    assert fly.weights.shape == (65, 65)
    assert (np.sum(fly.signs == 1), np.sum(fly.signs == -1)) == (377, 228)
    assert fly.weights[fly.names.index("L1"), fly.names.index("R1")] == -40  # a photoreceptor inhibits
