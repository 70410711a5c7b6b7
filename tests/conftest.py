"""JAX in its strictest mode, for every test in this process.

Eight CPU devices test sharding on any machine, but they hide a deadlock of XLA on few cores: what tests the engine,
the command line or LAPACK as users will run it goes through a subprocess (see ``tests/as_user.py``).

Compiling is most of what the tests do. The programs of this process are kept in the user's cache folder, as the command
line keeps its own, so that the workers of one run share them and the next run is faster.
"""

import os

os.environ.setdefault("MPLBACKEND", "Agg")

import jax

from brainjax.commands.backend import keep_programs

jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")
keep_programs(print)
