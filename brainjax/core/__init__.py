"""What several topics share: kinds of arrays, input checks, roots, integrals, gradient flows, recording scans."""

from brainjax.core.products import chain as chain
from brainjax.core.products import matmul as matmul
from brainjax.core.quadrature import integral as integral
from brainjax.core.roots import monotone_root as monotone_root
from brainjax.core.types import Array as Array
from brainjax.core.types import ArrayLike as ArrayLike
from brainjax.core.types import PRNGKey as PRNGKey
from brainjax.core.types import Scalar as Scalar
