"""Text that this package generated -> a function. Kernels, which are modules, are run by `kernel_files.py`."""

from __future__ import annotations

import linecache
from collections.abc import Callable
from itertools import count
from typing import Any
from weakref import finalize

_numbers = count()


def run_text(text: str, name: str, scope: dict[str, Any]) -> Callable[..., Any]:
    """Compile text that this package generated, visible to tracebacks for as long as the function lives."""
    filename = f"<chainrule {name} {next(_numbers)}>"
    space = dict(scope)
    exec(compile(text, filename, "exec"), space)
    function: Callable[..., Any] = space[name]
    linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)
    finalize(function, linecache.cache.pop, filename, None)
    return function
