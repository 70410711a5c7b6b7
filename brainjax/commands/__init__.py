"""The work behind ``brainjax plan`` and ``brainjax run``; its modules are imported when a command runs.

This file stays light: it is what the command line and the commands say to each other.
"""

import dataclasses


class UsageError(ValueError):
    """The command was written wrongly: one line, exit status 2."""


@dataclasses.dataclass(frozen=True)
class Options:
    """A parsed command line.

    Attributes:
        command: ``list``, ``plan``, ``run``, ``report`` or ``download``.
        target: The experiment, the folder of runs or the data set; empty when not given.
        config: ``(field, text)`` of each ``--config.FIELD=text``.
        sweep: ``(field, text)`` of each ``--sweep.FIELD=text``.
        variant: Of the experiment's config.
        seeds: Number of seeds instead of the experiment's own.
        out: Where results go.
        shard: ``(i, n)``: this process executes the i-th of n shares.
        strict: Whether a failed claim is an error.
        precision: ``float32``, ``float64`` or empty for the experiment's own.
        workers: Threads or processes; None for one per core.
        width: Runs per chunk, or ``auto``.
        folder: Where a data set is kept.
    """

    command: str
    target: str = ""
    config: tuple[tuple[str, str], ...] = ()
    sweep: tuple[tuple[str, str], ...] = ()
    variant: str = ""
    seeds: int | None = None
    out: str = ""
    shard: tuple[int, int] = (0, 1)
    strict: bool = False
    precision: str = ""
    workers: int | None = None
    width: int | str = "auto"
    folder: str = ""
