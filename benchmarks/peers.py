"""Symbolic peers on the expressions they can do: SymPy's `diff`, tensorgrad's `grad` with `full_simplify`.

    uv run --group bench python benchmarks/peers.py

tensorgrad needs PyTorch, so it is measured where both are installed already (pip install torch, then
pip install --no-deps tensorgrad networkx==3.2.1 opt_einsum pdf2image and sympy). A peer that is not installed is left
out and named. Peers run interleaved in one process; each figure is the median in milliseconds. Every scalar peer's
derivative is compared with ours at a random point before it is timed; of tensors only the time is taken.
"""

from __future__ import annotations

import importlib.util
import statistics
import time
from collections.abc import Callable

import numpy as np

import chainrule as cr

Case = dict[str, Callable[[], object]]
SCALARS = {
    "x³ + 3x² − x": "x**3 + 3*x**2 - x",
    "sin(x²)": "sin(x**2)",
    "ln(sin(x³)²)": "log(sin(x**3)**2)",
    "x sin(x + x²) exp(−x²)": "x * sin(x + x**2) * exp(-x**2)",
    "tanh(x)/(1 + exp(−x))": "tanh(x) / (1 + exp(-x))",
}


def installed(name: str) -> bool:
    """Return whether a package can be imported."""
    return importlib.util.find_spec(name) is not None


def scalar_case(text: str) -> Case:
    """Return the callables for a scalar function: ours, and SymPy's with and without its simplification."""
    e = cr.parse(text, shapes={"x": ()})
    case: Case = {"chainrule grad": lambda: cr.grad(e, "x")}
    if installed("sympy"):
        import sympy

        x = sympy.Symbol("x")
        s = sympy.sympify(text)
        for at in (0.3, 1.1):
            ours, theirs = float(cr.grad(e, "x").eval(x=at)), float(sympy.diff(s, x).subs(x, at))
            assert abs(ours - theirs) < 1e-9 * max(1, abs(theirs)), text

        def plain() -> object:
            sympy.core.cache.clear_cache()
            return sympy.diff(s, x)

        def simplified() -> object:
            sympy.core.cache.clear_cache()
            return sympy.simplify(sympy.diff(s, x))

        case |= {"SymPy diff": plain, "SymPy diff + simplify": simplified}
    return case


def sympy_norm() -> Case:
    """Return SymPy's matrix calculus on the one matrix function of the list that it differentiates."""
    import sympy

    m, n = sympy.symbols("m n", integer=True)
    A, x = sympy.MatrixSymbol("A", n, n), sympy.MatrixSymbol("x", n, 1)

    def run() -> object:
        sympy.core.cache.clear_cache()
        return (x.T * A * x).diff(x)

    return {"SymPy diff": run}


def tensor_cases() -> dict[str, Case]:
    """Return the callables for functions of vectors and matrices."""
    shapes = {"A": ("m", "n"), "x": "n", "y": "m", "B": ("n", "n")}
    texts = {"xᵀBx": "x @ B @ x", "‖Ax − y‖²": "norm(A @ x - y)**2", "sum(softmax(Ax) ⊙ y)": "sum(softmax(A @ x) * y)"}
    expressions = {name: cr.parse(text, shapes=shapes) for name, text in texts.items()}
    cases: dict[str, Case] = {name: {"chainrule grad": lambda e=e: cr.grad(e, "x")} for name, e in expressions.items()}
    if installed("sympy"):
        cases["xᵀBx"] |= sympy_norm()
    if installed("tensorgrad") and installed("torch"):
        import tensorgrad as tg
        import tensorgrad.functions as F

        m, n = tg.symbols("m n")
        x, y = tg.Variable("x", n), tg.Variable("y", m)
        A, B = tg.Variable("A", m=m, n=n), tg.Variable("B", n=n, n2=n)
        residual = F.dot(A, x, "n") - y
        quadratic = F.sum(F.dot(B, x, "n").rename(n2="n") * x)
        tensors = {
            "xᵀBx": quadratic,
            "‖Ax − y‖²": F.frobenius2(residual),
            "sum(softmax(Ax) ⊙ y)": F.sum(F.softmax(F.dot(A, x, "n"), dim="m") * y),
        }
        for name, t in tensors.items():
            cases[name]["tensorgrad grad + full_simplify"] = lambda t=t: t.grad(x).full_simplify()
    return cases


def interleaved(case: Case, repeat: int = 15) -> dict[str, float]:
    """Return the median time of each peer in milliseconds, the peers taking turns."""
    times: dict[str, list[float]] = {name: [] for name in case}
    for run in case.values():
        run()
    for _ in range(repeat):
        for name, run in case.items():
            start = time.perf_counter()
            run()
            times[name].append(1e3 * (time.perf_counter() - start))
    return {name: statistics.median(values) for name, values in times.items()}


def main() -> None:
    """Measure and print."""
    np.seterr(all="ignore")
    cases = {name: scalar_case(text) for name, text in SCALARS.items()} | tensor_cases()
    print(f"{'gradient, median ms':28}{'chainrule':>12}   peers (times ours)")
    for name, case in cases.items():
        figures = interleaved(case)
        ours = figures.pop("chainrule grad")
        rest = ", ".join(f"{peer} {value:.2f} ({value / ours:.0f}×)" for peer, value in figures.items())
        print(f"{name:28}{ours:12.3f}   {rest}")
    missing = [name for name in ("sympy", "tensorgrad") if not installed(name)]
    if missing:
        print("not installed, left out:", ", ".join(missing))


if __name__ == "__main__":
    main()
