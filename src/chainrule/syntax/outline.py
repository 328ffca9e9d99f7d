"""A tree as one line of nested brackets, for tests and for looking; and a tree's depth without recursion."""

from __future__ import annotations

from chainrule.syntax.tree import (
    Binary,
    Bound,
    Call,
    Cases,
    Index,
    Name,
    Num,
    Sequence,
    Slice,
    Tree,
    Unary,
)


def children(tree: Tree | Slice) -> tuple[Tree | Slice, ...]:
    """Return the parts a node is made of, in the order written, without index names and bounds that are absent."""
    match tree:
        case Unary(argument=argument):
            return (argument,)
        case Binary(left=left, right=right):
            return (left, right)
        case Call(arguments=arguments, keywords=keywords):
            return (*arguments, *(value for _, value in keywords))
        case Index(base=base, indices=indices):
            return (base, *indices)
        case Slice(start=start, stop=stop, step=step):
            return tuple(end for end in (start, stop, step) if end is not None)
        case Bound(lower=lower, upper=upper, body=body):
            return (*(end for end in (lower, upper) if end is not None), body)
        case _:
            return branches(tree)


def branches(tree: Tree | Slice) -> tuple[Tree, ...]:
    """Return the parts of a case split or a sequence; numbers and names have none."""
    match tree:
        case Cases(branches=pairs):
            return tuple(part for pair in pairs for part in pair if part is not None)
        case Sequence(items=items):
            return items
        case _:
            return ()


def depth(tree: Tree) -> int:
    """Return the length of the longest path from the root to a leaf, in nodes."""
    level: list[Tree | Slice] = [tree]
    count = 0
    while level:
        count += 1
        level = [child for node in level for child in children(node)]
    return count


def outline(tree: Tree | Slice | None) -> str:
    """Return the tree as a nested list, operator first.

    >>> from chainrule.syntax.parse import read
    >>> outline(read("mean((y - max(0, X @ w + b))**2)").tree)
    '(mean (** (- y (max 0 (+ (@ X w) b))) 2))'
    """
    match tree:
        case None:
            return "_"
        case Num(value=value):
            return str(value)
        case Name(name=name, face=face):
            return f"{name}:{face}" if face else name
        case Unary(operator=operator, argument=argument):
            return f"({operator} {outline(argument)})"
        case Binary(operator=operator, left=left, right=right):
            return f"({operator} {outline(left)} {outline(right)})"
        case Call(function=function, arguments=arguments, keywords=keywords):
            named = [f"{name}={outline(value)}" for name, value in keywords]
            return f"({' '.join([function, *map(outline, arguments), *named])})"
        case _:
            return outline_of_parts(tree)


def outline_of_parts(tree: Tree | Slice) -> str:
    """Return the outline of an index, a slice, a sum over an index, a case split or a sequence."""
    match tree:
        case Index(base=base, indices=indices):
            return f"(index {' '.join(map(outline, (base, *indices)))})"
        case Slice(is_new=True):
            return "None"
        case Slice(start=start, stop=stop, step=step):
            ends = f"{outline(start) if start else ''}:{outline(stop) if stop else ''}"
            return f"{ends}:{outline(step)}" if step else ends
        case Bound(operator=operator, indices=names, lower=lower, upper=upper, body=body):
            over = ",".join(name.name for name in names)
            return f"(bound-{operator} {over} {outline(lower)} {outline(upper)} {outline(body)})"
        case Cases(branches=pairs):
            return f"(cases {' '.join(f'[{outline(value)} {outline(condition)}]' for value, condition in pairs)})"
        case Sequence(items=items):
            return f"(sequence {' '.join(map(outline, items))})"
        case _:
            return ""
