"""Jacobians of any rank by reverse accumulation.

The adjoint of a node n is ∂y/∂n, an expression of shape y.shape + n.shape. It starts as an identity at y and is carried
from wholes to parts; at a product, the adjoint of one factor is the product of everything else.
Source: Laue, Mitterreiter, Giesen, Computing Higher Order Derivatives of Matrix and Tensor Expressions, NeurIPS 2018.
"""

from __future__ import annotations

from collections.abc import Iterable

from chainrule.errors import ShapeError, UnknownSymbol
from chainrule.expression.budget import bounded
from chainrule.expression.node import ONE, Add, Apply, Einsum, Expr, Identity, Ones, depends_on, walk, zeros
from chainrule.expression.origin import origins
from chainrule.expression.product import einsum
from chainrule.expression.shape import Scalar, show_shape
from chainrule.expression.total import add_terms, scale


def jacobian(y: Expr, wrt: Expr | str) -> Expr:
    """Return the partial derivatives of every entry of `y` by every entry of `wrt`, one row per output.

    Shapes: y (m), wrt (n) -> (m, n); in general y.shape + wrt.shape (numerator layout, any rank).
    Raises: UnknownSymbol if `wrt` is a name that does not occur in `y`.
    Source: Parr and Howard 2018, section 4.1.
    """
    return pulled_back(y, variable(y, wrt), unit(y), y.ndim)


@bounded
def pulled_back(y: Expr, x: Expr, seed: Expr, lead: int) -> Expr:
    """Return the adjoint of `x` when the adjoint of `y` is `seed`, whose first `lead` axes are carried along.

    Shapes: seed (lead axes, then y.shape) -> (lead axes, then x.shape).
    """
    shape = seed.shape[:lead] + x.shape
    adjoints: dict[Expr, list[Expr]] = {y: [seed]}
    for node in reversed([n for n in walk(y) if depends_on(n, x)]):
        if node is x or node not in adjoints:
            continue
        pieces = adjoints.pop(node)
        adjoint = add_terms([(1, piece) for piece in pieces], pieces[0].shape)
        for part, contribution in local_adjoints(node, adjoint, lead, x):
            adjoints.setdefault(part, []).append(contribution)
    pieces = adjoints.get(x, [])
    return add_terms([(1, piece) for piece in pieces], shape)


def vjp(y: Expr, wrt: Expr | str, cotangent: Expr) -> Expr:
    """Return the vector–Jacobian product Σ cotangent · ∂y/∂wrt. The Jacobian is never formed.

    Shapes: y (m), cotangent (m), wrt (n) -> (n), any ranks: an expression of the variable's shape.
    Raises: ShapeError if the cotangent has another shape than `y`; UnknownSymbol.
    Source: Griewank and Walther, Evaluating Derivatives, 2008, section 3.2 (the reverse mode).
    """
    _same_shape("cotangent", cotangent, y)
    return pulled_back(y, variable(y, wrt), cotangent, 0)


def jvp(y: Expr, wrt: Expr | str, tangent: Expr) -> Expr:
    """Return the Jacobian–vector product ∂y/∂wrt · tangent: how `y` moves when `wrt` moves along the tangent.

    Shapes: y (m), wrt (n), tangent (n) -> (m), any ranks: an expression of the function's shape.
    Raises: ShapeError if the tangent has another shape than `wrt`; UnknownSymbol.
    Source: Griewank and Walther, Evaluating Derivatives, 2008, section 3.1 (the forward mode).
    """
    x = variable(y, wrt)
    _same_shape("tangent", tangent, x)
    moves: dict[Expr, Expr] = {x: tangent}
    for node in walk(y):
        if node is not x and depends_on(node, x):
            moves[node] = add_terms(_local_moves(node, moves), node.shape)
    return moves.get(y, zeros(y.shape))


def _same_shape(role: str, given: Expr, like: Expr) -> None:
    if given.shape != like.shape:
        raise ShapeError(
            f"the {role} has another shape", expected=show_shape(like.shape), found=show_shape(given.shape)
        )


def grad(y: Expr, wrt: Expr | str) -> Expr:
    """Return the gradient of a scalar, an expression of the variable's shape.

    Shapes: y (), wrt (any) -> wrt.shape.
    Raises: ShapeError if `y` is not a scalar; UnknownSymbol.
    Source: Parr and Howard 2018, section 3.
    """
    if y.shape:
        raise ShapeError(
            "the gradient is of a scalar function",
            expected="a scalar",
            found=show_shape(y.shape),
            hint="use jacobian for a function with several outputs, or sum(...) it first",
        )
    return jacobian(y, wrt)


def hessian(y: Expr, wrt: Expr | str, other: Expr | str | None = None) -> Expr:
    """Return the second derivatives, by `wrt` twice or by `wrt` and then `other`.

    Shapes: y (…), wrt (a), other (b) -> y.shape + a + b.
    Raises: UnknownSymbol.
    """
    x = variable(y, wrt)
    second = x if other is None else variable(y, other)
    return jacobian(jacobian(y, x), second)


def variable(y: Expr, wrt: Expr | str) -> Expr:
    """Return what to differentiate by: an expression as it is, a name looked up among the symbols of `y`.

    A derivative knows the symbols of its function too: the third derivative of a quadratic is zero, not an error.
    Raises: UnknownSymbol.
    """
    if isinstance(wrt, Expr):
        return wrt
    if wrt not in y.symbols:
        dropped = [s for s in origins(y) if s.name == wrt]
        if len(dropped) == 1:
            return dropped[0]
        names = ", ".join(sorted(y.symbols)) or "nothing: it is constant"
        raise UnknownSymbol(
            f"{wrt} does not occur in the formula", expected=f"one of {names}", found=wrt, hint="check the spelling"
        )
    return y.symbols[wrt]


def unit(y: Expr) -> Expr:
    """Return ∂y/∂y: a product of identities, one for each axis, with axes y.shape + y.shape."""
    n = y.ndim
    axes = tuple(range(2 * n))
    identities = [Identity(size) for size in y.shape]
    return einsum([ONE, *identities], [(), *((k, n + k) for k in range(n))], axes)


def local_adjoints(node: Expr, adjoint: Expr, lead: int, x: Expr) -> list[tuple[Expr, Expr]]:
    """Return, for each part of `node` that depends on `x`, that part and what `node` adds to its adjoint."""
    if isinstance(node, Add):
        return [(t, scale(c, adjoint)) for c, t in zip(node.coefficients, node.args, strict=True) if depends_on(t, x)]
    if isinstance(node, Einsum):
        return [
            (arg, _through_product(node, k, adjoint, lead)) for k, arg in enumerate(node.args) if depends_on(arg, x)
        ]
    if isinstance(node, Apply):
        return _through_operation(node, adjoint, lead, x)
    return []


def _through_product(node: Einsum, which: int, adjoint: Expr, lead: int) -> Expr:
    """Product rule: the adjoint of one factor is the product of the adjoint and all other factors."""
    top = 1 + max(i for sub in (*node.subscripts, node.output) for i in sub) if node.output or node.sizes else 0
    outer = tuple(range(top, top + lead))
    factor, sub = node.args[which], node.subscripts[which]
    args = [adjoint, *(a for k, a in enumerate(node.args) if k != which)]
    subs = [outer + node.output, *(s for k, s in enumerate(node.subscripts) if k != which)]
    target = list(sub)
    for place, i in enumerate(sub):
        size = factor.shape[place]
        if i in sub[:place]:  # a diagonal was taken: only its entries have an influence
            target[place] = top + lead + place
            args.append(Identity(size))
            subs.append((i, target[place]))
        else:
            args.append(Ones((size,)))  # gives an index its size where nothing else has it; absorbed otherwise
            subs.append((i,))
    return einsum(args, subs, outer + tuple(target))


def _through_operation(node: Apply, adjoint: Expr, lead: int, x: Expr) -> list[tuple[Expr, Expr]]:
    """Chain rule: contract the adjoint with the operation's local Jacobian over the operation's output."""
    if node.op.pullback:
        pieces = zip(node.args, node.op.pullback(*node.args, node, adjoint), strict=True)
        return [(arg, piece) for arg, piece in pieces if depends_on(arg, x)]
    result = []
    locals_ = node.op.local_jacobians(node.args, node)
    output = len(node.op.core.output)
    batch = len(node.shape) - output
    for arg, local, core in zip(node.args, locals_, node.op.core.inputs, strict=True):
        if local is None or not depends_on(arg, x):
            continue
        outer = tuple(range(lead))
        b = tuple(range(lead, lead + batch))
        o = tuple(range(lead + batch, lead + batch + output))
        i = tuple(range(lead + batch + output, lead + batch + output + len(core)))
        result.append((arg, einsum([adjoint, local], [outer + b + o, b + o + i], outer + b + i)))
    return result


def _local_moves(node: Expr, moves: dict[Expr, Expr]) -> list[tuple[Scalar, Expr]]:
    """Return what each part that moves adds to the tangent of the whole."""
    if isinstance(node, Add):
        return [(c, moves[t]) for c, t in zip(node.coefficients, node.args, strict=True) if t in moves]
    if isinstance(node, Einsum):
        swaps = [[moves[a] if n == k else a for n, a in enumerate(node.args)] for k in _moving(node, moves)]
        return [(1, einsum(args, node.subscripts, node.output)) for args in swaps]
    assert isinstance(node, Apply)
    result: list[tuple[Scalar, Expr]] = []
    locals_ = node.op.local_jacobians(node.args, node)
    output = node.ndim
    for k in _moving(node, moves):
        core = len(node.op.core.inputs[k])
        inner = tuple(range(output, output + core))
        batch = tuple(range(output - len(node.op.core.output)))
        local = locals_[k]
        if local is not None:
            result.append(
                (
                    1,
                    einsum(
                        [local, moves[node.args[k]]],
                        [tuple(range(output)) + inner, batch + inner],
                        tuple(range(output)),
                    ),
                )
            )
    return result


def _moving(node: Expr, moves: dict[Expr, Expr]) -> list[int]:
    return [k for k, arg in enumerate(node.args) if arg in moves]


def substitute(e: Expr, replacements: dict[Expr, Expr]) -> Expr:
    """Return `e` with every occurrence of each key replaced, rebuilt in canonical form."""
    done: dict[Expr, Expr] = {}
    for node in walk(e):
        done[node] = replacements[node] if node in replacements else rebuilt(node, [done[a] for a in node.args])
    return done[e]


def put_back(e: Expr, definitions: Iterable[tuple[Expr, Expr]]) -> Expr:
    """Return `e` with names replaced by their definitions, the last first: each may use the names before it."""
    for name, definition in reversed(list(definitions)):
        e = substitute(e, {name: definition})
    return e


def rebuilt(node: Expr, args: list[Expr]) -> Expr:
    """Return the node with other arguments, in canonical form."""
    if all(a is b for a, b in zip(args, node.args, strict=True)):
        return node
    if isinstance(node, Add):
        return add_terms(list(zip(node.coefficients, args, strict=True)), node.shape)
    if isinstance(node, Einsum):
        return einsum(args, node.subscripts, node.output)
    if isinstance(node, Apply):
        return node.op.of_shape(node.shape, *args) if node.op.extents else node.op(*args)
    return node
