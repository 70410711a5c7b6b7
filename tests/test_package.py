"""The package as a stranger meets it: a lazy import, a README that runs, one version, and no junk drawers."""

import re
import tomllib
from pathlib import Path

import pytest

import brainjax
from tests import as_user

ROOT = Path(__file__).parents[1]


def test_import_is_lazy(tmp_path):
    out = as_user.run(
        """
        import sys
        import brainjax
        heavy = {"jax", "numpy", "xarray", "matplotlib"} & set(sys.modules)
        assert not heavy, heavy
        assert brainjax.linear.critical_period_curve is not None
        assert "jax" in sys.modules
        assert not {"matplotlib", "xarray", "diffrax"} & set(sys.modules), sorted(sys.modules)
        print("lazy")
        """,
        cwd=tmp_path,
    )
    assert out.strip() == "lazy"
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        brainjax.nothing  # noqa: B018


def test_every_python_block_of_the_readme_runs(tmp_path):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert len(blocks) >= 2
    # one process, since starting one takes seconds, but a namespace for each: no block may need another
    code = "\n".join(f"exec(compile({block!r}, 'README', 'exec'), {{'__name__': '__main__'}})" for block in blocks)
    as_user.run(code, cwd=tmp_path, timeout=200)


def test_one_version_everywhere():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    cited = re.search(r"^version: (.+)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)
    assert project == brainjax.__version__ == cited.group(1)


def test_citation_keys_exist():
    bibliography = (ROOT / "references.bib").read_text()
    used = {key for path in (ROOT / "brainjax").rglob("*.py") for key in re.findall(r":cite:`(\w+)`", path.read_text())}
    assert used
    missing = {key for key in used if f"{{{key}," not in bibliography}
    assert not missing, missing


def test_there_are_no_junk_drawers():
    names = {path.stem for path in (ROOT / "brainjax").rglob("*.py")}
    assert not names & {"util", "utils", "helper", "helpers", "common", "misc"}
