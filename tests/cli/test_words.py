"""What is written wrongly is one line with the nearest name and status 2; help and list import nothing heavy."""

import subprocess
import sys

import pytest
from ml_collections import ConfigDict

from brainjax import catalog, cli
from brainjax.commands import Options, UsageError
from brainjax.commands.settings import resolve
from brainjax.sweep import product, seeds, static, traced, zipped
from tests.cli import toy

HEAVY = ("jax", "xarray", "matplotlib", "numpy", "scipy", "ml_collections")


@pytest.mark.parametrize(
    "words", [["--help"], ["run", "--help"], ["list", "-h"], [], ["help"], ["list"], ["--version"]]
)
def test_help_and_list_import_nothing_heavy(words, tmp_path):
    toy.write(tmp_path)
    code = (
        "import sys; from brainjax.cli import main; status = main(sys.argv[1:]);"
        f"print('loaded', [m for m in {HEAVY} if m in sys.modules]); sys.exit(status)"
    )
    out = subprocess.run(
        [sys.executable, "-c", code, *words], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60
    ).stdout
    assert out.rstrip().endswith("loaded []")
    assert ("demo/decay" in out and "someone2020" in out) if words == ["list"] else "brainjax" in out


def test_help_names_every_command_and_flag(capsys):
    assert cli.main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(name in text for name in cli.COMMANDS)
    assert all(how in text for _, how, _ in cli.FLAGS.values())
    assert max(map(len, text.splitlines())) <= 110
    assert cli.main(["report", "--help"]) == 0
    text = capsys.readouterr().out
    assert "--out" in text
    assert "--seeds" not in text


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["rnu"], "did you mean 'run'?"),
        (["xyz"], "commands: list, plan, run, report"),
        (["run"], "run needs an experiment"),
        (["run", "demo/decay", "more", "words"], "leftover words: more words"),
        (["list", "demo"], "leftover words: demo"),
        (["run", "demo/decay", "--sed=3"], "did you mean '--seeds'?"),
        (["plan", "demo/decay", "--strict"], "unknown flag '--strict' of plan"),
        (["run", "demo/decay", "--seeds=many"], "--seeds=many"),
        (["run", "demo/decay", "--seeds=0"], "--seeds=0"),
        (["run", "demo/decay", "--seeds", "3"], "write --seeds=N"),
        (["run", "demo/decay", "--config.rate", "3"], "write --config.FIELD=VALUE"),
        (["run", "demo/decay", "--config=3"], "unknown flag '--config=3'"),
        (["run", "demo/decay", "--shard=2/2"], "0 <= I < N"),
        (["run", "demo/decay", "--shard=1"], "0 <= I < N"),
        (["run", "demo/decay", "--precision=half"], "float32"),
        (["run", "demo/decay", "--width=3"], "at least 4"),
        (["run", "demo/decay", "--workers=none"], "at least 1"),
        (["run", "demo/dekay"], "did you mean 'demo/decay'?"),
        (["run", "nowhere.py"], "no such experiment file"),
    ],
)
def test_usage_errors_are_one_line_and_status_2(words, says, tmp_path, monkeypatch, capsys):
    toy.write(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert cli.main(words) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert says in captured.err


def test_flags_arrive():
    words = "run x --seeds=5 --out=a=b --strict --shard=1/3 --variant=quick --workers=2 --width=8 --precision=float64"
    options = cli.parse([*words.split(), "--config.a.b=1,2", "--config.c=x=y", "--sweep.d=0:1:3"])
    assert options == Options(
        command="run",
        target="x",
        config=(("a.b", "1,2"), ("c", "x=y")),
        sweep=(("d", "0:1:3"),),
        variant="quick",
        seeds=5,
        out="a=b",
        shard=(1, 3),
        strict=True,
        precision="float64",
        workers=2,
        width=8,
    )


def experiment(axes=None):
    """An experiment whose config and axes are given here."""

    def get_config(variant=""):
        values = {"seed": 0, "rate": 1.0, "depth": 2, "name": "a", "flag": False, "none": None, "shape": (1, 2)}
        return ConfigDict({**values, "inner": {"sd": 0.5}}).lock()

    parts = axes or product(traced(rate=[1.0, 2.0]), seeds(4))
    entry = catalog.Entry("toy", path=__import__("pathlib").Path("toy.py"))
    return catalog.Experiment(
        entry, sys, get_config, {"y": ()}, lambda key, config: {}, lambda config: parts, print, print, None
    )


def resolved(*words, axes=None):
    notes: list[str] = []
    config, parts = resolve(experiment(axes), cli.parse(["run", "x", *words]), notes.append)
    return config, parts, notes


def values_of(axes, field):
    return next(f.values for axis in axes for f in axis.fields if f.name == field)


def test_config_values_take_the_type_that_the_config_holds():
    words = ["rate=3", "depth=5", "name=7", "flag=true", "shape=(3,4)", "inner.sd=1e-3"]
    config, _, _ = resolved(*[f"--config.{word}" for word in words])
    assert (config.depth, config.name, config.flag, config.shape, config.inner.sd) == (5, "7", True, (3, 4), 1e-3)
    assert isinstance(config.rate, float)


def test_pinning_a_swept_field_says_so_and_other_fields_do_not():
    config, parts, notes = resolved("--config.rate=3", "--config.depth=4")
    assert parts[""].fields == ("seed",)
    assert notes == ["rate is swept by default: --config pins it to 3.0"]
    assert config.rate == 3.0
    _, parts, notes = resolved("--config.seed=7")  # the base of all keys, not the axis of seeds
    assert parts[""].fields == ("rate", "seed")
    assert notes == []


@pytest.mark.parametrize(
    ("word", "field", "values"),
    [
        ("rate=1,2.5,4", "rate", (1.0, 2.5, 4.0)),
        ("rate=0:1:5", "rate", (0.0, 0.25, 0.5, 0.75, 1.0)),
        ("rate=1:0:3", "rate", (1.0, 0.5, 0.0)),
        ("rate=3:3:1", "rate", (3.0,)),
        ("inner.sd=0.1", "inner.sd", (0.1,)),
        ("depth=2:8:4", "depth", (2, 4, 6, 8)),
        ("name=a, b", "name", ("a", "b")),
        ("flag=true,false", "flag", (True, False)),
    ],
)
def test_sweep_values(word, field, values):
    _, parts, _ = resolved(f"--sweep.{word}")
    found = values_of(parts[""], field)
    assert found == values
    assert [type(v) for v in found] == [type(v) for v in values]


def test_the_ends_of_a_range_are_exact():
    _, parts, _ = resolved("--sweep.rate=0.1:0.7:7")
    found = values_of(parts[""], "rate")
    assert (found[0], found[-1], len(found)) == (0.1, 0.7, 7)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--config.rat=3"], "did you mean 'rate'?"),
        (["--sweep.inner.ds=3"], "did you mean 'inner.sd'?"),
        (["--config.depth=4.5"], "needs a whole number; by default 2"),
        (["--config.rate=fast"], "needs a number; by default 1.0"),
        (["--config.flag=maybe"], "needs true or false"),
        (["--config.none=3"], "cannot be set from the command line"),
        (["--config.inner=3"], "choose one of inner.sd"),
        (["--sweep.rate=1,x"], "needs a number each"),
        (["--sweep.rate=1,nan"], "needs a number each"),
        (["--sweep.rate=1:2"], "START:STOP:N"),
        (["--sweep.rate=1:2:0"], "START:STOP:N"),
        (["--sweep.rate=1:2:1"], "one value cannot reach"),
        (["--sweep.depth=2:5:3"], "whole number, but these steps are not"),
        (["--sweep.name="], "needs text each"),
        (["--sweep.seed=1,2"], "--seeds=N"),
        (["--sweep.rate=1,2", "--config.rate=3"], "choose one"),
    ],
)
def test_bad_fields_and_values_are_one_line(words, says):
    with pytest.raises(UsageError) as caught:
        resolved(*words)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_parts_get_what_concerns_them():
    axes = {"a": product(traced(rate=[1.0]), seeds(2)), "b": product(static(depth=[2, 3]), seeds(3))}
    _, parts, notes = resolved("--config.rate=2", "--sweep.depth=4,5", "--sweep.name=x,y", "--seeds=6", axes=axes)
    assert notes == ["rate is swept by default in a: --config pins it to 2.0"]
    assert set(parts["a"].fields) == {"name", "seed"}
    assert set(parts["b"].fields) == {"depth", "name", "seed"}
    assert values_of(parts["b"], "depth") == (4, 5)
    assert all(values_of(part, "seed") == tuple(range(6)) for part in parts.values())


def test_a_zipped_field_keeps_its_partner():
    axes = product(zipped("pair", traced(rate=[1.0, 2.0]), static(depth=[2, 3])), seeds(2))
    _, parts, _ = resolved("--config.rate=5", axes=axes)
    assert parts[""].fields == ("depth", "seed")


@pytest.mark.parametrize("axes", [3, {"a": 3}, {"a/b": seeds(2)}])
def test_what_sweep_returns_is_checked(axes):
    with pytest.raises(ValueError, match="sweep"):
        resolved(axes=axes)
