"""Finding experiment files and loading one of them.

An experiment is one Python file (see the README). The catalog reads files with ``ast`` alone, so listing them imports
nothing and a broken file does not hide the others; `load` imports one and checks that it has what a run needs.
"""

import ast
import dataclasses
import difflib
import hashlib
import importlib.util
import sys
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

__all__ = ["Entry", "Experiment", "entries", "find", "folders", "load", "read"]

PRECISIONS = ("float32", "float64")
REQUIRED = ("get_config", "DIMS", "run", "sweep", "figure", "claims")


@dataclasses.dataclass(frozen=True)
class Entry:
    """What a file says about its experiment, without running it.

    Attributes:
        name: Short name, e.g. ``critical_periods/deficit_window``.
        path: The file.
        claim: First line of the docstring.
        docstring: All of it.
        paper: Key in ``references.bib``.
        precision: ``float32`` or ``float64``.
        cost: The docstring's line that starts with ``Cost:``, without that word.
        error: Why the file cannot be read, in one line; empty when it can.
    """

    name: str
    path: Path
    claim: str = ""
    docstring: str = ""
    paper: str = ""
    precision: str = "float32"
    cost: str = ""
    error: str = ""


@dataclasses.dataclass(frozen=True)
class Experiment:
    """A loaded experiment: its entry and its functions (see the README for what each does)."""

    entry: Entry
    module: types.ModuleType
    get_config: Callable[..., Any]
    dims: Mapping[str, tuple[str, ...]]
    run: Callable[..., Any]
    sweep: Callable[..., Any]
    figure: Callable[..., Any]
    claims: Callable[..., Any]
    check: Callable[..., Any] | None


def folders() -> list[Path]:
    """Folders searched for experiments: ``./experiments``, then the one beside an editable install."""
    beside = Path(__file__).resolve().parent.parent / "experiments"
    found = [p for p in (Path("experiments").resolve(), beside) if p.is_dir()]
    return list(dict.fromkeys(found))


def entries() -> list[Entry]:
    """All experiments found, sorted by name; of two with one name, the one in ``./experiments`` counts."""
    found: dict[str, Entry] = {}
    for folder in folders():
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            name = "/".join(parts)
            if name not in found and not any(part.startswith(("_", ".")) for part in parts):
                found[name] = read(path, name)
    return [found[name] for name in sorted(found)]


def read(path: Path, name: str) -> Entry:
    """Reads one file with ``ast``; what is wrong with it ends up in ``error``."""
    try:
        tree = ast.parse(path.read_bytes(), filename=str(path))
    except SyntaxError as problem:
        return Entry(name, path, error=f"line {problem.lineno}: {problem.msg}")
    except (OSError, ValueError) as problem:
        return Entry(name, path, error=_one_line(getattr(problem, "strerror", None) or problem))
    docstring = ast.get_docstring(tree) or ""
    lines = [line.strip() for line in docstring.splitlines()]
    cost = next((line[5:].strip() for line in lines if line.lower().startswith("cost:")), "")
    paper, precision = _constant(tree, "PAPER", ""), _constant(tree, "PRECISION", "float32")
    problem = "" if precision in PRECISIONS else f"PRECISION must be float32 or float64; got {precision!r}"
    if not docstring:
        problem = problem or "no docstring: its first line states the claim"
    return Entry(name, path, lines[0] if lines else "", docstring, paper, precision, cost, problem)


def find(name: str) -> Entry:
    """The experiment with a short name, or in a file.

    Args:
        name: As `entries` gives it, or the path of a Python file.

    Raises:
        ValueError: If there is no such experiment; names the nearest.
    """
    path = Path(name)
    if path.suffix == ".py" or path.is_file():
        if not path.is_file():
            raise ValueError(f"no such experiment file: {name}")
        resolved = path.resolve()
        for folder in folders():
            if resolved.is_relative_to(folder):
                return read(resolved, "/".join(resolved.relative_to(folder).with_suffix("").parts))
        return read(resolved, resolved.stem)
    for folder in folders():
        if name and (folder / f"{name}.py").is_file() and ".." not in path.parts:
            return read(folder / f"{name}.py", path.as_posix())
    known = [entry.name for entry in entries()]
    if not known:
        raise ValueError(f"no experiment {name!r}: there is no folder ./experiments here; give the path of a file")
    tails = {n.rsplit("/", 1)[-1]: n for n in known}
    near = difflib.get_close_matches(name, [*known, *tails], n=1, cutoff=0.5)
    if not near:
        raise ValueError(f"no experiment {name!r}; there are: {', '.join(known)}")
    raise ValueError(f"no experiment {name!r}; did you mean {tails.get(near[0], near[0])!r}?")


def load(name: str | Entry) -> Experiment:
    """Imports an experiment under a module name of its own and checks that it is complete.

    Raises:
        ValueError: If it is unknown, cannot be read, or lacks something, in one line.
    """
    entry = name if isinstance(name, Entry) else find(name)
    if entry.error:
        raise ValueError(f"{entry.path}: {entry.error}")
    module_name = f"brainjax_experiment_{entry.path.stem}_{hashlib.sha256(str(entry.path).encode()).hexdigest()[:12]}"
    spec = importlib.util.spec_from_file_location(module_name, entry.path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except ModuleNotFoundError as problem:
        del sys.modules[module_name]
        raise ValueError(f"{entry.path}: it needs the package {problem.name!r}, which is not installed") from None
    except BaseException:
        del sys.modules[module_name]
        raise
    problem = _incomplete(module)
    if problem:
        raise ValueError(f"{entry.path}: {problem}")
    members = {key.lower(): getattr(module, key) for key in REQUIRED}
    members["dims"] = {k: tuple(v) for k, v in members["dims"].items()}
    return Experiment(entry, module, check=getattr(module, "check", None), **members)


def _constant(tree: ast.Module, name: str, default: str) -> str:
    """The literal that a module assigns to a name at its top level."""
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        value = getattr(node, "value", None)
        if any(isinstance(t, ast.Name) and t.id == name for t in targets) and value is not None:
            try:
                return str(ast.literal_eval(value))
            except ValueError:
                return ast.unparse(value)
    return default


def _incomplete(module: types.ModuleType) -> str:
    """What an imported experiment lacks, in one line; empty when it is complete."""
    missing = [key for key in REQUIRED if not hasattr(module, key)]
    if missing:
        return f"it must define {', '.join(missing)}"
    for key in (*REQUIRED, "check"):
        member = getattr(module, key, None)
        if key != "DIMS" and member is not None and not callable(member):
            return f"{key} must be a function; got {type(member).__name__}"
    dims = module.DIMS
    if not isinstance(dims, Mapping) or not dims:
        return f"DIMS must be a dictionary from outputs to names of axes; got {dims!r}"
    for key, axes in dims.items():
        if isinstance(axes, str) or not all(isinstance(axis, str) for axis in axes):
            remedy = f"write ({axes!r},)" if isinstance(axes, str) else "each axis needs a name"
            return f"DIMS[{key!r}] must be a tuple of names of axes; {remedy}"
    return ""


def _one_line(text: object) -> str:
    return " ".join(str(text).split())
