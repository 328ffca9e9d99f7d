"""Code to take away runs in a clean interpreter that cannot import chainrule, and computes what the expression says."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import chainrule as cr
from chainrule.cli.main import commands
from chainrule.compile.compiled import compile_expressions
from chainrule.compile.takeaway import LANGUAGES
from chainrule.errors import DomainError
from chainrule.evaluate import evaluate_all
from chainrule.expression.gather import position_limits
from chainrule.expression.node import Apply, Expr, Symbol, walk
from chainrule.expression.op import CATALOGUE
from chainrule.verify.sample import generic_points
from conftest import NAMED
from test_backends import PARTS, constants
from test_compile import JOINT, SIZES, values
from test_ops import applied

ATTENTION = {"Q": ("n", "d"), "K": ("n", "d"), "V": ("n", "d"), "tau": ()}
ROWS = {"X": ("N", "d"), "gamma": "d", "beta": "d", "epsilon": ()}
CENTRED = "(X - mean(X, axis=1, keepdims=True))"
VARIANCE = f"mean({CENTRED}**2, axis=1, keepdims=True)"
HEADS = [cr.symbol(name, ("h", "n", "d")) for name in "QKV"]
BOUND: dict[str, Expr] = {
    "attention": cr.parse("softmax(tau * Q @ K.T) @ V", ATTENTION),
    "layer_norm": cr.parse(f"gamma * {CENTRED} / sqrt({VARIANCE} + epsilon**2) + beta", ROWS),
    "rms_norm": cr.parse("X / sqrt(mean(X**2, axis=1, keepdims=True) + epsilon**2)", ROWS),
    "cross_entropy": cr.parse("-mean(sum(Y * log(softmax(Z)), axis=1))", {"Y": ("N", "k"), "Z": ("N", "k")}),
    "of_logits": cr.parse(
        "-mean(sum(Y * log(softmax(X @ W)), axis=1))", {"X": ("N", "d"), "W": ("d", "k"), "Y": ("N", "k")}
    ),
    "neuron": cr.parse("mean((y - max(0, X @ w + b))**2)"),
    "logistic": cr.parse("mean(softplus(-(y * (X @ w))))", {"X": ("N", "d"), "y": "N", "w": "d"}),
    "evidence": cr.parse("y @ inv(A @ A.T + eye(n)) @ y + logdet(A @ A.T + eye(n))", {"A": ("n", "m"), "y": "n"}),
    "turned": cr.parse("sum((x[::-1] - x)**2 * x) + sum(x[-2::-1]**3)", {"x": "n"}),
    "steps": cr.parse("sum(x[::2]**3 * x[5::-2]) + sum(x[1::3]**2)", {"x": 6}),
    "differences": cr.parse("sum((x[1:] - x[:-1])**2) / norm(x)", {"x": "n"}),
    "repeated": cr.scalar("b") ** 2 * cr.ones("n"),  # no argument shows n
    "in_place": cr.matrix("ctx", "inputs", "n") @ cr.vector("value", "n"),  # names that the code uses itself
    "turned_softmax": cr.parse("softmax(b * X).T", {"X": ("N", "d"), "b": ()}),  # what is written over lies across
    "turned_square": cr.parse("sigmoid(2 * relu(A) + log(softmax(B))).T", {"A": ("n", "n"), "B": ("n", "n")}),
    # values that are read twice, kept, or returned, and may not be written over
    "waves": cr.parse("sin(A * B) * (A * B) + A", {"A": ("n", "m"), "B": ("n", "m")}),
    "bells": cr.parse("exp(A * A + B**3)", {"A": ("n", "m"), "B": ("n", "m")}),
    "sums": cr.sum(cr.matrix("X", "N", "d"), axis=1),
    "heads": cr.contract("hij,hjd->hid", cr.softmax(cr.contract("hid,hjd->hij", *HEADS[:2]) / 8), HEADS[2]),
    "both_ways": cr.parse(
        "sin((A - B) * A) * exp(B - A) + relu(B - A) + A / (B - A)", {"A": ("n", "m"), "B": ("n", "m")}
    ),
}
AT_POSITIONS: dict[str, Expr] = {
    "labels": cr.parse("cross_entropy(Z, y)", {"Z": ("N", "K"), "y": "N"}),
    "labels_of_logits": cr.parse("cross_entropy(X @ W, y)", {"X": ("N", "d"), "W": ("d", "K"), "y": "N"}),
    "lookup": cr.parse("sum((W[idx] - Y)**2)"),
    "rows_taken": cr.parse("tanh(take(E, t, axis=0) @ W)", {"E": ("V", "d"), "t": ("B", "T"), "W": ("d", "k")}),
    "columns_taken": cr.parse("W[:, idx] * B", {"B": ("m", "p"), "idx": "p"}),
    "taken_along": cr.parse("take_along_axis(tanh(Z), J, axis=1)**2", {"Z": ("N", "K"), "J": ("N", "k")}),
    "one_row": cr.parse("sum(W[c]**3)", {"W": ("m", "n"), "c": ()}),
    "classes_summed": cr.parse("onehot(y, K).T @ A**2", {"y": "N", "A": ("N", "d")}),
    "positions_at_positions": cr.parse("sum(x[t[s]]**3)", {"x": "n", "t": "k", "s": "q"}),
    "positions_that_count": cr.parse("sum(x[idx]**2 * idx)", {"x": "n", "idx": "N"}),
    "positions_first": cr.parse("sum(a[idx] * x[idx]**2 * B)", {"a": "n", "x": "n", "idx": "p", "B": ("p", "p")}),
}
PRODUCTS_AND_EXPONENTIALS = ("prod_others", "prod_pairs", "expm", "expm_frechet")
LACKING = {
    "numba": PRODUCTS_AND_EXPONENTIALS,
    "c": ("pinv", "lyapunov", "polar", "norm_nuc", *PRODUCTS_AND_EXPONENTIALS),
}
PLAIN = {name: (e, *(cr.jacobian(e, s) for s in e.symbols.values() if not e.shape)) for name, e in BOUND.items()}

CLEAN = """
import sys
sys.modules["chainrule"] = None
import importlib.util
import numpy as np
def load(name):
    spec = importlib.util.spec_from_file_location(name, f"{folder}/{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
folder, names = sys.argv[1], sys.argv[2:]
results = {}
for name in names:
    given = np.load(f"{folder}/{name}.npz")
    order = sorted(key for key in given if key.startswith("in"))
    arguments = [given[key] if given[key].dtype.kind == "f" or given[key].ndim else int(given[key]) for key in order]
    run(load(name), name, arguments, given)
np.savez(f"{folder}/results.npz", **results)
"""
RUNNERS = {
    "numpy": """
def run(module, name, arguments, given):
    found = getattr(module, name)(*arguments)
    for k, part in enumerate(found if isinstance(found, tuple) else [found]):
        results[f"{name}.{k}"] = part
""",
    "numba": """
def run(module, name, arguments, given):
    try:
        found = getattr(module, name)(*[a if np.ndim(a) or isinstance(a, int) else float(a) for a in arguments])
    except (IndexError, ValueError) as error:
        assert "fails" in given
        found, results[f"{name}.error"] = (), str(error)
    for k, part in enumerate(found if isinstance(found, tuple) else [found]):
        results[f"{name}.{k}"] = part
""",
    "c": """
import ctypes
def load(name):
    return ctypes.CDLL(f"{folder}/all.so")
def run(library, name, arguments, given):
    kind = given["kind"].dtype
    real = ctypes.c_double if kind == np.float64 else ctypes.c_float
    out = [np.full(given[key].shape, np.nan, kind) for key in sorted(given) if key.startswith("out")]
    whole = [np.asarray(a).dtype.kind == "i" for a in arguments]
    arrays = [np.asarray(a, ctypes.c_long if w else kind, order="C") for a, w in zip(arguments, whole)]
    sizes = [ctypes.c_long(int(given[key])) for key in sorted(given) if key.startswith("size")]
    types = [ctypes.c_long if w else real for w in whole]
    passed = [a.ctypes.data_as(ctypes.POINTER(t)) if a.ndim else t(a.item()) for a, t in zip(arrays, types)]
    status = getattr(library, name)(*sizes, *passed, *(a.ctypes.data_as(ctypes.POINTER(real)) for a in out))
    results[f"{name}.status"] = status
    assert status == 0 or "fails" in given
    for k, part in enumerate(out):
        results[f"{name}.{k}"] = part
""",
    "jax": """
import jax
jax.config.update("jax_enable_x64", True)
def run(module, name, arguments, given):
    function = getattr(module, name)
    arrays = [jax.numpy.asarray(a) for a in arguments if not isinstance(a, int)]
    sizes = [a for a in arguments if isinstance(a, int)]
    if "cotangent" not in given:
        found = jax.jit(lambda *arrays: function(*arrays, *sizes))(*arrays)
        parts = found if isinstance(found, tuple) else [found]
    else:
        def both(cotangent, *arrays):
            value, pull = jax.vjp(lambda *arrays: function(*arrays, *sizes), *arrays)
            slopes = pull(cotangent)
            assert all((s.dtype == jax.dtypes.float0) == (a.dtype.kind == "i") for s, a in zip(slopes, arrays))
            return value, *[s for s in slopes if s.dtype != jax.dtypes.float0]
        parts = jax.jit(both)(jax.numpy.asarray(given["cotangent"]), *arrays)
        jax.eval_shape(jax.vmap(lambda a: function(a, *arrays[1:], *sizes)), arrays[0][None])
    for k, part in enumerate(parts):
        results[f"{name}.{k}"] = part
""",
    "torch": """
import torch
torch.set_default_dtype(torch.float64)
def same_in_batches(function, values, cotangent):
    # one argument has a batch and nothing else has one; then the cotangent alone
    plain = [v if isinstance(v, int) else v.detach() for v in values]
    count = sum(not isinstance(v, int) for v in plain)
    moving = [k for k in range(count) if plain[k].is_floating_point()]
    def both(seed, *arrays):
        def of_moving(*moved):
            full = [*arrays, *plain[count:]]
            for k, a in zip(moving, moved):
                full[k] = a
            return function(*full)
        value, pull = torch.func.vjp(of_moving, *[arrays[k] for k in moving])
        return value, *pull(seed)
    passed = [cotangent, *plain[:count]]
    wanted = both(*passed)
    for k in range(count + 1):
        a = passed[k]
        stacked = torch.stack([a, 2 * a if a.is_floating_point() else a.flip(0), a])
        batch = [stacked if n == k else a for n, a in enumerate(passed)]
        got = torch.func.vmap(both, in_dims=tuple(0 if n == k else None for n in range(count + 1)))(*batch)
        for a, b in zip(got, wanted, strict=True):
            torch.testing.assert_close(a[0], b)
            torch.testing.assert_close(a[2], b)
def run(module, name, arguments, given):
    function = getattr(module, name)
    values = [a if isinstance(a, int) else torch.tensor(a, requires_grad=a.dtype.kind == "f") for a in arguments]
    tensors = [a for a in values if not isinstance(a, int) and a.requires_grad]
    found = function(*values)
    parts = list(found) if isinstance(found, tuple) else [found]
    if "cotangent" in given:
        cotangent = torch.as_tensor(given["cotangent"])
        value = found.detach().clone()
        parts += torch.autograd.grad(found, tensors, cotangent, retain_graph=True)
        again = torch.autograd.grad(found, tensors, cotangent)  # what is kept for it is as it was
        torch.testing.assert_close(again, tuple(parts[1:]), rtol=0, atol=0, equal_nan=True)
        torch.testing.assert_close(found.detach(), value, rtol=0, atol=0)
        for one, array in zip(values, arguments):
            assert isinstance(one, int) or (one.detach().numpy() == array).all()
        assert (cotangent.numpy() == given["cotangent"]).all()
        same_in_batches(function, values, cotangent)
        getattr(module, f"test_{name}")()
        for one in tensors:  # a gradient that is not asked for is not computed, and the others are the same
            alone = function(*[a if a is one or isinstance(a, int) else a.detach() for a in values])
            (slope,) = torch.autograd.grad(alone, [one], torch.as_tensor(given["cotangent"]))
            torch.testing.assert_close(slope, parts[1 + [t is one for t in tensors].index(True)])
        stacked = torch.stack([tensors[0], tensors[0]]).detach()
        torch.func.vmap(lambda a: function(a, *[v if isinstance(v, int) else v.detach() for v in values[1:]]))(stacked)
        single = [a.detach().float() if any(a is t for t in tensors) else a for a in values]
        assert function(*single).dtype == torch.float32
    for k, part in enumerate(parts):
        results[f"{name}.{k}"] = part.detach().numpy()
""",
}
LIBRARIES = [NAMED] if NAMED else list(RUNNERS)
MANY = [pytest.param(n, marks=pytest.mark.slow) if n == "numba" else n for n in LIBRARIES]  # numba compiles each
COMPILE = ["gcc", "-std=c99", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]


@pytest.fixture(params=LIBRARIES)
def backend(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    if name == "c" and shutil.which("gcc") is None:
        pytest.skip("there is no gcc here")
    if name != "c":
        pytest.importorskip(name, reason=f"{name} is not installed here; .ci/run tests it where it is")
    return name


def run_clean(backend: str, folder: Path, names: list[str], *flags: str) -> dict[str, np.ndarray]:
    """Run the files of these names in the folder, each on the arrays beside it."""
    if backend == "c":  # each is a unit of its own, all together one library
        files = [*(str(folder / f"{name}.c") for name in names), "-o", str(folder / "all.so"), "-lm"]
        done = subprocess.run([*COMPILE, *flags, *files], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    (folder / "clean.py").write_text(CLEAN.replace("folder, names =", RUNNERS[backend] + "folder, names ="))
    command = [sys.executable, "-I", str(folder / "clean.py"), str(folder), *names]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, cwd=folder)
    assert done.returncode == 0, done.stderr
    return dict(np.load(folder / "results.npz"))


def generic(exprs: tuple[Expr, ...]) -> tuple[dict[str, np.ndarray], dict[str, int]]:
    return next(generic_points(list(exprs), 1)) if any(e.symbols for e in exprs) else ({}, {})


def random(exprs: tuple[Expr, ...]) -> tuple[dict[str, np.ndarray], dict[str, int]]:
    arrays = values(*exprs)
    return {name: np.abs(a) if name == "b" else a for name, a in arrays.items()}, SIZES


Point = Callable[[tuple[Expr, ...]], tuple[dict[str, np.ndarray], dict[str, int]]]


def write(
    backend: str,
    folder: Path,
    name: str,
    exprs: tuple[Expr, ...],
    point: Mapping[str, np.ndarray],
    sizes: Mapping[str, int],
    expected: list[np.ndarray],
    kind: type = np.float64,
    fails: bool = False,
) -> None:
    """Write a function, and beside it what it is given and the shapes of what it returns."""
    text = cr.source(exprs, backend, name)
    assert "chainrule" not in text
    (folder / f"{name}.{'c' if backend == 'c' else 'py'}").write_text(text, encoding="utf-8")
    program = compile_expressions(*exprs).program
    arguments = [
        np.asarray(point[s.name], int if k in program.positions else kind) for k, s in enumerate(program.arguments)
    ]
    arguments += [sizes[n] for n in program.given] if backend != "c" else []
    arrays = {f"in{k:02}": a for k, a in enumerate(arguments)} | {"kind": np.zeros((), kind)}
    arrays |= {f"size{k:02}": sizes[n] for k, n in enumerate(program.sizes)}
    arrays |= {f"out{k:02}": part for k, part in enumerate(expected)} | ({"fails": True} if fails else {})
    np.savez(folder / f"{name}.npz", **arrays)


def check_plain(
    backend: str, folder: Path, functions: dict[str, tuple[Expr, ...]], kind: type = np.float64, at: Point = generic
) -> None:
    """Write each function, run it, and compare with the interpreter."""
    expected: dict[str, list[np.ndarray]] = {}
    for name, exprs in functions.items():
        point, sizes = at(exprs)
        expected[name] = [np.asarray(part) for part in evaluate_all(list(exprs), point, sizes)]
        write(backend, folder, name, exprs, point, sizes, expected[name], kind)
    results = run_clean(backend, folder, list(functions), *["-DREAL=float"] * (kind is np.float32))
    for name, parts in expected.items():
        for k, wanted in enumerate(parts):
            close(results[f"{name}.{k}"], wanted, 1e-9 if kind is np.float64 else 2e-3)


def close(found: np.ndarray, wanted: np.ndarray, tolerance: float = 1e-9) -> None:
    assert found.shape == wanted.shape
    np.testing.assert_allclose(found, wanted, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("backend", MANY, indirect=True)
def test_plain_functions(backend: str, tmp_path: Path) -> None:
    check_plain(backend, tmp_path, PLAIN)


@pytest.mark.backend("numba")
def test_some_functions_in_numba(tmp_path: Path) -> None:
    pytest.importorskip("numba")
    check_plain("numba", tmp_path, {name: PLAIN[name] for name in ("neuron", "repeated")})


@pytest.mark.parametrize("backend", MANY, indirect=True)
def test_every_operation(backend: str, tmp_path: Path) -> None:
    """Each operation, alone and on leading axes; what a language lacks is refused with the operation's name."""
    functions: dict[str, tuple[Expr, ...]] = {}
    for op in CATALOGUE.entries:
        cases = [constants(op)[0]] if op.extents else [applied(op), applied(op, batch=True)]
        try:
            cr.source(cases[0], backend, "f")
        except DomainError as error:
            assert op.name in str(error) and "numpy" in str(error) and op.name in LACKING.get(backend, ())
            continue
        functions |= {f"op_{op.name}_{k}": (e,) for k, e in enumerate(cases)}
    check_plain(backend, tmp_path, functions)


@pytest.mark.parametrize("backend", MANY, indirect=True)
def test_any_program(backend: str, tmp_path: Path) -> None:
    """Everything that the compiler is tested with."""
    functions = {f"f{k}": exprs for k, exprs in enumerate([*JOINT.values(), *PARTS.values()])}
    for lacks in LACKING.get(backend, ()):
        functions = {n: f for n, f in functions.items() if not any(lacks in str(op) for op in ops_of(f))}
    check_plain(backend, tmp_path, functions, at=random)


@pytest.mark.backend("c")
def test_single_precision_in_c(tmp_path: Path) -> None:
    if shutil.which("gcc") is None:
        pytest.skip("there is no gcc here")
    check_plain("c", tmp_path, PLAIN, np.float32)


def ops_of(exprs: tuple[Expr, ...]) -> set[str]:
    return {node.op.name for node in walk(*exprs) if isinstance(node, Apply)}


@pytest.mark.parametrize("backend", [n for n in LIBRARIES if n in ("jax", "torch")], indirect=True)
def test_bound_derivatives(backend: str, tmp_path: Path) -> None:
    """The value, and the derivative by every argument times a cotangent: against our own, and by differences."""
    expected: dict[str, list[np.ndarray]] = {}
    bound = BOUND | AT_POSITIONS
    for name, e in bound.items():
        (tmp_path / f"{name}.py").write_text(cr.source(e, backend, name), encoding="utf-8")
        program = compile_expressions(e).program
        symbols, given = program.arguments, program.given
        limits = position_limits([e])
        roots = [e, *(cr.vjp(e, s, "seed") for s in symbols if s not in limits)]
        values, sizes = next(generic_points(roots, 1))
        seed = values.get("seed", np.ones(np.shape(evaluate_all([e], values, sizes)[0])))
        arguments = [*(values[s.name].astype(int if s in limits else float) for s in symbols)]
        arguments += [sizes[n] for n in given]
        inputs = {f"in{k:02}": a for k, a in enumerate(arguments)}
        np.savez(tmp_path / f"{name}.npz", cotangent=seed, **inputs)
        expected[name] = evaluate_all(roots, values, sizes)
    results = run_clean(backend, tmp_path, list(bound))
    for name, parts in expected.items():
        for k, wanted in enumerate(parts):
            close(results[f"{name}.{k}"], np.asarray(wanted))


def test_numbers_may_be_pythons() -> None:
    x, a = cr.vector("x", "n"), cr.scalar("a")
    for e in (cr.grad(cr.relu(a) * cr.sum(x), "a"), cr.grad(cr.sum(cr.elu(a, 0.5) * x), "a"), cr.where(a > 0, x, a)):
        scope: dict[str, Any] = {}
        exec(cr.source(e, name="f"), scope)  # code of our own writing
        for number in (0.5, -0.5, np.float64(0.5)):
            given = {"x": np.arange(3.0), "a": number}
            found = scope["f"](*(given[n] for n in cr.compile(e).parameters))
            np.testing.assert_allclose(found, evaluate_all([e], given)[0])
    assert cr.compile(cr.step(a) * x)(x=np.ones(3, np.float32), a=1.0).dtype == np.float32


@pytest.mark.backend("torch")
def test_types_are_joined_in_torch(tmp_path: Path) -> None:
    """What is written over has the type of the result: float32 does not hold float64."""
    torch = pytest.importorskip("torch")
    scope: dict[str, Any] = {}
    exec(cr.source(BOUND["waves"], "torch", "waves"), scope)  # code of our own writing
    A, B = (torch.rand(3, 4, dtype=kind, requires_grad=True) for kind in (torch.float32, torch.float64))
    found = scope["waves"](A, B)
    product = A.double() * B
    wanted = torch.sin(product) * product + A
    assert found.dtype == torch.float64
    torch.testing.assert_close(found, wanted, rtol=1e-14, atol=0)
    slopes = [torch.autograd.grad(f, [A, B], torch.ones_like(f)) for f in (found, wanted)]
    torch.testing.assert_close(slopes[0][1], slopes[1][1], rtol=1e-14, atol=0)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("numpy", "def value_and_gradient(A, x):"),
        ("numba", "def value_and_gradient(A, x):"),
        ("c", "int value_and_gradient(long n_n, const real *A, const real *x, real *result0, real *result1)"),
        ("jax", "C.defvjp(C_forward, C_backward)"),
        ("torch", "assert torch.autograd.gradcheck(C, (A, x))"),
    ],
)
def test_on_the_command_line(code: str, words: str) -> None:
    done = CliRunner().invoke(commands, ["derive", "x @ A @ x", "--wrt", "x", "--code", code])
    assert done.exit_code == 0 and words in done.stdout


def test_what_is_refused() -> None:
    A = cr.matrix("A", "n", "n")
    with pytest.raises(DomainError, match=r"(?s)pinv has no C code.*numpy, jax or torch"):
        cr.source(cr.pinv(A), "c")
    with pytest.raises(DomainError, match=r"(?s)no code for 'fortran'.*numpy"):
        cr.source(A, "fortran")
    with pytest.raises(DomainError, match="cannot be called"):
        cr.source(A, "c", "f(); exit")


@pytest.mark.parametrize("name", ["int", "exp", "σ", "x\nimport os", "v0", "ctx", "*/", "torch"])
def test_hostile_names_in_every_language(name: str, tmp_path: Path) -> None:
    e = cr.softmax(Symbol(name, ("n",))) @ cr.vector("x", "n")
    for language in LANGUAGES:
        text = cr.source(e, language)
        assert not any(line.strip().startswith("import os") for line in text.splitlines())
        if language != "c":
            compile(text, "text", "exec")
        elif shutil.which("gcc"):
            (tmp_path / "a.c").write_text(text, encoding="utf-8")
            files = [str(tmp_path / "a.c"), "-o", str(tmp_path / "a.so"), "-lm"]
            done = subprocess.run([*COMPILE, *files], capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
