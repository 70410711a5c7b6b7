"""Finding experiment files without importing them, and loading one."""

import subprocess
import sys

import pytest

from brainjax import catalog

WHOLE = '''
"""A claim in one line.

More about it.
Cost: two seconds.
"""
PAPER = "someone2020"
PRECISION: str = "float64"
DIMS = {"x": ("step",), "y": ()}
def get_config(variant=""): ...
def run(key, config): ...
def sweep(config): ...
def figure(results): ...
def claims(results): ...
'''.lstrip()


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A working folder with three experiments: a whole one, a broken one, and one that must not be imported."""
    monkeypatch.chdir(tmp_path)
    subject = tmp_path / "experiments" / "subject"
    subject.mkdir(parents=True)
    (subject / "whole.py").write_text(WHOLE)
    (subject / "broken.py").write_text('"""Broken."""\ndef run(:\n')
    (subject / "explodes.py").write_text('"""Explodes when imported."""\nraise SystemExit("imported")\n')
    (subject / "_private.py").write_text("raise SystemExit('imported')\n")
    return tmp_path


def test_entries_are_read_without_importing_and_a_broken_file_does_not_hide_others(here):
    found = {entry.name: entry for entry in catalog.entries()}
    assert {"subject/whole", "subject/broken", "subject/explodes"} <= set(found)
    assert not any("_private" in name for name in found)
    whole = found["subject/whole"]
    assert (whole.claim, whole.paper, whole.precision, whole.cost, whole.error) == (
        "A claim in one line.",
        "someone2020",
        "float64",
        "two seconds.",
        "",
    )
    assert found["subject/broken"].error.startswith("line 2: ")
    assert found["subject/explodes"].claim == "Explodes when imported."


def test_the_experiments_beside_an_editable_install_are_found_too_and_local_ones_win(here):
    beside = [folder for folder in catalog.folders() if folder != here / "experiments"]
    assert len(beside) == 1
    known = sorted(beside[0].rglob("[a-z]*.py"))
    if known:
        name = known[0].relative_to(beside[0]).with_suffix("").as_posix()
        assert catalog.find(name).path == known[0]
        own = here / "experiments" / f"{name}.py"
        own.parent.mkdir(exist_ok=True)
        own.write_text(WHOLE)
        assert catalog.find(name).path == own
        assert next(e for e in catalog.entries() if e.name == name).path == own


def test_find_by_name_and_by_path(here):
    by_name = catalog.find("subject/whole")
    assert catalog.find("experiments/subject/whole.py") == by_name
    elsewhere = here / "other.py"
    elsewhere.write_text(WHOLE)
    assert catalog.find(str(elsewhere)).name == "other"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("subject/whol", "did you mean 'subject/whole'"),
        ("whole", "did you mean 'subject/whole'"),
        ("zzzzzz", "there are: "),
        ("nowhere/file.py", "no such experiment file"),
        ("../experiments/subject/whole", "no experiment"),
        ("", "no experiment"),
    ],
)
def test_unknown_names_are_one_line_with_the_nearest(here, name, says):
    with pytest.raises(ValueError, match=says) as caught:
        catalog.find(name)
    assert "\n" not in str(caught.value)


def test_load_gives_each_file_a_module_of_its_own(here):
    first = catalog.load("subject/whole")
    (here / "whole.py").write_text(WHOLE.replace('"step"', '"time"'))
    second = catalog.load(str(here / "whole.py"))
    assert first.module.__name__ != second.module.__name__
    assert sys.modules[first.module.__name__] is first.module
    assert first.dims == {"x": ("step",), "y": ()}
    assert second.dims["x"] == ("time",)
    assert first.check is None


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("def sweep(config): ...\n", "", "must define sweep"),
        ("def run(key, config): ...", "run = 3", "run must be a function"),
        ('("step",)', '("step")', "write ('step',)"),
        ('("step",)', "(1,)", "needs a name"),
        ('{"x": ("step",), "y": ()}', "{}", "DIMS must be a dictionary"),
        ("def get_config", "import no_such_package_anywhere\ndef get_config", "'no_such_package_anywhere'"),
        ('"float64"', '"float16"', "PRECISION must be"),
        ("def get_config", "def get_config(:", "line 9: "),
        ('"""A claim in one line.', 'x = """', "no docstring"),
        ("def get_config", "check = 1\ndef get_config", "check must be a function"),
    ],
)
def test_an_incomplete_experiment_is_one_line_with_the_file(here, old, new, says):
    path = here / "changed.py"
    path.write_text(WHOLE.replace(old, new))
    with pytest.raises(ValueError) as caught:
        catalog.load(str(path))
    assert says in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_bug_in_a_file_keeps_its_traceback(here):
    path = here / "bug.py"
    path.write_text(WHOLE + "1 / 0\n")
    with pytest.raises(ZeroDivisionError):
        catalog.load(str(path))
    assert not any("bug" in name for name in sys.modules if name.startswith("brainjax_experiment"))


def test_reading_is_light(here):
    heavy = ("jax", "xarray", "numpy", "matplotlib")
    code = (
        f"import sys; from brainjax import catalog; catalog.entries(); print([m for m in {heavy} if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], cwd=here, capture_output=True, text=True, check=True, timeout=60)
    assert out.stdout.strip() == "[]"
