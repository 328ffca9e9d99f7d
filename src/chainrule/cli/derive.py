"""`chainrule derive`: a formula in, its derivative step by step out."""

from __future__ import annotations

import sys
from collections.abc import Mapping

import click

from chainrule import api
from chainrule.cli.answer import Answer, show_answers
from chainrule.compile.takeaway import LANGUAGES
from chainrule.derivative.differentiate import substitute
from chainrule.errors import ChainruleError, DomainError
from chainrule.expression.elaborate import Elaborated
from chainrule.expression.node import Expr
from chainrule.expression.shape import Shape
from chainrule.rewrite.statement import Detail, Layout, Narrative

EPILOG = """\b
Examples:
  chainrule derive "x**2 * sin(x)" --shape x:
  chainrule derive "mean((y - max(0, X @ w + b))**2)" --wrt w --wrt b
  chainrule derive "x' * A * x" --syntax matlab --wrt x
  chainrule derive "\\sigma(\\mathbf{w} \\cdot \\mathbf{x})" --wrt w
  chainrule derive "trace(A @ X)" --wrt X --shape A:n,m --layout denominator
  chainrule derive "sin(x**2)" --name u1=x**2 --detail full
  chainrule derive "norm(A @ x - b)**2" --wrt x --code numpy > gradient.py
  chainrule derive "softmax(Q @ K.T) @ V" --wrt Q --cotangent dO
  chainrule derive "mean(log(1 + exp(X @ w)) - y * (X @ w))" --wrt w --newton
  chainrule derive - --format latex < formula.txt

\b
Exit code: 0 every step verified, 1 a step failed its check, 2 input refused.
"""


class FormulaCommand(click.Command):
    """A command whose argument may begin with a minus sign: no option here has a single dash."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put a formula such as -x**2 behind `--`."""
        formula = next((arg for arg in args if arg[:1] == "-" and arg[1:2] not in ("", "-") and arg != "-h"), None)
        if formula is not None and "--" not in args:
            rest = list(args)
            rest.remove(formula)
            args = [*rest, "--", formula]
        return super().parse_args(ctx, args)


@click.command(cls=FormulaCommand, epilog=EPILOG)
@click.argument("formula", metavar="EXPR")
@click.option("--wrt", "variables", multiple=True, metavar="NAME", help="Variable to derive by; repeatable.")
@click.option(
    "--shape", "shapes", multiple=True, metavar="NAME:SIZES", help="Declare a shape: X:N,d or w:d; b: is a scalar."
)
@click.option(
    "--layout",
    type=click.Choice(["numerator", "denominator"]),
    help="Gradients as rows or as columns.  [default: numerator; columns where backpropagation names its errors]",
)
@click.option(
    "--narrative",
    type=click.Choice(["auto", "forward", "backward"]),
    default="auto",
    show_default=True,
    help="From the inside out, or from the loss back; auto goes back where matrices lie on the way.",
)
@click.option(
    "--cotangent", metavar="NAME", help="Derive the vector–Jacobian product with this: dO for a matrix-valued O."
)
@click.option("--newton", is_flag=True, help="Derive Newton's step w₊ = w − H⁻¹g in place of the derivative.")
@click.option(
    "--detail",
    type=click.Choice(["brief", "normal", "full"]),
    default="normal",
    show_default=True,
    help="How small the steps are.",
)
@click.option("--name", "names", multiple=True, metavar="NAME=EXPR", help="Name a part, inner parts first; repeatable.")
@click.option(
    "--syntax",
    type=click.Choice(["auto", "text", "matlab", "latex"]),
    default="auto",
    show_default=True,
    help="How EXPR is written.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "latex", "html", "json"]),
    help="For another program: no colours. Several --wrt give a JSON array.",
)
@click.option("--code", type=click.Choice(list(LANGUAGES)), help="Print a program in place of the steps.")
@click.pass_context
def derive(
    ctx: click.Context, formula: str, variables: tuple[str, ...], shapes: tuple[str, ...], layout: Layout | None,
    narrative: Narrative, cotangent: str | None, newton: bool, detail: Detail, names: tuple[str, ...],
    syntax: api.Syntax, form: str | None, code: str | None,
) -> None:  # fmt: skip
    """Derive EXPR step by step: every step with its rule, its reason, and a check with numbers.

    EXPR is NumPy-style text, LaTeX, or MATLAB text; "-" reads it from standard input. Shapes are inferred and
    reported. It is parsed, never run.
    """
    written = standard_input() if formula == "-" else formula
    understood, left = api.understand(written, declared_shapes(shapes), syntax)
    function = understood.expression
    parts = named_parts(names, understood, syntax)
    known = {**function.symbols, **{n: s for e in parts.values() for n, s in e.symbols.items() if n not in parts}}
    title = left if left and left.isidentifier() and left not in {*function.symbols, *parts} else None
    own = {"--cotangent": cotangent, "--name": parts, "--layout": layout, "--narrative": narrative != "auto"}
    if newton:
        without(own, "--newton")
    derivations = [
        api.newton(function, wrt, function_name=title)
        if newton
        else api.derive(
            function,
            wrt,
            layout=layout,
            narrative=narrative,
            detail=detail,
            names=parts,
            function_name=title,
            cotangent=cotangent,
        )
        for wrt in variables or only_symbol(list(known))
    ]
    ctx.exit(show_answers([Answer(d, understood.inferred) for d in derivations], form, code))


def without(options: Mapping[str, object], option: str) -> None:
    """Raise DomainError if an option is given that says nothing beside another one."""
    for name, value in options.items():
        if value:
            raise DomainError(f"{option} has no {name}", hint=f"leave {name} out")


def standard_input() -> str:
    """Return the formula on standard input; raises DomainError if it is not text."""
    data = sys.stdin.buffer.read()
    try:
        return data.decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise DomainError(
            "standard input is not UTF-8 text",
            expected="a formula",
            found=f"byte 0x{data[error.start]:02x} at offset {error.start}",
        ) from None


def declared_shapes(declarations: tuple[str, ...]) -> dict[str, Shape]:
    """Read `X:N,d`; raises DomainError for what cannot be read, or a name declared twice."""
    shapes: dict[str, Shape] = {}
    for declaration in declarations:
        name, colon, sizes = (part.strip() for part in declaration.partition(":"))
        if not (name.isidentifier() and colon):
            raise unreadable("--shape", declaration, "NAME:SIZES, such as X:N,d or w:d, and b: for a scalar")
        if name in shapes:
            raise DomainError(f"--shape declares {name} twice", found=declaration)
        words = [word.strip() for word in sizes.split(",")] if sizes else []
        shapes[name] = tuple(_size(word, declaration) for word in words)
    return shapes


def _size(word: str, declaration: str) -> str | int:
    if word.isascii() and word.isdigit() and 0 < len(word) < 10 and int(word) > 0:
        return int(word)
    if not word.isidentifier():
        raise unreadable("--shape", declaration, "sizes that are names or positive numbers: X:N,d or X:3,4")
    return word


def named_parts(definitions: tuple[str, ...], formula: Elaborated, syntax: api.Syntax) -> dict[str, Expr]:
    """Read `u1=x**2`, each in terms of the formula's symbols and of the names before it."""
    parts: dict[str, Expr] = {}
    known = dict(formula.shapes)
    for definition in definitions:
        name, equals, written = definition.partition("=")
        name = name.strip()
        if not (name.isidentifier() and equals):
            raise unreadable("--name", definition, "NAME=EXPR, such as u1=x**2")
        part = api.parse(written, known, syntax=syntax)
        # A name that the formula itself uses stays a name; any other stands for its expression, wherever that occurs.
        before: dict[Expr, Expr] = {
            s: parts[n] for n, s in part.symbols.items() if n in parts and n not in formula.expression.symbols
        }
        parts[name] = substitute(part, before)
        known[name] = part.shape
    return parts


def unreadable(option: str, value: str, expected: str) -> ChainruleError:
    """Return the error for an option's value that cannot be read."""
    return DomainError(f"{option} cannot be read", expected=expected, found=repr(value[:60]))


def only_symbol(symbols: list[str]) -> list[str]:
    """Return the variable that is meant when none is named; raises DomainError if there is a choice, or nothing."""
    if len(symbols) == 1:
        return symbols
    if not symbols:
        raise DomainError("the formula has no symbol to derive by", hint="it is a constant, and its derivative is 0")
    raise DomainError(
        "by which symbol?", expected=f"--wrt {' or --wrt '.join(symbols)}", hint="--wrt can be given several times"
    )
