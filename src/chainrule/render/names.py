"""How a name is printed: `sigma` is σ, `W1` is W₁, `x_hat` is x̂. Only the print changes, never the name."""

from __future__ import annotations

import re
from dataclasses import dataclass

GREEK = {
    "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "epsilon": "ε", "zeta": "ζ", "eta": "η", "theta": "θ",
    "iota": "ι", "kappa": "κ", "lambda": "λ", "mu": "μ", "nu": "ν", "xi": "ξ", "pi": "π", "rho": "ρ", "sigma": "σ",
    "tau": "τ", "upsilon": "υ", "phi": "φ", "chi": "χ", "psi": "ψ", "omega": "ω",
    "Gamma": "Γ", "Delta": "Δ", "Theta": "Θ", "Lambda": "Λ", "Xi": "Ξ", "Pi": "Π", "Sigma": "Σ", "Upsilon": "Υ",
    "Phi": "Φ", "Psi": "Ψ", "Omega": "Ω",
}  # fmt: skip
ACCENTS = {"hat": "\u0302", "bar": "\u0304", "tilde": "\u0303", "dot": "\u0307"}

SUBSCRIPT = dict(zip("0123456789+-=()aehijklmnoprstuvx", "₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓ", strict=True))
SUPERSCRIPT = dict(zip("0123456789+-=()niT", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ⁿⁱᵀ", strict=True))


@dataclass(frozen=True, slots=True)
class Spelling:
    """A name taken apart: the letter or word, an accent, what stands below."""

    word: str
    accent: str = ""
    below: str = ""
    before: str = ""  # the d of a cotangent: dσ, dx̂

    @property
    def is_greek(self) -> bool:
        """True if the word is the name of a Greek letter."""
        return self.word in GREEK


def spelling(name: str) -> Spelling:
    """Take a name apart; a name with no such parts is its own word."""
    word, *rest = name.split("_") if not name.startswith("_") else [name]
    accent = ""
    if rest and rest[0] in ACCENTS:
        accent = rest.pop(0)
    match = re.fullmatch(r"([^\W\d_]+?)(\d*)", word)
    if match is None:
        return Spelling(name)
    word, digits = match.groups()
    below = ",".join(part for part in (digits, *rest) if part)
    is_cotangent = word[0] == "d" and (word[1:] in GREEK or (len(word) == 2 and bool(accent)))
    return Spelling(word[1:], accent, below, "d") if is_cotangent else Spelling(word, accent, below)


def subscript(text: str) -> str:
    """Return the text as Unicode subscripts, or after `_` where there are none."""
    if all(c in SUBSCRIPT for c in text):
        return "".join(SUBSCRIPT[c] for c in text)
    return f"_{text}" if len(text) == 1 or text.isalnum() else f"_{{{text}}}"


def superscript(text: str) -> str:
    """Return the text as Unicode superscripts, or after `^` where there are none."""
    if all(c in SUPERSCRIPT for c in text):
        return "".join(SUPERSCRIPT[c] for c in text)
    return f"^{text}" if text.isalnum() else f"^({text})"
