"""How functions and symbols are spelled: aliases of text, commands and letters of LaTeX."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping

from chainrule.syntax.tree import Face

# What `name(` may call when the caller does not say; the catalogue of operations replaces it.
_FUNCTIONS = (
    "abs add arccos arcsin arctan clip cos cosh det diag divide dot elu erf exp expm1 eye gelu huber indicator inner "
    "inv kron leaky_relu log log10 log1p log2 log_softmax logdet logsumexp matmul matrix max maximum mean min "
    "minimum multiply negative norm norm1 ones outer power prod reciprocal relu sigmoid sign silu sin sinh softmax "
    "softplus sqrt square std step subtract sum tan tanh trace transpose var vector where zeros "
    "norm_nuc polar lyapunov matrix_power strided flip "
    "arccosh arcsinh arctanh batchnorm cbrt cholesky concatenate cross_entropy cumsum einsum exp2 flatten gelu_tanh "
    "hardmax hstack hypot layernorm log_sigmoid logaddexp norminf one_hot pair pinv ravel reshape rmsnorm selector "
    "onehot take take_along_axis arange solve stack stop_gradient tri tril triu vec vstack"
)
FUNCTIONS: frozenset[str] = frozenset(_FUNCTIONS.split())

TEXT_ALIASES: Mapping[str, str] = {
    "ln": "log", "tr": "trace", "norm2": "norm", "normF": "norm", "absolute": "abs", "fabs": "abs",
    "inverse": "inv", "asin": "arcsin", "acos": "arccos", "atan": "arctan", "average": "mean",
    "identity": "eye", "expit": "sigmoid", "logistic": "sigmoid", "ReLU": "relu", "heaviside": "step", "amax": "max",
    "normInf": "norminf", "norm_inf": "norminf", "layer_norm": "layernorm", "rms_norm": "rmsnorm",
    "batch_norm": "batchnorm", "logsigmoid": "log_sigmoid", "leakyrelu": "leaky_relu", "cat": "concatenate",
    "concat": "concatenate", "chol": "cholesky", "arsinh": "arcsinh", "arcosh": "arccosh",
    "artanh": "arctanh",
    "amin": "min", "vdot": "dot", "hadamard": "multiply", "swish": "silu", "sgn": "sign",
}  # fmt: skip

# `np.linalg.inv` and `jax.nn.relu` name the same functions as `inv` and `relu`.
MODULES: frozenset[str] = frozenset({"np", "numpy", "jnp", "jax", "torch", "math", "scipy"})
SUBMODULES: frozenset[str] = frozenset({"numpy", "linalg", "special", "nn", "functional"})

_GREEK = (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi rho sigma tau upsilon phi chi "
    "psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega"
)
LETTERS: Mapping[str, str] = {
    **{"\\" + name: name for name in _GREEK.split()},
    r"\varepsilon": "epsilon", r"\vartheta": "theta", r"\varphi": "phi", r"\varrho": "rho", r"\varsigma": "sigma",
    r"\varpi": "pi", r"\varkappa": "kappa", r"\ell": "l", r"\hbar": "hbar", r"\imath": "i", r"\jmath": "j",
}  # fmt: skip

COMMAND_FUNCTIONS: Mapping[str, str] = {
    r"\exp": "exp", r"\log": "log", r"\ln": "log", r"\det": "det", r"\max": "max", r"\min": "min", r"\tr": "trace",
    r"\Tr": "trace", r"\trace": "trace", r"\diag": "diag", r"\sin": "sin", r"\cos": "cos", r"\tan": "tan",
    r"\sinh": "sinh", r"\cosh": "cosh", r"\tanh": "tanh", r"\arcsin": "arcsin", r"\arccos": "arccos",
    r"\arctan": "arctan", r"\softmax": "softmax", r"\relu": "relu", r"\ReLU": "relu", r"\sign": "sign",
}  # fmt: skip

WORD_FUNCTIONS: Mapping[str, str] = {
    **TEXT_ALIASES, "Tr": "trace", "Diag": "diag", "Softmax": "softmax", "Sigmoid": "sigmoid", "sigm": "sigmoid",
    "erf": "erf", "LSE": "logsumexp", "lse": "logsumexp", "vdiag": "diag", "Softplus": "softplus", "GELU": "gelu",
}  # fmt: skip

BOUND_COMMANDS: Mapping[str, str] = {r"\sum": "sum", r"\prod": "prod", r"\max": "max", r"\min": "min"}
FRACTIONS: frozenset[str] = frozenset({r"\frac", r"\tfrac", r"\dfrac", r"\cfrac", r"\nicefrac", r"\sfrac"})
FACES: Mapping[str, Face] = {
    r"\mathbf": "bold", r"\boldsymbol": "bold", r"\bm": "bold", r"\pmb": "bold", r"\symbf": "bold", r"\textbf": "bold",
    r"\vec": "vec", r"\mathrm": "roman", r"\mathsf": "roman", r"\mathtt": "roman", r"\mathbb": "blackboard",
    r"\mathbbm": "blackboard", r"\mathds": "blackboard", r"\mathcal": "", r"\mathscr": "", r"\mathfrak": "",
    r"\mathit": "", r"\mathnormal": "", r"\underline": "",
}  # fmt: skip
SWITCHES: Mapping[str, Face] = {r"\rm": "roman", r"\bf": "bold", r"\it": "", r"\sf": "roman", r"\cal": ""}  # {\bf x}
ACCENTS: Mapping[str, str] = {
    r"\hat": "hat", r"\widehat": "hat", r"\bar": "bar", r"\overline": "bar", r"\tilde": "tilde",
    r"\widetilde": "tilde", r"\dot": "dot", r"\ddot": "ddot", r"\check": "check", r"\breve": "breve",
}  # fmt: skip
NORMS: Mapping[str, str] = {
    "": "norm", "2": "norm", "F": "norm", "1": "norm1", "fro": "norm", r"\infty": "norminf", "∞": "norminf",
    "*": "norm_nuc", r"\ast": "norm_nuc",
}  # fmt: skip
TRANSPOSES: frozenset[str] = frozenset({r"\top", r"\intercal", "T", r"\prime", "⊤"})
SIGN_NAMES: Mapping[str, str] = {
    "+": "plus", "-": "minus", "*": "star", r"\star": "star", r"\ast": "star", r"\prime": "prime",
    r"\perp": "perp", r"\infty": "inf",
}  # fmt: skip
OTHERWISE: frozenset[str] = frozenset({"otherwise", "else", "elsewhere", "sonst"})
CONNECTIVES: frozenset[str] = frozenset({"if", "for", "when", "where", ""})

# What LaTeX draws but the reader does not read.
_SPACES = (
    r"\, \; \: \! \> \quad \qquad \thinspace \displaystyle \textstyle \limits \nolimits \mathstrut \nonumber \notag "
    r"\negthinspace \strut \relax"
)
SPACES: frozenset[str] = frozenset({*_SPACES.split(), "\\ ", "~"})
OTHER_COMMANDS: frozenset[str] = frozenset(
    {r"\sqrt", r"\top", r"\intercal", r"\star", r"\prime", r"\perp", r"\infty", r"\in", r"\\", r"\dagger", r"\dag"}
)
COMMANDS: frozenset[str] = frozenset(
    {*LETTERS, *COMMAND_FUNCTIONS, *BOUND_COMMANDS, *FRACTIONS, *FACES, *SWITCHES, *ACCENTS, *OTHER_COMMANDS}
)


def catalogue_name(name: str, aliases: Mapping[str, str], functions: Collection[str]) -> str | None:
    """Return the catalogue's name of the function that is written `name`, or None if there is none."""
    candidates = (name, aliases.get(name, name), name.lower(), aliases.get(name.lower(), name))
    return next((candidate for candidate in candidates if candidate in functions), None)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `did you mean …?` for the closest of the known names, or nothing if none is close."""
    close = difflib.get_close_matches(name[:40], sorted(set(known)), n=1, cutoff=0.6)
    return f"did you mean {close[0]}?" if close else ""
