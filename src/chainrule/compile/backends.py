"""The array libraries that programs run in. None but NumPy is imported before it is asked for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, reduce
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np

from chainrule.compile.arguments import as_arguments, as_number, as_numbers, as_size, check_shapes, not_real
from chainrule.compile.dialects import IN_JAX, IN_NUMPY, IN_TORCH, Dialect
from chainrule.compile.groups import fused
from chainrule.compile.large import Blocks, gram
from chainrule.compile.program import Program
from chainrule.compile.recipes import shared
from chainrule.errors import DomainError
from chainrule.expression.node import Symbol

Run = Callable[..., Any]


class Backend(ABC):
    """One array library: how its code is written, and what goes in and out of a compiled function."""

    name: str
    dialect: Dialect
    install: str
    enters_plain = False  # arguments that are right as they are skip every conversion

    @cached_property
    def module(self) -> Any:
        """The library. Raises: DomainError with the line that installs it."""
        package = self.dialect.module.partition(".")[0]
        try:
            import_module(package)
        except ModuleNotFoundError as error:
            if error.name != package:
                raise
            raise DomainError(f"{self.name} is not installed", expected=self.install) from None
        return import_module(self.dialect.module)

    def scope(self) -> dict[str, Any]:
        """Return the global names of the generated code. Imports the library."""
        return {"np": np, self.dialect.alias: self.module}

    @abstractmethod
    def arguments(self, program: Program, values: Sequence[Any]) -> tuple[Any, ...]:
        """Return the values as arrays that fit, then the given sizes. Raises: ShapeError, DomainError."""

    def planned(self, program: Program) -> Program:
        """Return the program as this library runs it best."""
        return program

    def prepared(self, run: Run, program: Program) -> Run:
        """Return the function that is called, made of the one that was written."""
        return run

    @property
    def failures(self) -> tuple[type[Exception], ...]:
        """What the library raises where a result does not exist."""
        return (np.linalg.LinAlgError, IndexError)


class NumPy(Backend):
    """NumPy: arrays as they are, numbers as NumPy scalars."""

    name, dialect, install = "numpy", IN_NUMPY, "pip install numpy"
    enters_plain = True

    def scope(self) -> dict[str, Any]:
        """Return the global names, those of the kernels among them."""
        return {**super().scope(), "in_blocks": Blocks(), "gram": gram}

    def planned(self, program: Program) -> Program:
        """Return the program with recipes that share their parts, and its entry-by-entry groups as one step each."""
        return fused(shared(program))

    def arguments(self, program: Program, values: Sequence[Any]) -> tuple[Any, ...]:
        """Return arrays and NumPy scalars of one type."""
        return as_arguments(program, values)


class Numba(NumPy):
    """Compiled loops: over rows, which read the data once, or of little data; all else runs in NumPy."""

    name, install = "numba", 'pip install "chainrule[fast]"'

    def scope(self) -> dict[str, Any]:
        """Return the global names. LLVM, which numba brings, is loaded by the first call. Raises: DomainError."""
        if find_spec("numba") is None:
            raise DomainError("numba is not installed", expected=self.install)
        from chainrule.compile.fused import kernels_for_numpy

        return {**super().scope(), **kernels_for_numpy()}

    def prepared(self, run: Run, program: Program) -> Run:
        """Return the fused function; the plain one serves what it does not take."""
        from chainrule.compile.fused import Fused

        return Fused(run, program)


class Jax(Backend):
    """JAX: the function is jitted, and traceable inside the caller's own jit, vmap and grad.

    Without `jax_enable_x64` JAX keeps no float64, and neither does the function.
    """

    name, dialect, install = "jax", IN_JAX, "pip install jax"

    def scope(self) -> dict[str, Any]:
        """Return the global names, `jax` among them."""
        return {**super().scope(), "jax": import_module("jax")}

    def arguments(self, program: Program, values: Sequence[Any]) -> tuple[Any, ...]:
        """Return JAX arrays of one type; numbers take the type of the arrays."""
        jnp, count = self.module, len(program.arguments)
        pairs = list(zip(program.arguments, values[:count], strict=True))
        arrays: list[Any] = [as_number(s, value) if _is_number(value) else self._array(s, value) for s, value in pairs]
        check_shapes(program.arguments, [np.shape(array) for array in arrays])
        positions = program.positions
        typed = [array for k, array in enumerate(arrays) if k not in positions and not _is_number(array)]
        common = jnp.result_type(*typed) if typed else jnp.result_type(float)
        settled = [
            jnp.asarray(values[k]) if k in positions else jnp.asarray(array, common) for k, array in enumerate(arrays)
        ]
        return (*settled, *_sizes(program, values))

    def _array(self, symbol: Symbol, value: Any) -> Any:
        jnp = self.module
        if not isinstance(value, import_module("jax").Array):
            value = as_numbers(symbol, value)
        if jnp.issubdtype(value.dtype, jnp.floating):
            return jnp.asarray(value)
        if jnp.issubdtype(value.dtype, jnp.complexfloating):
            raise not_real(symbol, value.dtype)
        return jnp.asarray(value, float)

    def prepared(self, run: Run, program: Program) -> Run:
        """Jit the function; sizes are known when it is traced."""
        count = len(program.arguments)
        jitted: Run = import_module("jax").jit(run, static_argnums=tuple(range(count, count + len(program.given))))
        return jitted


class Torch(Backend):
    """PyTorch: tensors keep their type, their device and their place in autograd's graph."""

    name, dialect, install = "torch", IN_TORCH, "pip install torch"

    def arguments(self, program: Program, values: Sequence[Any]) -> tuple[Any, ...]:
        """Return tensors of one type; what is no tensor goes where the first tensor is."""
        torch, count = self.module, len(program.arguments)
        pairs = list(zip(program.arguments, values[:count], strict=True))
        arrays: list[Any] = [as_number(s, value) if _is_number(value) else self._tensor(s, value) for s, value in pairs]
        check_shapes(program.arguments, [tuple(np.shape(array)) for array in arrays])
        positions = program.positions
        tensors = [array for k, array in enumerate(arrays) if k not in positions and not _is_number(array)]
        # as in torch, a tensor without axes does not decide the type if there are others
        leading = [t for t in tensors if t.ndim] or tensors
        common = reduce(torch.promote_types, (t.dtype for t in leading)) if leading else torch.get_default_dtype()
        places = [value.device for value in values[:count] if isinstance(value, torch.Tensor)]
        device = places[0] if places else None
        settled = [
            torch.as_tensor(value, device=device)
            if k in positions
            else array.to(common)
            if isinstance(value, torch.Tensor)
            else torch.as_tensor(array, dtype=common, device=device)
            for k, (array, value) in enumerate(zip(arrays, values[:count], strict=True))
        ]
        return (*settled, *_sizes(program, values))

    def _tensor(self, symbol: Symbol, value: Any) -> Any:
        torch = self.module
        if not isinstance(value, torch.Tensor):
            value = torch.as_tensor(as_numbers(symbol, value))
        if value.is_complex():
            raise not_real(symbol, value.dtype)
        return value if value.is_floating_point() else value.to(torch.get_default_dtype())

    @property
    def failures(self) -> tuple[type[Exception], ...]:
        """What torch raises where a result does not exist."""
        return (self.module.linalg.LinAlgError, IndexError)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, np.generic)


def _sizes(program: Program, values: Sequence[Any]) -> tuple[int, ...]:
    rest = values[len(program.arguments) :]
    return tuple(as_size(name, value) for name, value in zip(program.given, rest, strict=True))


BACKENDS: Mapping[str, Backend] = {backend.name: backend for backend in (NumPy(), Numba(), Jax(), Torch())}


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
