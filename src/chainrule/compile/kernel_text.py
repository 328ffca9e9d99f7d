"""The text of a kernel around its lines: the functions of numbers and arrays, and what is said to the compiler."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from importlib.resources import files
from types import ModuleType

from chainrule.compile.scalars import double, single

HEADER = '''"""Made by chainrule. It may be deleted: it is written again when it is needed."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

'''
# sums may be reordered and a product may be fused with a sum; NaN and Inf keep their meaning
KERNEL = 'njit(nogil=True, cache=True, error_model="numpy", fastmath={"reassoc", "contract"})'
SCALAR = 'njit(error_model="numpy", fastmath={"contract"}, forceinline=True)'


def kernel_text(kind: str, parts: Sequence[str], parameters: Sequence[str], lines: Sequence[str]) -> str:
    """Return the text of a kernel for arrays of this float type, with the functions of the files `parts`."""
    head = f"{HEADER}F = T = np.{kind}\nI = np.int32\n{_scalar_text(double if kind == 'float64' else single)}"
    body = "\n".join("    " + line for line in lines)
    definition = f"\n\n@{KERNEL}\ndef kernel({', '.join(parameters)}):\n{body}\n"
    return head + "".join(map(compiled_text, parts)) + definition


def _scalar_text(module: ModuleType) -> str:
    """Return the functions of numbers, each compiled without reordering, which their accuracy needs."""
    source = inspect.getsource(module)
    constants = re.findall(r"^[A-Z].*$", source, flags=re.MULTILINE)
    text = source[source.index("# --- functions") :]
    functions = re.sub(r"^def ", f"@{SCALAR}\ndef ", text, flags=re.MULTILINE)
    return "\n".join([*constants, "", "", functions])


def compiled_text(name: str) -> str:
    """Return functions on arrays that numba compiles; their file is read, not imported, because it imports numba."""
    source = files("chainrule.compile.scalars").joinpath(f"{name}.py").read_text(encoding="utf-8")
    return f"\n\n{source[source.index('# --- functions') :]}"
