"""From the words of a command line to a config and the axes of each part of a sweep."""

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from absl import flags
from ml_collections import ConfigDict, config_flags

from brainjax.catalog import Experiment
from brainjax.commands import Options, UsageError
from brainjax.sweep.axes import SEED, Axes, config_fields, config_value, unknown_field

_KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text", tuple: "a tuple, e.g. (1, 2)"}
_BOOLS = {"true": True, "1": True, "false": False, "0": False}


def resolve(
    experiment: Experiment, options: Options, note: Callable[[str], None]
) -> tuple[ConfigDict, dict[str, Axes]]:
    """The config, and the axes of each part of the sweep (one part without a name unless the experiment names them).

    Args:
        experiment: The loaded experiment.
        options: The command line.
        note: Told in one line each what the command line pins.

    Raises:
        UsageError: For an unknown field or an ill-typed value.
        ValueError: If the experiment's own functions return something else than they must.
    """
    config = experiment.get_config(options.variant)
    if not isinstance(config, ConfigDict):
        raise ValueError(f"{experiment.entry.path}: get_config must return a ConfigDict; got {type(config).__name__}")
    if any(field == SEED for field, _ in options.sweep):
        raise UsageError("--sweep.seed: seeds are an axis of their own; write --seeds=N")
    both = {field for field, _ in options.config} & {field for field, _ in options.sweep}
    if both:
        raise UsageError(f"{sorted(both)[0]}: given with --config and with --sweep; choose one")
    _override(config, options.config)
    swept = {field: _values(config, field, text) for field, text in options.sweep}
    parts = _parts(experiment, config)
    for field in dict.fromkeys(field for field, _ in options.config if field != SEED):
        having = [name for name, axes in parts.items() if field in axes.fields]
        if having:
            where = f" in {', '.join(having)}" if having != [""] else ""
            note(f"{field} is swept by default{where}: --config pins it to {config_value(config, field)}")
        parts.update({name: parts[name].without(field) for name in having})
    for field, values in swept.items():
        for name in _parts_with(parts, field):
            parts[name] = parts[name].with_values(field, values, config)
    if options.seeds is not None:
        for name in _parts_with(parts, SEED):
            parts[name] = parts[name].with_seeds(options.seeds)
    return config, parts


def _parts(experiment: Experiment, config: ConfigDict) -> dict[str, Axes]:
    axes = experiment.sweep(config)
    parts = dict(axes) if isinstance(axes, Mapping) else {"": axes}
    wrong = [type(part).__name__ for part in parts.values() if not isinstance(part, Axes)]
    if wrong or not parts:
        got = wrong[0] if wrong else "nothing"
        raise ValueError(f"{experiment.entry.path}: sweep must return Axes, or a dict of them; got {got}")
    for name in parts:
        if isinstance(axes, Mapping) and not re.fullmatch(r"\w[\w-]*", str(name)):
            raise ValueError(f"{experiment.entry.path}: sweep names a part {name!r}; use letters, digits, _ and -")
    return parts


def _parts_with(parts: Mapping[str, Axes], field: str) -> list[str]:
    """The parts in which a field varies; all of them when it varies in none."""
    return [name for name, axes in parts.items() if field in axes.fields] or list(parts)


def _override(config: ConfigDict, words: tuple[tuple[str, str], ...]) -> None:
    """Sets fields of the config from text, with the types that the config holds."""
    for field, text in words:
        default = _leaf(config, field, "config")
        if not isinstance(default, tuple(_KINDS)):
            kind = type(default).__name__
            raise UsageError(f"--config.{field}: a field of type {kind} cannot be set from the command line")
        values = flags.FlagValues()
        argv = ["brainjax", f"--config.{field}={text}"]
        try:
            config_flags.DEFINE_config_dict("config", config, flag_values=values, lock_config=True, sys_argv=argv)
            values(argv)
        except (flags.Error, TypeError, ValueError):
            raise UsageError(f"--config.{field}={text}: needs {_kind(default)}; by default {default!r}") from None


def _values(config: ConfigDict, field: str, text: str) -> list[Any]:
    """The values of ``--sweep.FIELD=a,b,c`` or ``start:stop:n``."""
    default = _leaf(config, field, "sweep")
    wrong = UsageError(f"--sweep.{field}={text}: needs {_kind(default)} each, as A,B,C or START:STOP:N")
    if isinstance(default, int | float) and not isinstance(default, bool) and ":" in text:
        ends = text.split(":")
        if len(ends) != 3 or not ends[2].isdecimal() or int(ends[2]) < 1:
            raise wrong
        start, stop = (_value(float(0), end, wrong) for end in ends[:2])
        n = int(ends[2])
        if n == 1 and start != stop:
            raise UsageError(f"--sweep.{field}={text}: one value cannot reach from {ends[0]} to {ends[1]}")
        spaced = [start + (stop - start) * i / max(n - 1, 1) for i in range(n - 1)] + [stop]
        if isinstance(default, float):
            return spaced
        if any(value != round(value) for value in spaced):
            raise UsageError(f"--sweep.{field}={text}: {field} is a whole number, but these steps are not")
        return [round(value) for value in spaced]
    return [_value(default, word, wrong) for word in text.split(",")]


def _value(default: Any, text: str, wrong: UsageError) -> Any:
    text = text.strip()
    try:
        if isinstance(default, bool):
            return _BOOLS[text.lower()]
        if isinstance(default, str) and text:
            return text
        if isinstance(default, int):
            return int(text)
        if isinstance(default, float) and math.isfinite(value := float(text)):
            return value
    except (KeyError, ValueError):
        pass
    raise wrong


def _leaf(config: ConfigDict, field: str, group: str) -> Any:
    """The value of a field that the command line names."""
    try:
        value = config_value(config, field)
    except ValueError:
        raise UsageError(f"--{group}.{field}: {unknown_field(config, field)}") from None
    if isinstance(value, ConfigDict):
        inner = ", ".join(f"{field}.{name}" for name in config_fields(value))
        raise UsageError(f"--{group}.{field}: a group of fields; choose one of {inner}")
    return value


def _kind(default: Any) -> str:
    return next((words for kind, words in _KINDS.items() if isinstance(default, kind)), type(default).__name__)
