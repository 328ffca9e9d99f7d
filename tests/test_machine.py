"""Kernels become machine code: what their text may say, how arrays may lie, and what is kept on disk."""

import os
import subprocess
import sys
import threading
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chainrule.compile.llvm_values import Unwritten
from chainrule.compile.machine import Kernel

pytest.importorskip("numba")
HEAD = "import math\nimport numpy as np\nfrom numba import njit\n\nF = T = np.float64\n"
NJIT = '@njit(nogil=True, error_model="numpy")\n'


def kernel(parameters: str, *lines: str, before: str = "") -> Kernel:
    body = "".join(f"    {line}\n" for line in lines)
    return Kernel(f"{HEAD}\n{before}\n{NJIT}def kernel({parameters}):\n{body}")


def in_python(made: Kernel) -> Any:
    space: dict[str, Any] = {}
    text = "\n".join(line for line in made.text.split("\n") if "njit" not in line)
    exec(text, space)
    return space["kernel"]


def by_numba(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the list that texts which numba compiles are put on."""
    machine, texts = import_module("chainrule.compile.machine"), []
    whole = machine.kernel_module
    monkeypatch.setattr(machine, "kernel_module", lambda text: (texts.append(text), whole(text))[1])
    return texts


# --- what texts say
X = np.array([[0.5, -1.5, 3.25], [2.0, np.nan, -np.inf]])
EXPRESSIONS = [
    "x[i, j] * x[i, j] - 2 * x[i, j] + 1 / 3",
    "x[i, j] if x[i, j] > zero or x[i, j] != x[i, j] else -x[i, j]",
    "zero if x[i, j] > zero and x[i, j] < 3.0 else 7",
    "np.floor(x[i, j]) + abs(x[i, j])",
    "1 / x[i, j] if x[i, j] >= zero else x[i, j] / 2",
    "max(x[i, j], zero)",
    "max(zero, x[i, j])",
    "min(x[i, j], zero)",
    "(i + 7) // 2 + (j + 7) % 3",
    "i / (j + 1)",
    "float(n) * x[i, j] ** 2.0",
    "x[i, j] if j == 1 else x[1 - i, j]",
    "math.erf(x[i, j]) + np.arctan(x[i, j]) + np.tanh(x[i, j])",
    "np.float64(np.float64(x[i, j]).view(np.int64) >> np.int64(52))",
    "T(np.inf) if x[i, j] > 1e300 else np.exp(x[i, j])",
    "x[0, 0] if n > 1 else x[i + 100, j]",
]


@pytest.mark.parametrize("text", EXPRESSIONS)
def test_expressions_are_what_python_says(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = by_numba(monkeypatch)
    loops = ("zero = T(0)", "for i in range(2):", "    for j in range(3):", f"        out[i, j] = {text}")
    made = kernel("n, x, out", *loops)
    got, wanted = np.empty((2, 3)), np.empty((2, 3))
    with np.errstate(all="ignore"):
        in_python(made)(4, X, wanted)
    assert made(4, X, got) is None
    np.testing.assert_allclose(got, wanted, rtol=4e-16)
    assert not texts, "LLVM's language has words for it"


def test_whole_numbers_and_a_float32_are_a_float64() -> None:
    made = kernel("x, out", "out[0] = x[0] * 3 + 1e-9", "out[1] = x[0] * x[0]")
    x, out = np.array([1 / 3], np.float32), np.empty(2)
    made(x, out)
    assert out[0] == float(x[0]) * 3 + 1e-9
    assert out[1] == float(x[0] * x[0])


FUNCTIONS = """
def both(z):
    half: int = z * 0.5
    return half, z + 1

def doubled(a, b):
    n, d = a.shape
    for i in range(n):
        if i % 2:
            for j in range(d):
                b[i, j] += 2 * a[i, j]
"""


def test_parts_copies_and_functions() -> None:
    lines = (
        "s = np.empty((n, 3), T)", "s[...] = T(1)", "h = np.ascontiguousarray(x.T)", "part = x[1:n]", "last = x[n - 1]",
        "doubled(x, s)", "p, q = both(x[0, 1])", "for i in range(0, n, 2):", "    out[i] = s[i, 0] + h[1, i] + p * q",
        "for i in range(n - 1):", "    out[i] += part[i, 2] + last[0]", "out[1] += s[1, 2]",
    )  # fmt: skip
    made = kernel("n, x, out", *lines, before=FUNCTIONS)
    x = np.random.default_rng(0).normal(size=(4, 3))
    got, wanted = np.zeros(4), np.zeros(4)
    made(4, x, got)
    in_python(made)(4, x, wanted)
    np.testing.assert_allclose(got, wanted)


def test_numbers_are_returned() -> None:
    x = np.arange(3.0)
    assert kernel("x", "t = 0.0", "for i in range(3):", "    t += x[i]", "return t")(x) == 3.0
    assert kernel("x, y", "return y, x[2]")(x, 7.5) == (7.5, 2.0)
    assert kernel("x, y", "return y * x[2]")(x, np.float32(0.1)) == float(np.float32(0.1)) * 2


def test_what_has_no_words_goes_through_numba(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = by_numba(monkeypatch)
    made = kernel("x", "t = 0.0", "while t < x[0]:", "    t += 1", "return t")
    assert made(np.array([2.5])) == made(np.array([3.0])) == 3.0
    assert len(texts) == 1
    turned = kernel("x", "if x[0] > 1:", "    t = 1.0", "else:", "    t = 1", "return t")
    assert turned(np.array([2.5])) == 1.0


def test_a_function_that_the_c_library_lacks_is_left_to_numba(monkeypatch: pytest.MonkeyPatch) -> None:
    """LLVM would end the process."""
    texts = by_numba(monkeypatch)
    made = kernel("x", "return np.arcsinh(x[0])")
    monkeypatch.setitem(import_module("chainrule.compile.llvm_text").CALLS, "arcsinh", "chainrule_has_no_such")
    assert made(np.array([2.0])) == np.arcsinh(2.0)
    assert len(texts) == 1


def test_a_variable_of_two_types_is_not_guessed() -> None:
    module = import_module("chainrule.compile.llvm_module")
    text = f"{HEAD}{NJIT}def kernel(x):\n    t = 0\n    for i in range(3):\n        t = t + x[i]\n    return t\n"
    with pytest.raises(Unwritten):
        module.llvm_module(text, module.layout_of([np.ones(3)]))
    assert Kernel(text)(np.ones(3)) == 3.0


# --- arrays
def summed() -> Kernel:
    lines = (
        "t = 0.0",
        "for i in range(x.shape[0]):",
        "    for j in range(x.shape[1]):",
        "        t += x[i, j] * (i + 2 * j)",
    )
    return kernel("x", *lines, "return t")


def layouts() -> dict[str, np.ndarray]:
    x = np.random.default_rng(0).normal(size=(6, 8))
    apart = np.empty((12, 16))[::2, ::2]
    apart[...] = x
    odd = np.frombuffer(bytearray(8 * x.size + 1), offset=1, count=x.size).reshape(x.shape)
    odd[...] = x
    fixed = x.copy()
    fixed.flags.writeable = False
    backwards = x[::-1, ::-1].copy()[::-1, ::-1]
    return {"C": x, "F": np.asfortranarray(x), "backwards": backwards, "apart": apart, "odd": odd, "fixed": fixed}


def test_arrays_may_lie_as_they_like() -> None:
    made, wanted = summed(), in_python(summed())(layouts()["C"])
    for name, x in [*layouts().items(), *reversed(layouts().items())]:
        assert made(x) == pytest.approx(wanted, rel=1e-14), name
    assert summed()(layouts()["odd"]) == pytest.approx(wanted, rel=1e-14)


def test_arrays_of_one_and_no_rows() -> None:
    made = summed()
    for rows in (1, 0, 3):
        assert made(np.ones((rows, 2))) == sum(i + 2 * j for i in range(rows) for j in range(2))
    assert made(np.ones((3, 1)).T) == 6.0


def test_what_is_no_number_is_refused() -> None:
    made = kernel("n, x, out", "out[0] = n * x")
    made(2, 1.5, np.empty(1))
    with pytest.raises(TypeError):
        made("two", 1.5, np.empty(1))
    with pytest.raises(TypeError):
        made(2, "x", np.empty(1))


def test_memory_that_is_not_there() -> None:
    made = kernel("n, out", "s = np.empty((4,), T)", "t = np.empty((n,), T)", "t[0] = s[0] = T(1)", "out[0] = t[0]")
    out = np.zeros(1)
    made(8, out)
    assert out[0] == 1
    out[0] = 0
    with pytest.raises(MemoryError):
        made(1 << 57, out)
    assert out[0] == 0
    made(8, out)
    assert out[0] == 1


def test_references_are_kept_as_they_are() -> None:
    made, x = kernel("x, out", "out[0] = x[0]"), np.ones(3)
    out = np.zeros(1)
    made(x, out)
    before = sys.getrefcount(x), sys.getrefcount(out), sys.getrefcount(None)
    for _ in range(1000):
        made(x, out)
    assert (sys.getrefcount(x), sys.getrefcount(out)) == before[:2]
    assert abs(sys.getrefcount(None) - before[2]) < 100


def test_threads_compile_once(monkeypatch: pytest.MonkeyPatch) -> None:
    machine, count = import_module("chainrule.compile.machine"), []
    whole = machine.llvm_module
    monkeypatch.setattr(machine, "llvm_module", lambda *a: (count.append(a), whole(*a))[1])
    made, x, found = summed(), layouts()["C"], []
    threads = [threading.Thread(target=lambda: found.append(made(x))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(count) == 1 and len(set(found)) == 1 and len(found) == 8


# --- on disk
SCRIPT = """
import sys, numpy as np, chainrule as cr
machine = __import__("chainrule.compile.machine", fromlist=["machine"])
count = []
whole = machine._compiled
machine._compiled = lambda text: (count.append(text), whole(text))[1]
f = cr.compile(cr.parse("sum((X @ w)**3)", shapes={"X": ("N", "d"), "w": "d"}), backend="numba")
print(float(f(X=np.ones((50, 40)), w=np.ones(40))), float(f(X=np.ones((5000, 40)), w=np.ones(40))))
print(len(count), "numba" in sys.modules)
"""


def run_script(directory: Path, script: str = SCRIPT) -> list[str]:
    environment = os.environ | {"CHAINRULE_CACHE": str(directory)}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    return done.stdout.split("\n")


def test_a_second_process_compiles_nothing(tmp_path: Path) -> None:
    first, second = run_script(tmp_path), run_script(tmp_path)
    assert first[0] == second[0] == f"{50 * 40.0**3} {5000 * 40.0**3}"
    assert first[1] == "2 False"
    assert second[1] == "0 False"
    for path in tmp_path.iterdir():  # code that was not written to its end
        path.write_bytes(path.read_bytes()[:-100])
    third = run_script(tmp_path)
    assert third[:2] == first[:2]


def test_without_a_directory_kernels_live_in_memory(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a directory")
    assert run_script(blocked)[:2] == [f"{50 * 40.0**3} {5000 * 40.0**3}", "2 False"]


OF_THE_C_LIBRARY = """
import sys, numpy as np, chainrule as cr
f = cr.compile(cr.parse("sum(tanh(x) + sin(x) + erf(x))", shapes={"x": "n"}), backend="numba")
print(float(f(x=np.zeros(3))), "numba" in sys.modules)
"""


@pytest.mark.skipif(os.name == "nt", reason="the functions are not in the process itself")
def test_a_new_process_finds_the_functions_of_its_c_library(tmp_path: Path) -> None:
    """LLVM looks only where it was told to; numba tells it, and takes a second to load."""
    assert run_script(tmp_path, OF_THE_C_LIBRARY)[0] == "0.0 False"


# --- rows into lanes
@pytest.mark.parametrize("kind", [np.float64, np.float32])
@pytest.mark.parametrize("columns", [1, 2, 3, 4, 5, 6, 7, 10, 13])
def test_rows_lie_in_lanes(columns: int, kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = by_numba(monkeypatch)
    before = import_module("chainrule.compile.kernel_text").compiled_text("turned")
    made = kernel("lanes, rows", "turned(lanes, rows)", before=before)
    base = np.arange(2 * 21 * (columns + 3), dtype=kind).reshape(42, columns + 3)
    for rows in (base[:21, :columns].copy(), base[::2, 1 : columns + 1], base[:21, :columns].copy("F"), base[:5, :1]):
        lanes = np.full((rows.shape[1], 24), -1, kind)
        made(lanes, rows)
        assert np.array_equal(lanes[:, : len(rows)], rows.T)
        assert (lanes[:, len(rows) :] == -1).all()
    assert not texts
