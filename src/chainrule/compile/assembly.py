"""The parts of a file of code: imports, the functions that its lines call, formulas as comments."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from chainrule.compile.dialects import IN_NUMPY, Dialect
from chainrule.compile.program import Map, Program
from chainrule.expression.node import Expr

COMMENT_WIDTH = 110
IMPORTS = {  # what the code says, and the import that it asks for
    r"\bAny\b": "from typing import Any",
    r"\bpartial\(": "from functools import partial",
    r"\bjax\b": "import jax",
    r"\bjnp\b": "import jax.numpy as jnp",
    r"\bnp\b": "import numpy as np",
    r"\bmath\.": "import math",
    r"\bnjit\b": "from numba import njit",
    r"\btorch\b": "import torch",
    r"once_differentiable": "from torch.autograd.function import once_differentiable",
}

LIBRARIES = {"np", "jax", "jnp", "torch", "device", "partial"}  # names that code uses and no symbol may have

Helpers = Mapping[str, Callable[..., Any]]


def helpers(program: Program, dialect: Dialect) -> dict[str, Callable[..., Any]]:
    """Return the functions that the lines of the operations call."""
    found: dict[str, Callable[..., Any]] = {}
    for k, step in enumerate(program.instructions):
        if isinstance(step.action, Map):
            code = step.action.op.code
            line = code.line(IN_NUMPY.code if k in program.numbers else dialect.code, {})
            found |= {helper.__name__: helper for helper in code.helpers if helper.__name__ in line}
    return found


def formulas(exprs: Sequence[Expr]) -> str:
    """Return the expressions as comments: lines of printable characters, wrapped."""
    if not hasattr(Expr, "views"):
        return ""
    lines = ["".join(c for c in " ".join(str(e).split()) if c.isprintable()) for e in exprs]
    return "".join(f"# {part}\n" for line in lines for part in textwrap.wrap(line, COMMENT_WIDTH))


def assembled(blocks: Sequence[str], called: Helpers, decorator: str = "") -> str:
    """Return the text of a file: imports, the functions that are called (decorated), then the blocks."""
    parts = [*(decorator + textwrap.dedent(inspect.getsource(helper)) for helper in called.values()), *blocks]
    text = "\n\n\n".join(part.strip("\n") for part in parts) + "\n"
    code = re.sub(r"#.*", "", text)
    wanted = [line for pattern, line in IMPORTS.items() if re.search(pattern, code)]
    standard = [line for line in wanted if line.split()[1] in ("typing", "functools", "math")]
    libraries = [line for line in wanted if line not in standard]
    future = ["from __future__ import annotations"] if called else []
    head = "\n\n".join("\n".join(group) for group in (future, standard, libraries) if group)
    return f"{head}\n\n\n{text}"
