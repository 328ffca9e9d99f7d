"""The array libraries that code is written for. None but NumPy is imported before it is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from chainrule.errors import DomainError


@dataclass(frozen=True, slots=True)
class Backend:
    """One array library: its name, the module whose functions are called, and what the code calls that module."""

    name: str
    module: str
    alias: str

    @property
    def import_line(self) -> str:
        """The first line of stand-alone code."""
        return f"import {self.module} as {self.alias}"

    def scope(self) -> dict[str, Any]:
        """Return the global names of the generated code. Imports the library."""
        return {self.alias: import_module(self.module)}


BACKENDS: Mapping[str, Backend] = {backend.name: backend for backend in (Backend("numpy", "numpy", "np"),)}


def backend_named(name: str) -> Backend:
    """Return the backend. Raises: DomainError naming the ones there are."""
    found = BACKENDS.get(name)
    if found is None:
        raise DomainError(
            f"there is no backend {name!r}",
            expected=" or ".join(BACKENDS),
            hint='compile(..., backend="numpy") needs nothing but NumPy',
        )
    return found
