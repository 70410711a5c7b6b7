"""The data sets that brainjax knows: their files, the checksums of the files' content, and where to get them."""

from collections.abc import Mapping
from typing import Literal, NamedTuple

__all__ = ["DATASETS", "SPLITS", "DataSet", "Source", "known"]


SPLITS: tuple[str, ...] = ("train", "test")


class Source(NamedTuple):
    """Where a data set can be downloaded from.

    Attributes:
        address: of the folder that holds the packed files, or of one archive that holds all of them.
        archive_sha256: of the archive; empty where ``address`` is a folder.
        inner: the archive's folder that holds the files.
    """

    address: str
    archive_sha256: str = ""
    inner: str = ""


class DataSet(NamedTuple):
    """A data set of labelled images.

    Attributes:
        title: as the authors write it.
        layout: ``idx`` (a file of images, one of labels), ``cifar`` (files of records), ``stl`` (a file of pixels, one
            of labels from 1) or ``csv`` (a line per image).
        folders: names of the folder that holds the files, in the order in which they are tried.
        files: of each split, in order.
        sha256: of the content of each file, after unpacking.
        md5: likewise, of files of which nobody has given the SHA-256.
        classes: names of the labels 0, 1, …
        white: the largest value that a pixel can have.
        source: for the download command; None where there is nothing to download.
        obtain: how to get the files otherwise, for the error that says they are missing.
    """

    title: str
    layout: Literal["idx", "cifar", "stl", "csv"]
    folders: tuple[str, ...]
    files: dict[str, tuple[str, ...]]
    sha256: dict[str, str]
    classes: tuple[str, ...]
    white: int = 255
    source: Source | None = None
    obtain: str = ""
    md5: Mapping[str, str] = {}


_DIGITS = tuple("0123456789")
_IDX_FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
_BATCHES = tuple(f"data_batch_{i}.bin" for i in range(1, 6))

# Fashion-MNIST and digits: computed by us. MNIST: as many independent repositories give them. CIFAR-10: as the
# torchvision library for Ruby gives them, the test file's also by others. STL-10: as torchvision gives them.
DATASETS: dict[str, DataSet] = {
    "fashion_mnist": DataSet(
        title="Fashion-MNIST",
        layout="idx",
        folders=("fashion_mnist", "fashion-mnist", "FashionMNIST/raw"),
        files=_IDX_FILES,
        sha256={
            "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        },
        classes=(
            *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
            *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
        ),
        source=Source("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"),
        obtain="`apt-get install dataset-fashion-mnist` (Debian)",
    ),
    "mnist": DataSet(
        title="MNIST",
        layout="idx",
        folders=("mnist", "MNIST/raw"),
        files=_IDX_FILES,
        sha256={
            "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        },
        classes=_DIGITS,
        source=Source("https://storage.googleapis.com/cvdf-datasets/mnist/"),
    ),
    "cifar10": DataSet(
        title="CIFAR-10",
        layout="cifar",
        folders=("cifar10", "cifar-10", "cifar-10-batches-bin"),
        files={"train": _BATCHES, "test": ("test_batch.bin",)},
        sha256={
            "data_batch_1.bin": "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
            "data_batch_2.bin": "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
            "data_batch_3.bin": "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
            "data_batch_4.bin": "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
            "data_batch_5.bin": "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
            "test_batch.bin": "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
        },
        classes=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
        source=Source(
            "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
            archive_sha256="c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
            inner="cifar-10-batches-bin",
        ),
    ),
    "stl10": DataSet(
        title="STL-10",
        layout="stl",
        folders=("stl10", "stl-10", "stl10_binary"),
        files={"train": ("train_X.bin", "train_y.bin"), "test": ("test_X.bin", "test_y.bin")},
        sha256={},
        md5={
            "train_X.bin": "918c2871b30a85fa023e0c44e0bee87f",
            "train_y.bin": "5a34089d4802c674881badbb80307741",
            "test_X.bin": "7f263ba9f9e0b06b93213547f721ac82",
            "test_y.bin": "36f9794fa4beb8a2c72628de14fa638e",
        },
        classes=("airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck"),
        obtain="`tar -xf stl10_binary.tar.gz` (the authors' archive, 2.6 GB)",
    ),
    "digits": DataSet(
        title="optical digits, 8 × 8",
        layout="csv",
        folders=("digits",),
        files={"train": ("digits.csv",), "test": ("digits.csv",)},
        sha256={"digits.csv": "6ebb3d2fee246a4e99363262ddf8a00a3c41bee6014c373ed9d9216ba7f651b8"},
        classes=_DIGITS,
        white=16,
        obtain="`pip install scikit-learn`, which brings them",
    ),
}


def known(name: str) -> DataSet:
    """The entry of a data set.

    Raises:
        ValueError: if there is no such data set.
    """
    if name not in DATASETS:
        raise ValueError(f"name must be one of {', '.join(DATASETS)}, got {name!r}")
    return DATASETS[name]
