r"""Checkpoints of a run on disk: complete or not there, checked before they are read, and of one run only."""

import hashlib
import json
import os
import shutil
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from brainjax.core import checks

__all__ = ["Checkpoints"]

_SUFFIX = ".json"


class Checkpoints:
    """The newest checkpoints of one run, in a folder.

    Each is an orbax checkpoint, a folder named by its epoch, and a file beside it that is written last: with the
    identity of the run, shapes and dtypes, and the SHA-256 of every file. A checkpoint without that file is not
    complete and does not count, so a kill at any time leaves the one before; one whose files do not fit their sums is
    damaged, which is said, and the one before is used. Sums find accidents, not forgery.

    Attributes:
        folder: where they are; made when the first is saved.
        identity: what run they are of.
        keep: how many are kept.
    """

    def __init__(self, folder: str | os.PathLike[str], identity: Mapping[str, Any], *, keep: int = 2):
        """Open a folder, which may not exist yet.

        Args:
            folder: where the checkpoints are.
            identity: what makes this run another one than others, such as ``{"rule": "backprop", "seed": 3}``: names
                and anything that JSON can hold.
            keep: how many of the newest are kept, 1 or more; with 2, damage to the newest loses one interval.

        Raises:
            ValueError: if the folder holds checkpoints of another run; the field, what is there and what was asked for
                are named. Or if ``keep`` is below 1 or the identity cannot be written as JSON.
        """
        checks.at_least("keep", keep, 1)
        self.folder = Path(folder)
        self.keep = keep
        try:
            self.identity: dict[str, Any] = json.loads(json.dumps(dict(identity)))
        except TypeError as error:
            raise ValueError(f"identity must be what JSON can hold: {error}") from None
        for epoch in self.epochs():
            self._described(epoch)

    def of(self, facts: Mapping[str, Any]) -> "Checkpoints":
        """The same folder for a run of which more is known."""
        return Checkpoints(self.folder, {**self.identity, **facts}, keep=self.keep)

    def epochs(self) -> list[int]:
        """Epochs of which there is a complete checkpoint, the last one last."""
        if not self.folder.is_dir():
            return []
        return sorted(int(path.stem) for path in self.folder.glob("*" + _SUFFIX) if path.stem.isdecimal())

    def latest(self) -> int | None:
        """The last epoch of which there is an undamaged checkpoint; damaged ones after it are warned of.

        Raises:
            ValueError: if it is of another run.
        """
        for epoch in reversed(self.epochs()):
            damage = self._damage(epoch)
            if damage is None:
                return epoch
            warnings.warn(f"checkpoint {self._place(epoch)} is damaged ({damage}): the one before it is used")
        return None

    def save(self, epoch: int, tree: Any) -> None:
        """Write a checkpoint, then remove the oldest ones beyond ``keep``.

        Args:
            epoch: its number, 0 or more; a checkpoint of that number is replaced.
            tree: of arrays, numbers and typed PRNG keys.
        """
        import orbax.checkpoint.experimental.v1 as ocp

        checks.at_least("epoch", epoch, 0)
        leaves = _named(tree)
        arrays = {name: _plain(leaf) for name, leaf in leaves.items()}
        self.folder.mkdir(parents=True, exist_ok=True)
        self.remove(epoch)
        self._clear()
        place = self._place(epoch)
        some = {name: array for name, array in arrays.items() if array.size}  # orbax takes no empty ones
        ocp.save(str(place), some)
        description = {
            "identity": self.identity,
            "leaves": {name: _kind(leaf) for name, leaf in leaves.items()},
            "files": _sums(place),
        }
        _write(place.with_suffix(_SUFFIX), json.dumps(description, indent=1))
        for old in self.epochs()[: -self.keep]:
            self.remove(old)

    def restore(self, epoch: int, like: Any) -> Any:
        """Read a checkpoint.

        Args:
            epoch: its number.
            like: a tree of what was saved, of which only the structure, shapes and dtypes are used.

        Returns:
            The tree, on JAX's default device.

        Raises:
            ValueError: if there is no such checkpoint, it is damaged, or what it holds is not like ``like``.
        """
        import orbax.checkpoint.experimental.v1 as ocp

        if epoch not in self.epochs():
            raise ValueError(f"there is no checkpoint of epoch {epoch} in {self.folder}, but of {self.epochs()}")
        damage = self._damage(epoch)
        if damage is not None:
            raise ValueError(f"checkpoint {self._place(epoch)} is damaged: {damage}")
        leaves = self._described(epoch)["leaves"]
        wanted = _named(like)
        for name in [*wanted, *leaves]:
            if name not in leaves or name not in wanted:
                raise ValueError(f"the checkpoint {'lacks' if name in wanted else 'also holds'} {name}")
            there, asked = leaves[name], _kind(wanted[name])
            if there[:2] != asked[:2]:
                kinds = " of shape ".join(asked[:2]), " of shape ".join(there[:2])
                raise ValueError(f"{name} must be {kinds[0]}, the checkpoint holds {kinds[1]}")
        found = ocp.load(str(self._place(epoch)))
        arrays = [_restored(found.get(name), wanted[name], leaves[name]) for name in wanted]
        return jax.tree.unflatten(jax.tree.structure(like), arrays)

    def remove(self, epoch: int) -> None:
        """Delete a checkpoint, or what is left of one."""
        place = self._place(epoch)
        place.with_suffix(_SUFFIX).unlink(missing_ok=True)  # first: what is left is not complete
        if place.exists():
            shutil.rmtree(place)

    def _clear(self) -> None:
        """Delete what killed runs left of checkpoints that they did not complete."""
        complete = self.epochs()
        for path in self.folder.iterdir():
            number = path.name.partition(".")[0]
            if number.isdecimal() and int(number) not in complete:
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    def _place(self, epoch: int) -> Path:
        return (self.folder / f"{epoch:06d}").absolute()

    def _described(self, epoch: int) -> dict[str, Any]:
        """What a checkpoint says of itself; empty if that cannot be read. Refuses other runs."""
        try:
            description = json.loads(self._place(epoch).with_suffix(_SUFFIX).read_text())
            there = dict(description["identity"])
            if description.keys() != {"identity", "leaves", "files"}:
                return {}
        except (ValueError, KeyError, TypeError):
            return {}
        for name, value in self.identity.items():
            found, wanted = json.dumps(there[name]) if name in there else "nothing", json.dumps(value)
            if found != wanted:
                raise ValueError(
                    f"checkpoint of another {name}: {self.folder} holds {name} = {found}, asked for {wanted}"
                )
        return description

    def _damage(self, epoch: int) -> str | None:
        description = self._described(epoch)
        if not description:
            return "its description cannot be read"
        found = _sums(self._place(epoch))
        for name, digest in description["files"].items():
            if name not in found:
                return f"{name} is missing"
            if found[name] != digest:
                return f"{name} was altered"
        return None


def _named(tree: Any) -> dict[str, Any]:
    """Leaves by the names of their places."""
    with_paths = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="/") or "value": leaf for path, leaf in with_paths}


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(getattr(leaf, "dtype", np.dtype(bool)), jax.dtypes.prng_key)


def _plain(leaf: Any) -> np.ndarray:
    return np.asarray(jax.random.key_data(leaf) if _is_key(leaf) else leaf)


def _kind(leaf: Any) -> list[str]:
    """Dtype and shape of a leaf, which may be an abstract one, and what kind of key an actual key is."""
    dtype = getattr(leaf, "dtype", None) or np.asarray(leaf).dtype
    key = str(jax.random.key_impl(leaf)) if isinstance(leaf, jax.Array) and _is_key(leaf) else ""
    return [str(dtype), str(np.shape(leaf)), key]


def _restored(array: np.ndarray | None, like: Any, kind: list[str]) -> Any:
    if array is None:
        return jnp.zeros(np.shape(like), like.dtype)  # empty
    return jax.random.wrap_key_data(jnp.asarray(array), impl=kind[2]) if _is_key(like) else jnp.asarray(array)


def _sums(place: Path) -> dict[str, str]:
    """SHA-256 of every file below a folder."""
    files = sorted(path for path in place.rglob("*") if path.is_file())
    return {path.relative_to(place).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def _write(path: Path, text: str) -> None:
    """Write a file that is there as a whole or not at all."""
    aside = path.with_suffix(".part")
    with open(aside, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(aside, path)
