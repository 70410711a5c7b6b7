"""The readers return what was written, and say in one line what is wrong with a file."""

import gzip
import re

import numpy as np
import pytest

from brainjax import data
from tests.data import files


@pytest.mark.parametrize("packed", [False, True])
def test_idx_is_read_plain_or_packed_whatever_its_name(packed, tmp_path):
    pictures, _ = files.images(5)
    content = files.idx(pictures)
    (tmp_path / "file").write_bytes(gzip.compress(content) if packed else content)
    np.testing.assert_array_equal(data.read_idx(tmp_path / "file"), pictures)


def test_idx_numbers_are_big_endian(tmp_path):
    numbers = np.array([[1.5, -2.0, 3e5]])
    header = bytes([0, 0, 0x0E, 2]) + (1).to_bytes(4, "big") + (3).to_bytes(4, "big")
    (tmp_path / "file").write_bytes(header + numbers.astype(">f8").tobytes())
    read = data.read_idx(tmp_path / "file")
    np.testing.assert_array_equal(read, numbers)
    assert read.dtype.isnative


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda b: b[:3], "truncated: 3 bytes"),
        (lambda b: b[:9], "truncated: 9 bytes, the header alone has 16"),
        (lambda b: b[:-1], "truncated: 59 of the 60 bytes of an array of shape (5, 4, 3)"),
        (lambda b: b + b"x", "wrong length: 61 bytes after the header"),
        (lambda b: b"\x01" + b[1:], "wrong magic number 01 00 08 03"),
        (lambda b: b"\0\0\x07" + b[3:], "wrong magic number 00 00 07 03"),
        (lambda b: gzip.compress(b)[:-9], "truncated: the packed file ends"),
        (lambda b: gzip.compress(b)[:-8] + bytes(8), "damaged: it cannot be unpacked"),
    ],
)
def test_a_bad_idx_file_is_refused_in_one_line(change, says, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(change(files.idx(files.images(5)[0])))
    with pytest.raises(ValueError, match=re.escape(says)) as caught:
        data.read_idx(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_cifar_records_become_images_with_channels_last(tmp_path):
    rng = np.random.default_rng(0)
    pictures, labels = rng.integers(0, 256, (3, 32, 32, 3), np.uint8), np.array([9, 0, 4])
    content = b""
    for picture, label in zip(pictures, labels, strict=True):
        content += bytes([label]) + b"".join(picture[:, :, c].tobytes() for c in range(3))
    (tmp_path / "batch").write_bytes(content)
    read, given = data.read_cifar(tmp_path / "batch")
    np.testing.assert_array_equal(read, pictures)
    np.testing.assert_array_equal(given, labels)
    assert (read.dtype, given.dtype) == (np.uint8, np.int32)
    assert len(content) == 3 * 3073


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (bytes(3072), "wrong length: 3072 bytes are no whole number of records of 3073"),
        (b"", "wrong length: 0 bytes"),
        (bytes(3073) + bytes([10]) + bytes(3072), "label out of range: 10 at 1, must be 0 to 9"),
    ],
)
def test_a_bad_cifar_file_is_refused(content, says, tmp_path):
    (tmp_path / "batch").write_bytes(content)
    with pytest.raises(ValueError, match=re.escape(says)):
        data.read_cifar(tmp_path / "batch")
