"""Data that is refused with its row and column, descents that explain themselves, and the estimator."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.image import imread
from rich.console import Console
from sklearn.datasets import load_diabetes
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LinearRegression
from sklearn.utils.estimator_checks import parametrize_with_checks

from chainrule.errors import DomainError, ShapeError
from chainrule.learn import (
    Dataset,
    Fit,
    NeuronRegressor,
    Scaling,
    TrainedNeuron,
    descend,
    largest_curvature,
    predict,
    progress_bar,
    r_squared,
    read_csv,
    save_plot,
    split,
    train_neuron,
)

# --- CSV files ---------------------------------------------------------------------------------------------------

GOOD = "area,rooms,price\n50,2,100\n70,3,150.5\n90,4,-2e2\n"

REFUSED = {
    "missing value": ("a,b\n1,2\n3,\n", 'row 2 (line 3), column "b": the value is missing', "^"),
    "missing word": ("a,b\n1,2\nNA,4\n", 'row 2 (line 3), column "a": the value is missing', "^^"),
    "NaN": ("a,b\n1,nan\n3,4\n", 'row 1 (line 2), column "b": the value is missing', "^^^"),
    "text": ("a,b\n1,two\n3,4\n", 'row 1 (line 2), column "b": text in a number column', '"two"'),
    "code": ("a,b\n1,__import__('os')\n3,4\n", 'column "b": text in a number column', "__import__"),
    "underscore": ("a,b\n1,1_000\n3,4\n", 'column "b": text in a number column', "thousands"),
    "thousands": ('a,b\n1,"1,000,000"\n3,4\n', 'column "b": text in a number column', "thousands"),
    "decimal comma": ("a;b\n1;2,5\n3;4\n", 'column "b": text in a number column', "decimal point"),
    "infinity": ("a,b\n1,2\n3,inf\n", 'row 2 (line 3), column "b": the value is not finite', '"inf"'),
    "overflow": ("a,b\n1,-1e999\n3,4\n", 'row 1 (line 2), column "b": the value is not finite', '"-1e999"'),
    "blank line before": ("a,b\n1,2\n\n3,x\n", 'row 2 (line 4), column "b"', "^"),
    "one row": ("a,b\n1,2\n", "has 1 row of data", "at least 2 rows"),
    "no rows": ("a,b\n", "has no rows of data", "at least 2 rows"),
    "empty": ("", "is empty", "header"),
    "only blank lines": ("\n \n\n", "is empty", "header"),
    "short row": ("a,b\n1\n3,4\n", "row 1 (line 2) has 1 value, but the header names 2 columns", "2 values"),
    "long row": ("a,b\n1,2,3\n3,4\n", "row 1 (line 2) has 3 values, but the header names 2 columns", "quotes"),
    "repeated name": ("a,b,a\n1,2,3\n3,4,5\n", 'columns 1 and 3 are both called "a"', "^"),
    "unnamed column": ("a,,c\n1,2,3\n3,4,5\n", "column 2 has no name", "^"),
    "no header": ("1,2\n3,4\n5,6\n", "no header: its first row is numbers", "column names"),
    "open quote": ('a,b\n1,"2\n3,4\n', "not CSV", "line"),
}


def write(folder: Path, text: str, name: str = "data.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("text,message,detail", REFUSED.values(), ids=REFUSED)
def test_bad_data_is_refused_with_its_place(tmp_path: Path, text: str, message: str, detail: str) -> None:
    with pytest.raises(DomainError) as refusal:
        read_csv(write(tmp_path, text))
    assert "data.csv" in str(refusal.value)
    assert message in str(refusal.value)
    assert detail in str(refusal.value)


def test_the_cell_is_marked(tmp_path: Path) -> None:
    with pytest.raises(DomainError) as refusal:
        read_csv(write(tmp_path, "area,price\n50,cheap\n70,2\n"))
    lines = str(refusal.value).splitlines()
    start = lines[1].index("cheap")
    assert lines[2] == " " * start + "^^^^^"


def test_good_data_is_read(tmp_path: Path) -> None:
    table = read_csv(write(tmp_path, "\ufeff" + GOOD.replace("\n", "\r\n\r\n")))
    assert table.names == ("area", "rooms", "price")
    np.testing.assert_array_equal(table.values, [[50, 2, 100], [70, 3, 150.5], [90, 4, -200]])
    tabs = read_csv(write(tmp_path, GOOD.replace(",", "\t")))
    np.testing.assert_array_equal(tabs.values, table.values)
    np.testing.assert_array_equal(table.column("rooms"), [2, 3, 4])


def test_columns_are_picked_by_name(tmp_path: Path) -> None:
    path = write(tmp_path, "city,area,price\nBerlin,50,100\nParis,70,150\n")
    assert read_csv(path, ignore=["city"]).names == ("area", "price")
    assert read_csv(path, columns=["price", "area"]).names == ("price", "area")
    with pytest.raises(DomainError, match='text in a number column(.|\n)*"Berlin"'):
        read_csv(path)
    with pytest.raises(DomainError, match='did you mean "price"'):
        read_csv(path, columns=["prize"])


def test_file_that_cannot_be_read(tmp_path: Path) -> None:
    write(tmp_path, GOOD, "houses.csv")
    with pytest.raises(DomainError, match=r"no such file(.|\n)*did you mean .*houses\.csv"):
        read_csv(tmp_path / "house.csv")
    with pytest.raises(DomainError, match="cannot read"):
        read_csv(tmp_path)
    (tmp_path / "latin.csv").write_bytes("a,größe\n1,2\n".encode("latin-1"))
    with pytest.raises(DomainError, match=r"not UTF-8 text: line 1(.|\n)*0xf6 at offset 4"):
        read_csv(tmp_path / "latin.csv")


@given(st.binary(max_size=200))
def test_any_bytes_are_a_table_or_an_error(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes(content)
    try:
        assert np.isfinite(read_csv(path).values).all()
    except DomainError as error:
        assert str(error)


def test_missing_target(tmp_path: Path) -> None:
    table = read_csv(write(tmp_path, GOOD))
    with pytest.raises(DomainError, match='no column "prices"(.|\n)*did you mean "price"'):
        Dataset.from_table(table, "prices")
    with pytest.raises(DomainError, match="no column beside the target"):
        Dataset.from_table(read_csv(write(tmp_path, GOOD), columns=["price"]), "price")


# --- preparing ---------------------------------------------------------------------------------------------------


def test_split_keeps_every_row_once(tmp_path: Path) -> None:
    data = Dataset(("a",), np.arange(10.0)[:, None], "y", np.arange(10.0))
    training, held_out = split(data, held_out=0.3, seed=1)
    assert (len(training.y), len(held_out.y)) == (7, 3)
    np.testing.assert_array_equal(np.sort(np.r_[training.y, held_out.y]), data.y)
    np.testing.assert_array_equal(training.X[:, 0], training.y)
    np.testing.assert_array_equal(split(data, held_out=0.3, seed=1)[1].y, held_out.y)
    two = data.rows(np.array([0, 1]))
    assert [len(part.y) for part in split(two, held_out=0.01)] == [1, 1]
    with pytest.raises(DomainError, match="one row cannot be split"):
        split(data.rows(np.array([0])))
    with pytest.raises(DomainError, match="between 0 and 1"):
        split(data, held_out=1.5)


def test_scaling() -> None:
    X = np.column_stack([np.arange(5.0), np.full(5, 0.1), np.arange(5) * 1e300, 1e6 + np.arange(5) * 1e-3])
    scaling = Scaling.of(X)
    Z = scaling.standardise(X)
    np.testing.assert_allclose(Z.mean(axis=0), 0, atol=1e-7)
    np.testing.assert_allclose(Z.std(axis=0), [1, 0, 1, 1], rtol=1e-6, atol=1e-12)
    w, b = np.array([1.0, 2.0, -3.0, 0.5]), 0.7
    slopes, bias = scaling.unscaled(w, b)
    np.testing.assert_allclose((X / 1e3) @ (slopes * 1e3) + bias, Z @ w + b, rtol=1e-6)
    np.testing.assert_allclose(scaling.scaled(slopes, bias)[0], w)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    trained = TrainedNeuron(("a", "b"), Scaling(np.array([1.0, 2]), np.array([3.0, 4])), np.array([0.5, 6]), 7, "price")
    trained.save(tmp_path / "model.json")
    return tmp_path / "model.json"


def test_parameters_come_back_from_their_file(tmp_path: Path, saved: Path) -> None:
    again = TrainedNeuron.load(saved)
    expected = np.maximum(0, np.array([[2.0, 6.0]]) @ [0.5 / 3, 6 / 4] + 7 - 0.5 / 3 - 12 / 4)
    np.testing.assert_allclose(again.predict(np.array([[2.0, 6.0]])), expected)
    table = read_csv(write(tmp_path, "b,other,a\n6,0,2\n"), at_least=1)
    np.testing.assert_allclose(again.predict_table(table), expected)
    with pytest.raises(DomainError, match='no column "a"'):
        again.predict_table(read_csv(write(tmp_path, "b,c\n6,0\n"), at_least=1))


@pytest.mark.parametrize(
    "field,value,message",
    [
        ("format", "other", "JSON of another kind"),
        ("version", 99, "version 99"),
        ("weights", [1], "weights that are not one finite number"),
        ("weights", ["x", 1], "weights that are not numbers"),
        ("scales", [0, 1], "not positive"),
        ("means", [float("nan"), 1], "means that are not one finite number"),
        ("bias", float("inf"), "a bias"),
        ("bias", 10**400, "a bias"),
        ("features", [], "features"),
        ("features", 3, "features"),
        ("target", None, "target"),
        ("activation", [], "activation"),
    ],
)
def test_wrong_parameter_files_are_refused(saved: Path, field: str, value: object, message: str) -> None:
    content = json.loads(saved.read_text())
    saved.write_text(json.dumps(content | {field: value}))
    with pytest.raises(DomainError, match=f"model.json is not a file of trained parameters(.|\n)*{message}"):
        TrainedNeuron.load(saved)
    saved.write_text(json.dumps({name: part for name, part in content.items() if name != field}))
    with pytest.raises(DomainError, match="model.json"):
        TrainedNeuron.load(saved)


def test_parameter_files_that_are_no_json(saved: Path) -> None:
    for text in ("", "{", "[" * 100_000):
        saved.write_text(text)
        with pytest.raises(DomainError, match="not JSON"):
            TrainedNeuron.load(saved)


# --- descent -----------------------------------------------------------------------------------------------------

Point = Mapping[str, np.ndarray]
START = {"x": np.array([1.0, -2.0]), "b": np.array(3.0)}
CURVATURES = np.array([8.0, 1.0])


def bowl(p: Point) -> tuple[float, Point]:
    """A quadratic whose Hessian has the eigenvalues 8, 1 and 2, smallest (0.5) at zero."""
    value = 0.5 + float(CURVATURES @ p["x"] ** 2 / 2 + np.square(p["b"]))
    return value, {"x": CURVATURES * p["x"], "b": 2 * p["b"]}


def test_curvature_is_the_largest_eigenvalue() -> None:
    assert largest_curvature(bowl, START) == pytest.approx(8, rel=1e-2)
    assert largest_curvature(lambda p: (0.0, {"x": np.ones(2), "b": np.ones(())}), START) is None


def test_descent_converges_and_says_so() -> None:
    seen: list[tuple[int, float]] = []
    descent = descend(bowl, START, on_step=lambda step, loss: seen.append((step, loss)))
    assert descent.converged and descent.reason == "converged" and "no longer falls" in descent.message
    assert descent.learning_rate == pytest.approx(1 / 8, rel=1e-2)
    assert descent.best_loss == pytest.approx(0.5, abs=1e-4)
    assert seen == list(enumerate(descent.history)) and descent.steps == len(seen) - 1
    np.testing.assert_allclose(descent.best["b"], 0, atol=1e-2)


def test_descent_stops_early_at_a_coarser_tolerance() -> None:
    coarse, fine = (descend(bowl, START, tol=tol) for tol in (1e-2, 1e-8))
    assert coarse.converged and fine.converged and coarse.steps < fine.steps


def test_step_limit_and_resume() -> None:
    whole = descend(bowl, START, learning_rate=0.1, max_iter=20, tol=0)
    first = descend(bowl, START, learning_rate=0.1, max_iter=8, tol=0)
    assert first.reason == "step limit" and first.steps == 8 and "Allow more steps" in first.message
    second = descend(bowl, first.best, learning_rate=0.1, max_iter=12, tol=0)
    np.testing.assert_allclose(np.r_[first.history, second.history[1:]], whole.history)


@pytest.mark.parametrize("learning_rate", [0.251, 0.3, 2, 1e9, 1e200, 1e308])
def test_divergence_is_explained_and_the_suggestion_works(learning_rate: float) -> None:
    descent = descend(bowl, START, learning_rate=learning_rate)
    assert descent.reason in ("diverged", "oscillating") and not descent.converged
    assert f"η = {learning_rate:.4g} is too large" in descent.message
    assert "λ ≈ 8" in descent.message and "2/λ ≈ 0.25" in descent.message
    assert f"step {descent.best_step} are kept" in descent.message
    assert bowl(descent.best)[0] == descent.best_loss == np.nanmin(descent.history)
    assert descend(bowl, START, learning_rate=descent.suggested_rate or 0).converged


def test_a_loss_that_is_not_finite_at_the_start() -> None:
    descent = descend(lambda p: (float("nan"), p), START, learning_rate=0.1)
    assert descent.reason == "diverged" and "not finite at the start" in descent.message


def test_kinks_that_rattle_are_not_called_divergence() -> None:
    descent = descend(
        lambda p: (1 + abs(float(p["x"])), {"x": np.sign(p["x"])}), {"x": np.array(1.05)}, learning_rate=0.1
    )
    assert descent.converged
    assert abs(float(descent.best["x"])) <= 0.1


def test_interrupt_keeps_the_best() -> None:
    def interrupt(step: int, loss: float) -> None:
        if step == 5:
            raise KeyboardInterrupt

    descent = descend(bowl, START, on_step=interrupt)
    assert descent.reason == "interrupted" and descent.steps == 5 and descent.best_step == 5
    assert bowl(descent.best)[0] == descent.best_loss


@pytest.mark.parametrize(
    "settings",
    [{"learning_rate": 0}, {"learning_rate": "fast"}, {"learning_rate": np.nan}, {"max_iter": -1}, {"patience": 0}],
)
def test_senseless_settings_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(DomainError, match="must be"):
        descend(bowl, START, **settings)  # type: ignore[arg-type]


# --- the neuron --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def diabetes() -> tuple[np.ndarray, np.ndarray]:
    X, y = load_diabetes(return_X_y=True)
    return Scaling.of(X).standardise(X), y


def test_neuron_reaches_linear_regression(diabetes: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = diabetes
    best_possible = LinearRegression().fit(X, y).score(X, y)
    for activation in ("relu", "identity"):
        descent = train_neuron(X, y, activation=activation)
        assert descent.converged
        assert r_squared(y, predict(descent.best, X, activation=activation)) == pytest.approx(best_possible, abs=1e-3)


def test_neuron_finds_the_kink() -> None:
    random = np.random.default_rng(0)
    X = random.standard_normal((300, 2))
    y = np.maximum(0, X @ [2.0, -1.0] + 0.5)
    descent = train_neuron(X, y)
    np.testing.assert_allclose(descent.best["w"], [2, -1], atol=1e-2)
    np.testing.assert_allclose(descent.best["b"], 0.5, atol=1e-2)


def test_death_is_explained(diabetes: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = diabetes
    # From b = 10 towards 1 the slope is 18: a step of size 1 lands at b = −8, where no sample is active.
    far = {"w": np.zeros(1), "b": np.array(10.0)}
    descent = train_neuron(np.zeros((3, 1)), np.ones(3), learning_rate=1, start=far)
    assert descent.reason == "dead" and "died at step 1:" in descent.message and not descent.converged
    assert descent.best_loss == 1 and descent.best_step == 1  # max(0, −8) is nearer to 1 than 10 is
    again = train_neuron(np.zeros((3, 1)), np.ones(3), learning_rate=descent.suggested_rate or 0, start=far)
    assert again.converged and again.best_loss == pytest.approx(0, abs=1e-6)
    assert "No target is above 0" in train_neuron(X, -y).message
    assert train_neuron(X, np.zeros_like(y)).best_loss == 0


def test_neuron_refuses_bad_arrays() -> None:
    with pytest.raises(ShapeError, match="do not fit"):
        train_neuron(np.ones((3, 2)), np.ones(4))
    with pytest.raises(DomainError, match=r"X\[1, 0\] is not a finite number"):
        train_neuron(np.array([[1.0], [np.inf]]), np.ones(2))
    with pytest.raises(DomainError, match="relu or identity"):
        train_neuron(np.ones((3, 2)), np.ones(3), activation="rely")


def test_r_squared() -> None:
    y = np.array([1.0, 2.0, 3.0])
    assert r_squared(y, y) == 1
    assert r_squared(y, np.full(3, 2.0)) == 0
    assert np.isnan(r_squared(y[:1], y[:1]))


# --- the estimator -----------------------------------------------------------------------------------------------


@parametrize_with_checks([NeuronRegressor(), NeuronRegressor(activation="identity")])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_scikit_learn_conventions(estimator: NeuronRegressor, check: object) -> None:
    check(estimator)  # type: ignore[operator]


def test_estimator_attributes_and_units(diabetes: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = diabetes
    model = NeuronRegressor(random_state=0).fit(X * 50 + 3, y)
    reference = LinearRegression().fit(X * 50 + 3, y)
    assert model.score(X * 50 + 3, y) == pytest.approx(reference.score(X * 50 + 3, y), abs=1e-3)
    assert model.n_features_in_ == 10 and model.coef_.shape == (10,)
    assert len(model.loss_curve_) == model.n_iter_ + 1 and model.descent_.converged


def test_estimator_scores_where_the_neuron_can_reach() -> None:
    random = np.random.default_rng(1)
    X = random.standard_normal((200, 10))
    y = 5 + X[:, 0] + 0.3 * random.standard_normal(200)
    assert NeuronRegressor().fit(X, y).score(X, y) > 0.5
    with pytest.warns(UserWarning, match="of the targets are below 0"):
        NeuronRegressor().fit(X, y - 5)
    assert NeuronRegressor(activation="identity").fit(X, y - 5).score(X, y - 5) > 0.5


def test_estimator_warns_of_divergence_and_keeps_the_best(diabetes: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = diabetes
    with pytest.warns(ConvergenceWarning, match=r"too large(.|\n)*Try η = "):
        model = NeuronRegressor(learning_rate=0.5).fit(X, y)
    assert np.isfinite(model.coef_).all()
    assert np.mean((y - model.predict(X)) ** 2) == pytest.approx(model.descent_.best_loss)


def test_warm_start_goes_on(diabetes: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = diabetes
    model = NeuronRegressor(max_iter=20, warm_start=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        first = model.fit(X, y).descent_.best_loss
        assert model.fit(X, y).loss_curve_[0] == pytest.approx(first)
        assert model.descent_.best_loss < first


def test_progress_shows_the_loss(diabetes: tuple[np.ndarray, np.ndarray], capsys: pytest.CaptureFixture[str]) -> None:
    NeuronRegressor(verbose=1).fit(*diabetes)
    shown = capsys.readouterr()
    assert "training" in shown.err and "loss 28" in shown.err and not shown.out
    console = Console(record=True, quiet=False, stderr=True)
    with progress_bar(3, console=console) as on_step:
        on_step(3, 0.25)
    assert "3/3 loss 0.25" in console.export_text()


@pytest.mark.parametrize("name,package", [("NeuronRegressor", "sklearn"), ("save_plot", "matplotlib")])
def test_what_is_not_installed_is_named(name: str, package: str) -> None:
    code = f"import sys; sys.modules[{package!r}] = None\nfrom chainrule import learn\nlearn.{name}"
    failed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert f"chainrule.learn.{name} needs {package}, which is not installed" in failed.stderr
    assert "pip install 'chainrule[learn]'" in failed.stderr


# --- plots -------------------------------------------------------------------------------------------------------


def ink(path: Path) -> float:
    """Return the share of pixels of a picture that are not white, in its left and right half: the smaller."""
    white = (imread(path)[..., :3] > 0.99).all(axis=-1)
    middle = white.shape[1] // 2
    return float(1 - max(white[:, :middle].mean(), white[:, middle:].mean()))


def test_plots_show_something(tmp_path: Path, diabetes: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = diabetes
    descent = train_neuron(X, y)
    rows = Fit("training rows", y, predict(descent.best, X))
    assert ink(save_plot(tmp_path / "many.png", descent, [rows], target="progression", title="diabetes")) > 0.02
    x = X[:, 2]
    one = train_neuron(x[:, None], y)
    fitted = Fit("training rows", y, predict(one.best, x[:, None]), x)
    assert ink(save_plot(tmp_path / "one.png", one, [fitted], feature="bmi")) > 0.02
    diverged = train_neuron(X, y, activation="identity", learning_rate=1e300)
    assert ink(save_plot(tmp_path / "diverged.png", diverged, [rows])) > 0.01


def test_plot_that_cannot_be_written(tmp_path: Path) -> None:
    descent = descend(bowl, START)
    for path in (tmp_path / "missing" / "plot.png", tmp_path / "plot.unknown"):
        with pytest.raises(DomainError, match="cannot write the plot"):
            save_plot(path, descent, [])
