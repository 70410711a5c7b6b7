"""Data sets are found in the promised order, checked, and kept as bytes until they are used."""

import gzip
import hashlib
import re
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brainjax import data
from brainjax.data import _places
from tests.data import files


@pytest.fixture
def places(tmp_path, monkeypatch):
    """The four places of the search, empty: argument, variable, user, shared."""
    found = {name: tmp_path / name for name in ("argument", "variable", "user", "shared")}
    monkeypatch.setenv("BRAINJAX_DATA", str(found["variable"]))
    monkeypatch.setenv("XDG_DATA_HOME", str(found["user"]))
    monkeypatch.setattr(_places, "SHARED", found["shared"])
    found["user"] = found["user"] / "brainjax"
    return found


@pytest.fixture
def small(places, monkeypatch):
    """A small data set under the name of Fashion-MNIST, its files in the folder named by the variable."""
    written = files.write_idx(places["variable"] / "fashion-mnist")
    files.expect(monkeypatch, "fashion_mnist", {name: files.idx(array) for name, array in written.items()})
    return written


def test_images_and_labels_are_those_of_the_files(small):
    train, test = data.load("fashion_mnist"), data.load("fashion_mnist", split="test")
    np.testing.assert_array_equal(train.images, small["train-images-idx3-ubyte"])
    np.testing.assert_array_equal(test.images, small["t10k-images-idx3-ubyte"])
    np.testing.assert_array_equal(test.labels, small["t10k-labels-idx1-ubyte"])
    assert (train.images.dtype, train.labels.dtype, train.white) == (np.uint8, np.int32, 255)
    assert train.classes[9] == "Ankle boot"


def test_the_first_place_that_has_the_files_is_taken(places):
    order = [
        ("argument/mnist", places["argument"] / "mnist"),
        ("argument", places["argument"]),
        ("variable", places["variable"] / "mnist"),
        ("user", places["user"] / "MNIST" / "raw"),
        ("shared", places["shared"] / "mnist"),
    ]
    for _, place in order:
        files.write_idx(place, packed=False)
    for _, place in order:
        found = data.find("mnist", folder=places["argument"])
        assert [path.parent for path in found] == [place, place]
        for path in place.glob("t*-ubyte"):
            path.unlink()
    with pytest.raises(FileNotFoundError, match="MNIST is not on this machine"):
        data.find("mnist", folder=places["argument"])


def test_the_users_folder_is_the_usual_one_by_default(monkeypatch, tmp_path):
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.delenv("BRAINJAX_DATA", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert _places.roots() == [tmp_path / ".local/share/brainjax", _places.SHARED]


def test_what_is_missing_says_where_it_looked_and_how_to_get_it(places):
    with pytest.raises(FileNotFoundError) as caught:
        data.load("fashion_mnist", folder=places["argument"])
    message = str(caught.value)
    assert all(str(place) in message for place in places.values())
    assert "apt-get install dataset-fashion-mnist" in message
    assert "`brainjax download fashion_mnist`" in message
    assert "BRAINJAX_DATA" in message
    assert "\n" not in message


def test_a_folder_with_some_of_the_files_is_named(small, places):
    (places["variable"] / "fashion-mnist" / "train-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(FileNotFoundError, match=r"variable/fashion-mnist lacks train-labels-idx1-ubyte;"):
        data.load("fashion_mnist")


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        ("images-idx3", files.idx(np.zeros((7, 4, 3)))[:-2], "truncated: 82 of the 84 bytes"),
        ("images-idx3", files.idx(np.zeros((7, 12))), "wrong magic number: images are bytes with 3 axes"),
        ("labels-idx1", files.idx(np.zeros(6)), "wrong length: 6 labels for 7 images"),
        ("labels-idx1", files.idx(np.full(7, 10)), "label out of range: 10 at 0, must be 0 to 9"),
        ("labels-idx1", files.idx(np.full(7, 3)), "checksum mismatch: its content is not that of Fashion-MNIST"),
    ],
)
def test_a_bad_file_is_refused_by_name(file, content, says, small, places):
    path = places["variable"] / "fashion-mnist" / f"train-{file}-ubyte.gz"
    path.write_bytes(gzip.compress(content))
    with pytest.raises(ValueError, match=re.escape(says)) as caught:
        data.load("fashion_mnist")
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_other_content_is_read_when_asked(small, places):
    path = places["variable"] / "fashion-mnist" / "train-labels-idx1-ubyte.gz"
    path.write_bytes(gzip.compress(files.idx(np.full(7, 3))))
    assert set(data.load("fashion_mnist", verify=False).labels) == {3}


@pytest.mark.parametrize(
    ("arguments", "says"), [({"name": "fashion"}, "got 'fashion'"), ({"name": "mnist", "split": "dev"}, "got 'dev'")]
)
def test_unknown_names_are_refused(arguments, says):
    with pytest.raises(ValueError, match=says):
        data.load(**arguments)


def test_cifar_is_the_batches_in_order(places, monkeypatch):
    folder = places["user"] / "cifar-10-batches-bin"
    folder.mkdir(parents=True)
    contents = {f"data_batch_{i}.bin": bytes([i]) + bytes([10 * i]) * 3072 for i in range(1, 6)}
    contents["test_batch.bin"] = bytes([7]) + bytes(3072)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    files.expect(monkeypatch, "cifar10", contents)
    train = data.load("cifar10")
    assert train.images.shape == (5, 32, 32, 3)
    assert train.labels.tolist() == [1, 2, 3, 4, 5]
    assert train.images[:, 0, 0, 0].tolist() == [10, 20, 30, 40, 50]
    assert data.load("cifar10", split="test").labels.tolist() == [7]


def test_digits_are_read_from_the_table_that_scikit_learn_brings(places, monkeypatch):
    package = places["argument"] / "sklearn"
    table = np.random.default_rng(0).integers(0, 17, (1440, 65))
    table[:, -1] %= 10
    content = "\n".join(",".join(map(str, row)) for row in table).encode()
    (package / "datasets" / "data").mkdir(parents=True)
    (package / "datasets" / "data" / "digits.csv.gz").write_bytes(gzip.compress(content))
    (package / "__init__.py").write_text("raise AssertionError('must not be imported')")
    monkeypatch.syspath_prepend(str(places["argument"]))
    for name in [name for name in sys.modules if name.partition(".")[0] == "sklearn"]:  # of another test
        monkeypatch.delitem(sys.modules, name)
    files.expect(monkeypatch, "digits", {"digits.csv": content})
    train, test = data.load("digits"), data.load("digits", split="test")
    assert (train.images.shape, test.images.shape, train.white) == ((1437, 8, 8), (3, 8, 8), 16)
    np.testing.assert_array_equal(test.images.reshape(3, 64), table[1437:, :-1])
    np.testing.assert_array_equal(train.labels, table[:1437, -1])


def test_fashion_mnist_itself():
    """The Debian package, if it is installed, against what its authors and others say of it."""
    try:
        train, test = data.load("fashion_mnist"), data.load("fashion_mnist", split="test")
    except FileNotFoundError as error:
        pytest.skip(str(error))
    assert train.images.shape == (60000, 28, 28)
    assert test.images.shape == (10000, 28, 28)
    assert train.labels[:10].tolist() == [9, 0, 0, 3, 0, 2, 7, 2, 5, 5]
    assert test.labels[:10].tolist() == [9, 2, 1, 1, 6, 1, 4, 6, 5, 7]
    assert set(np.bincount(train.labels)) == {6000}
    assert np.mean(train.images) / 255 == pytest.approx(0.28604, abs=5e-6)


def test_bytes_stay_bytes_on_the_device_and_become_floats_inside_jit():
    host = data.Images(*files.images(6), classes=("a",))
    held = data.on_device(host)
    assert isinstance(held.images, jax.Array)
    assert held.images.dtype == jnp.uint8
    assert held.classes == host.classes
    batch = jax.jit(lambda indices: data.scaled(held.images[indices], dtype=jnp.float32))(np.array([4, 1]))
    assert batch.dtype == jnp.float32
    np.testing.assert_allclose(batch, host.images[[4, 1]] / 255, rtol=1e-6)


def test_scaling_takes_a_mean_and_a_deviation_per_channel():
    pictures = np.arange(24, dtype=np.uint8).reshape(2, 2, 2, 3)
    mean, deviation = [0.1, 0.2, 0.3], np.array([2.0, 1.0, 0.5])
    expected = (pictures / 16 - mean) / deviation
    np.testing.assert_allclose(data.scaled(pictures, white=16, mean=mean, deviation=deviation), expected, rtol=1e-12)
    for wrong in ({"mean": [0.1, 0.2]}, {"deviation": 0.0}, {"white": 0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            data.scaled(pictures, **wrong)


def test_stl10_is_read_column_by_column(places, monkeypatch):
    """Pixel by pixel from the authors' description: channel after channel, column after column, labels from 1."""
    pixels = np.random.default_rng(3).integers(0, 256, (2, 3, 96, 96), np.uint8)  # image, channel, column, row
    folder = places["variable"] / "stl10_binary"
    folder.mkdir(parents=True)
    contents = {"train_X.bin": pixels.tobytes(), "train_y.bin": bytes([10, 1])}
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    with pytest.raises(ValueError, match=r"checksum mismatch: its content is not that of STL-10 [(]MD5 "):
        data.load("stl10")
    found = data.load("stl10", verify=False)
    assert found.images.shape == (2, 96, 96, 3)
    for image, channel, column, row in ((0, 0, 0, 1), (1, 2, 95, 3), (0, 1, 7, 90)):
        assert found.images[image, row, column, channel] == pixels[image, channel, column, row]
    assert [found.classes[label] for label in found.labels] == ["truck", "airplane"]
    sums = {name: hashlib.md5(content).hexdigest() for name, content in contents.items()}
    monkeypatch.setitem(data.DATASETS, "stl10", data.DATASETS["stl10"]._replace(md5=sums))
    np.testing.assert_array_equal(data.load("stl10").images, found.images)
    (folder / "train_y.bin").write_bytes(bytes([10, 11]))
    with pytest.raises(ValueError, match=r"train_y\.bin: label out of range: 11 at 1, must be 1 to 10"):
        data.load("stl10", verify=False)
    (folder / "train_X.bin").write_bytes(contents["train_X.bin"][:-1])
    with pytest.raises(ValueError, match="no whole number of images of 27648"):
        data.load("stl10", verify=False)
