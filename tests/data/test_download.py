"""The download command, against a server on this machine; no test leaves it."""

import contextlib
import functools
import gzip
import hashlib
import http.server
import importlib.util
import io
import sys
import tarfile
import threading

import pytest

from brainjax import cli, data
from brainjax.data._registry import Source
from tests.data import files

needs_pooch = pytest.mark.skipif(importlib.util.find_spec("pooch") is None, reason="pooch is not installed")


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@contextlib.contextmanager
def served(folder):
    """The address of a server of a folder."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@needs_pooch
def test_idx_files_are_fetched_checked_and_found(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "user"))
    monkeypatch.delenv("BRAINJAX_DATA", raising=False)
    written = files.write_idx(tmp_path / "site")
    contents = {name: files.idx(array) for name, array in written.items()}
    with served(tmp_path / "site") as address:
        files.expect(monkeypatch, "mnist", contents, source=Source(address))
        assert cli.main(["download", "mnist"]) == 0
    place = tmp_path / "user" / "brainjax" / "mnist"
    assert f"MNIST is in {place}, every file checked" in capsys.readouterr().out
    assert data.load("mnist").images.shape == (7, 4, 3)
    assert cli.main(["download", "mnist"]) == 0  # all is there: the server has gone
    assert "fetching" not in capsys.readouterr().out


@needs_pooch
def test_wrong_content_is_refused_and_removed(tmp_path, monkeypatch, capsys):
    written = files.write_idx(tmp_path / "site")
    contents = {name: files.idx(array) for name, array in written.items()}
    (tmp_path / "site" / "t10k-labels-idx1-ubyte.gz").write_bytes(gzip.compress(files.idx(files.images(5, 9)[1])))
    with served(tmp_path / "site") as address:
        files.expect(monkeypatch, "mnist", contents, source=Source(address))
        assert cli.main(["download", "mnist", f"--folder={tmp_path / 'own'}"]) == 1
    assert "checksum mismatch" in capsys.readouterr().err
    assert list((tmp_path / "own").iterdir()) == []


@needs_pooch
def test_an_archive_is_unpacked(tmp_path, monkeypatch):
    contents = {f"data_batch_{i}.bin": bytes([i]) + bytes(3072) for i in range(1, 6)}
    contents["test_batch.bin"] = bytes(3073)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, content in contents.items():
            entry = tarfile.TarInfo(f"inner/{name}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    (tmp_path / "cifar.tar.gz").write_bytes(packed.getvalue())
    digest = hashlib.sha256(packed.getvalue()).hexdigest()
    with served(tmp_path) as address:
        files.expect(monkeypatch, "cifar10", contents, source=Source(f"{address}cifar.tar.gz", digest, "inner"))
        place = data.download("cifar10", folder=tmp_path / "own")
    assert sorted(path.name for path in place.iterdir()) == sorted(contents)
    assert data.load("cifar10", folder=tmp_path / "own").labels.tolist() == [1, 2, 3, 4, 5]


@needs_pooch
def test_an_address_that_does_not_answer_is_one_line(tmp_path, monkeypatch, capsys):
    with served(tmp_path) as address:
        monkeypatch.setitem(data.DATASETS, "mnist", data.DATASETS["mnist"]._replace(source=Source(address)))
        assert cli.main(["download", "mnist", f"--folder={tmp_path / 'own'}"]) == 1
    captured = capsys.readouterr()
    assert f"MNIST could not be fetched from {address}" in captured.err
    assert captured.err.count("\n") == 1


def test_without_pooch_it_says_what_to_install(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "pooch", None)
    assert cli.main(["download", "mnist", f"--folder={tmp_path}"]) == 1
    assert "pip install 'brainjax[data]'" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "says", "status"),
    [
        (["download"], "download needs the name of a data set: fashion_mnist, mnist or cifar10", 2),
        (["download", "fashion_mnst"], "did you mean 'fashion_mnist'?", 2),
        (["download", "digits"], "get it with `pip install scikit-learn`", 1),
        (["download", "mnist", "--fodler=x"], "did you mean '--folder'?", 2),
    ],
)
def test_bad_words_are_one_line(words, says, status, capsys):
    assert cli.main(words) == status
    captured = capsys.readouterr()
    assert says in captured.err
    assert captured.err.count("\n") == 1
