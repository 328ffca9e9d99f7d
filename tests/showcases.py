"""The showcases: problems that practitioners know the answer of, each with the derivation that is asked for."""

from __future__ import annotations

from collections.abc import Callable

import chainrule as cr
from chainrule.rewrite.statement import Derivation

COST = r"C(y, w, X, b) = \frac{1}{N}\sum_{i=1}^N (y_i - \max(0, \mathbf{w} \cdot \mathbf{X}_i + b))^2"
LAYERS = {"X": ("N", "d"), "W1": ("d", "h"), "b1": "h", "W2": ("h", "k"), "b2": "k", "Y": ("N", "k")}
DEEP = {**LAYERS, "W2": ("h", "m"), "b2": "m", "W3": ("m", "k"), "b3": "k"}
ATTENTION = {"Q": ("n", "d"), "K": ("n", "d"), "V": ("n", "d"), "tau": ()}
ROWS = {"X": ("N", "d"), "W": ("d", "k"), "Y": ("N", "k")}
CENTRED = "(x - mean(x)) / sqrt(mean((x - mean(x))**2) + epsilon)"
COLUMNS = "(X - mean(X, axis=0)) / sqrt(mean((X - mean(X, axis=0))**2, axis=0) + epsilon)"


def derived(formula: str, wrt: str | tuple[str, ...], shapes: dict[str, object], **more: object) -> Derivation:
    """Parse with the shapes, then derive."""
    return cr.derive(cr.parse(formula, shapes), wrt, **more)  # type: ignore[arg-type]


def square(name: str, *facts: str) -> cr.Expr:
    return cr.symbol(name, ("n", "n"), *facts)


def cross_entropy(of: Callable[[cr.Expr], cr.Expr], wrt: str | tuple[str, ...], **more: object) -> Derivation:
    """−(1/N) Σ Y ⊙ ln softmax(scores), the rows of Y one-hot."""
    Y, X = cr.symbol("Y", ("N", "k"), "one-hot"), cr.matrix("X", "N", "d")
    return cr.derive(-cr.mean(cr.sum(Y * cr.log(cr.softmax(of(X))), axis=1)), wrt, **more)  # type: ignore[arg-type]


def one_sample() -> Derivation:
    t, z = cr.symbol("t", "k", "one-hot"), cr.vector("z", "k")
    return cr.derive(-t @ cr.log(cr.softmax(z)), "z")


def two_layers(X: cr.Expr) -> cr.Expr:
    W1, b1, W2, b2 = (cr.symbol(name, LAYERS[name]) for name in ("W1", "b1", "W2", "b2"))
    return cr.tanh(X @ W1 + b1) @ W2 + b2


def gaussian_process() -> cr.Expr:
    """Half of yᵀK⁻¹y + log det K, without the constant. Source: Rasmussen and Williams 2006, equation 5.8."""
    K, y = square("K", "positive definite"), cr.vector("y", "n")
    return (y @ cr.inv(K) @ y + cr.logdet(K)) / 2


def gaussian_process_by_length() -> Derivation:
    """The same by the length scale of an exponential kernel. Source: Rasmussen and Williams 2006, equation 5.9."""
    D, y, scale, length = square("D", "symmetric"), cr.vector("y", "n"), cr.scalar("s"), cr.scalar("l")
    K = scale * cr.exp(-D / length) + cr.scalar("t") * cr.eye("n")
    return cr.derive((y @ cr.inv(K) @ y + cr.logdet(K)) / 2, "l", function_name="L")


def gaussian(by: str) -> Derivation:
    """The log-likelihood of one sample. Source: The Matrix Cookbook, section 8."""
    S, x, m = square("Sigma", "positive definite"), cr.vector("x", "n"), cr.vector("mu", "n")
    return cr.derive(-((x - m) @ cr.inv(S) @ (x - m) + cr.logdet(S)) / 2, by, function_name="L")


def divergence(by: str) -> Derivation:
    """KL(N(m, S) ‖ N(μ, Σ)), without the constant −n/2."""
    S, T = square("S", "positive definite"), square("Sigma", "positive definite")
    m, u = cr.vector("m", "n"), cr.vector("mu", "n")
    whole = cr.trace(cr.inv(T) @ S) + (u - m) @ cr.inv(T) @ (u - m) + cr.logdet(T) - cr.logdet(S)
    return cr.derive(whole / 2, by, function_name="D")


def hessian_of_cross_entropy() -> Derivation:
    p = cr.parse("softmax(z) - t", {"z": "k", "t": "k"})
    return cr.derive(p, "z", function_name="g")


def batched_attention() -> Derivation:
    """Attention for every head of every sequence of a batch, in index notation."""
    Q, K, V = (cr.symbol(name, ("B", "H", "n", "d")) for name in "QKV")
    P = cr.softmax(cr.scalar("tau") * cr.contract("bhid,bhjd->bhij", Q, K))
    return cr.derive(cr.contract("bhij,bhjd->bhid", P, V), ("Q", "K", "V"), cotangent="dO")


def embedding() -> Derivation:
    """One text as the mean of its words' embeddings, classified: the rows of M select the words."""
    M, E, W = cr.matrix("M", "N", "V"), cr.matrix("E", "V", "d"), cr.matrix("W", "d", "k")
    t = cr.symbol("t", "k", "one-hot")
    return cr.derive(-t @ cr.log(cr.softmax(cr.mean(M @ E, axis=0) @ W)), ("E", "W"))


def recurrent(formula: str, wrt: tuple[str, ...], gates: str) -> Derivation:
    """A recurrent cell: z = W x + U h for every gate. Shapes: x (p), h and c (m)."""
    weights = {f"W{g}": ("m", "p") for g in gates} | {f"U{g}": ("m", "m") for g in gates}
    shapes = {**weights, "x": "p", "h": "m", "c": "m"}
    return derived(formula, wrt, {name: shape for name, shape in shapes.items() if name in formula}, cotangent="g")


GRU = (
    "(1 - sigmoid(Wz @ x + Uz @ h)) * h + sigmoid(Wz @ x + Uz @ h) * tanh(Wn @ x + Un @ (sigmoid(Wr @ x + Ur @ h) * h))"
)
LSTM = (
    "sigmoid(Wo @ x + Uo @ h) * tanh(sigmoid(Wf @ x + Uf @ h) * c + sigmoid(Wi @ x + Ui @ h) * tanh(Wg @ x + Ug @ h))"
)
ELBO = (
    "-sum(x * log(sigmoid(W @ (mu + exp(v / 2) * e) + b)) + (1 - x) * log(1 - sigmoid(W @ (mu + exp(v / 2) * e) + b)))"
    " - 0.5 * sum(1 + v - mu**2 - exp(v))"
)
FOUR = {**DEEP, "W3": ("m", "l"), "b3": "l", "W4": ("l", "k"), "b4": "k"}


def four_layers(X: cr.Expr) -> cr.Expr:
    W1, b1, W2, b2, W3, b3, W4, b4 = (cr.symbol(name, FOUR[name]) for name in FOUR if name[0] in "Wb")
    return cr.relu(cr.relu(cr.relu(X @ W1 + b1) @ W2 + b2) @ W3 + b3) @ W4 + b4


SHOWCASES: dict[str, Callable[[], Derivation]] = {  # fmt: off
    "cost by w": lambda: cr.derive(COST, "w"),
    "cost by b": lambda: cr.derive(COST, "b"),
    "cost by w backward": lambda: cr.derive(COST, "w", narrative="backward", layout="denominator"),
    "neuron full": lambda: derived("max(0, w @ x + b)", "w", {"w": "n", "x": "n", "b": ()}, detail="full"),
    "two layers squared loss": lambda: derived(
        "sum((relu(X @ W1 + b1) @ W2 + b2 - Y)**2) / N", ("W1", "b1", "W2", "b2"), LAYERS
    ),
    "two layers cross entropy": lambda: cross_entropy(two_layers, ("W1", "b1", "W2", "b2")),
    "three layers squared loss": lambda: derived(
        "sum((relu(relu(X @ W1 + b1) @ W2 + b2) @ W3 + b3 - Y)**2) / N", ("W1", "b1", "W2", "b2", "W3", "b3"), DEEP
    ),
    "four layers cross entropy": lambda: cross_entropy(four_layers, ("W1", "b1", "W2", "b2", "W3", "b3", "W4", "b4")),
    "residual layer": lambda: derived(
        "sum((X + silu(X @ W1 + b1) @ W2 - Y)**2) / N",
        ("W1", "W2", "X"),
        {"X": ("N", "d"), "W1": ("d", "h"), "b1": "h", "W2": ("h", "d"), "Y": ("N", "d")},
    ),
    "embedding mean pooling softmax": embedding,
    "softmax regression with classes": lambda: derived(
        "-mean(log_softmax(X @ W)[arange(N), y])", "W", {"X": ("N", "d"), "W": ("d", "K"), "y": "N"}
    ),
    "rows of an embedding": lambda: derived(
        "norm(tanh(E[idx] @ W) - Y)**2 / N", ("E", "W"), {"E": ("V", "d"), "W": ("d", "k"), "idx": "N", "Y": ("N", "k")}
    ),
    "gated recurrent unit": lambda: recurrent(GRU, ("Wz", "Wn", "Ur", "h"), "znr"),
    "long short-term memory": lambda: recurrent(LSTM, ("Wo", "Wf", "Wi", "Wg", "c"), "ofig"),
    "variational autoencoder": lambda: derived(
        ELBO, ("mu", "v", "W"), {"mu": "J", "v": "J", "x": "D", "W": ("D", "J"), "b": "D", "e": "J"}
    ),
    "attention": lambda: derived("softmax(tau * Q @ K.T) @ V", ("Q", "K", "V"), ATTENTION, cotangent="dO"),
    "attention causal": lambda: derived(
        "softmax(tau * Q @ K.T + M) @ V", ("Q", "K", "V"), {**ATTENTION, "M": ("n", "n")}, cotangent="dO"
    ),
    "attention batched": batched_attention,
    "attention of projections": lambda: derived(
        "softmax(tau * (X @ WQ) @ (X @ WK).T) @ (X @ WV)",
        ("WQ", "WK", "WV", "X"),
        {"X": ("n", "p"), "WQ": ("p", "d"), "WK": ("p", "d"), "WV": ("p", "d"), "tau": ()},
        cotangent="dO",
    ),
    "softmax cross entropy": one_sample,
    "softmax cross entropy hessian": hessian_of_cross_entropy,
    "softmax regression": lambda: cross_entropy(lambda X: X @ cr.matrix("W", "d", "k"), "W"),
    "logistic regression": lambda: derived(
        "mean(log(1 + exp(X @ w)) - y * (X @ w))", "w", {"X": ("N", "d"), "w": "d", "y": "N"}
    ),
    "logistic regression hessian": lambda: derived(
        "X.T @ (sigmoid(X @ w) - y) / N", "w", {"X": ("N", "d"), "w": "d", "y": "N"}, function_name="g"
    ),
    "logistic regression newton step": lambda: cr.newton(
        "mean(log(1 + exp(X @ w)) - y * (X @ w))", "w", shapes={"X": ("N", "d"), "w": "d", "y": "N"}
    ),
    "linear regression newton step": lambda: cr.newton(
        "norm(X @ w - y)**2", "w", shapes={"X": ("N", "d"), "w": "d", "y": "N"}
    ),
    "layernorm": lambda: derived(CENTRED, "x", {"x": "n", "epsilon": ()}, cotangent="g"),
    "layernorm with gain": lambda: derived(
        f"gamma * {CENTRED} + beta", "x", {"x": "n", "gamma": "n", "beta": "n", "epsilon": ()}, cotangent="dy"
    ),
    "rmsnorm": lambda: derived("x / sqrt(mean(x**2) + epsilon)", "x", {"x": "n", "epsilon": ()}, cotangent="g"),
    "batchnorm": lambda: derived(COLUMNS, "X", {"X": ("N", "d"), "epsilon": ()}, cotangent="G"),
    "gaussian process by K": lambda: cr.derive(gaussian_process(), "K", function_name="L"),
    "gaussian process by a parameter": gaussian_process_by_length,
    "gaussian by the mean": lambda: gaussian("mu"),
    "gaussian by the covariance": lambda: gaussian("Sigma"),
    "divergence by the mean": lambda: divergence("m"),
    "divergence by the covariance": lambda: divergence("S"),
    "cookbook 57 log determinant": lambda: cr.derive(cr.logdet(square("X")), "X", function_name="f"),
    "cookbook 49 determinant": lambda: cr.derive(cr.parse("det(A @ X @ B)", dict.fromkeys("AXB", ("n", "n"))), "X"),
    "cookbook 61 inverse": lambda: derived("a @ inv(X) @ b", "X", {"a": "n", "b": "n", "X": ("n", "n")}),
    "cookbook 63 trace": lambda: derived("trace(inv(X + A))", "X", {"X": ("n", "n"), "A": ("n", "n")}),
    "cookbook 70 bilinear": lambda: derived("a @ X @ b", "X", {"a": "m", "b": "n", "X": ("m", "n")}),
    "cookbook 106 trace of a product": lambda: derived("trace(X.T @ B @ X)", "X", {"X": ("m", "n"), "B": ("m", "m")}),
}  # fmt: on
