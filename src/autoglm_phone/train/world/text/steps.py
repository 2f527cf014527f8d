"""Arithmetic written out so that a tiny transformer can execute it token by token.

Every line is one elementary step on digits that stand in earlier lines; nothing has to be carried in the head:

    347+586:        columns from the units; after | the digits of the result so far
    7+6=13|3
    4+8+1=13|33
    3+5+1=9|933
    =933

Subtraction borrows by writing the minuend's digit with a leading 1 and subtracting 1 in the next column (`13-6=7|7`,
`13-8-1=4|47`). A product with one digit carries (`7×6=42|2`, `4×6+4=28|82`); with two digits it is two products and a
sum. Division goes digit by digit (`20÷6=3r2|3`). An expression of several operations is restated after each one.
Decimals keep their point in the partial results. Numbers below 100 are added, subtracted, and multiplied by one digit
in a single line.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Union

from autoglm_phone.errors import ConfigError

Expr = Union[Decimal, tuple[str, "Expr", "Expr"]]  # noqa: UP007 (recursive alias needs Union at run time)
_RANK = {"+": 1, "-": 1, "*": 2, "/": 2}
_SIGN = {"+": "+", "-": "-", "*": "×", "/": "÷"}


class NotWritable(Exception):  # noqa: N818 (a signal to draw other numbers, not an error)
    """These numbers would need a negative, fractional or too long step."""


def show(value: Decimal) -> str:
    """Plain digits, never an exponent."""
    return format(value, "f")


def places(value: Decimal) -> int:
    """Digits after the point."""
    exponent = value.as_tuple().exponent
    return max(0, -int(exponent))


def _align(a: Decimal, b: Decimal) -> tuple[str, str, int]:
    """Digit strings without the point, of equal length, and the places after the point."""
    point = max(places(a), places(b))
    left, right = (str(int(value.scaleb(point))) for value in (a, b))
    width = max(len(left), len(right))
    return left.zfill(width), right.zfill(width), point


def _with_point(digits: str, point: int) -> str:
    """Insert the decimal point in the digits written so far (from the right)."""
    return (
        digits
        if not point or len(digits) < point
        else f"{digits[: len(digits) - point]}.{digits[len(digits) - point :]}"
    )


def _small(value: Decimal) -> bool:
    return places(value) == 0 and 0 <= value < 100


def add(lines: list[str], a: Decimal, b: Decimal) -> Decimal:
    total = a + b
    if _small(a) and _small(b):
        lines.append(f"{show(a)}+{show(b)}={show(total)}")
        return total
    left, right, point = _align(a, b)
    lines.append(f"{show(a)}+{show(b)}:")
    carry, done = 0, ""
    for x, y in zip(reversed(left), reversed(right), strict=True):
        column = int(x) + int(y) + carry
        done = str(column % 10) + done
        lines.append(f"{x}+{y}{'+1' if carry else ''}={column}|{_with_point(done, point)}")
        carry = column // 10
    lines.append(f"={show(total)}")
    return total


def subtract(lines: list[str], a: Decimal, b: Decimal) -> Decimal:
    if b > a:
        raise NotWritable
    rest = a - b
    if _small(a) and _small(b):
        lines.append(f"{show(a)}-{show(b)}={show(rest)}")
        return rest
    left, right, point = _align(a, b)
    lines.append(f"{show(a)}-{show(b)}:")
    borrow, done = 0, ""
    for x, y in zip(reversed(left), reversed(right), strict=True):
        column = int(x) - int(y) - borrow
        lent = column < 0
        column += 10 * lent
        done = str(column) + done
        lines.append(f"{'1' if lent else ''}{x}-{y}{'-1' if borrow else ''}={column}|{_with_point(done, point)}")
        borrow = int(lent)
    lines.append(f"={show(rest)}")
    return rest


def _times_digit(lines: list[str], a: Decimal, digit: int) -> Decimal:
    """a × one digit, with carries."""
    product = a * digit
    if _small(a):
        lines.append(f"{show(a)}×{digit}={show(product)}")
        return product
    point = places(a)
    lines.append(f"{show(a)}×{digit}:")
    carry, done = 0, ""
    digits = str(int(a.scaleb(point)))
    digits = digits.zfill(point + 1)
    for i, x in enumerate(reversed(digits)):
        column = int(x) * digit + carry
        done = str(column if i == len(digits) - 1 else column % 10) + done
        lines.append(f"{x}×{digit}{f'+{carry}' if carry else ''}={column}|{_with_point(done, point)}")
        carry = column // 10
    lines.append(f"={show(product)}")
    return product


def multiply(lines: list[str], a: Decimal, b: Decimal) -> Decimal:
    if (
        places(b)
        or a in (10, 100, 1000)
        or (not places(a) and b not in (10, 100, 1000) and len(show(b)) > len(show(a)))
    ):
        a, b = b, a
    if places(b):
        raise NotWritable
    product = a * b
    factor = int(b)
    if factor in (10, 100, 1000):  # move the point
        product = _trim(product)
        lines.append(f"{show(a)}×{factor}={show(product)}")
        return product
    if factor < 10:
        return _times_digit(lines, a, factor)
    if factor > 99:
        raise NotWritable
    tens, units = divmod(factor, 10)
    lines.append(f"{show(a)}×{factor}:")
    low = _times_digit(lines, a, units) if units else Decimal(0)
    if _small(a):
        high = a * tens * 10
    else:
        high = _times_digit(lines, a, tens) * 10
    lines.append(f"{show(a)}×{tens}0={show(high)}")
    if units:
        add(lines, low, high)
    return product


def _trim(value: Decimal) -> Decimal:
    """Drop zeros after the point that say nothing (3500.0 → 3500)."""
    return value.quantize(Decimal(1)) if value == value.to_integral_value() else value.normalize()


def divide(lines: list[str], a: Decimal, b: Decimal) -> Decimal:
    """Exact division by an integer of one or two digits, or by 10, 100, 1000 (which moves the point)."""
    if places(b) or b <= 0:
        raise NotWritable
    divisor = int(b)
    if divisor in (10, 100, 1000):
        quotient = _trim(a / b)
        if places(quotient) > 3:
            raise NotWritable
        lines.append(f"{show(a)}÷{divisor}={show(quotient)}")
        return quotient
    point = places(a)
    scaled = int(a.scaleb(point))
    if scaled % divisor or divisor > 99:
        raise NotWritable
    quotient = Decimal(scaled // divisor).scaleb(-point)
    if _small(a) and divisor < 10:
        lines.append(f"{show(a)}÷{divisor}={show(quotient)}")
        return quotient
    lines.append(f"{show(a)}÷{divisor}:")
    long_division(lines, str(scaled), divisor, point)
    lines.append(f"={show(quotient)}")
    return quotient


def long_division(lines: list[str], digits: str, divisor: int, point: int = 0) -> tuple[int, int]:
    """The lines of a long division; returns (quotient, remainder) of the digits read as an integer."""
    # Start with the shortest prefix that holds the divisor, but never behind the decimal point.
    start, last = 1, len(digits) - point
    while start < last and int(digits[:start]) < divisor:
        start += 1
    rest, done = int(digits[:start]), ""
    at = start
    while True:
        part, left = divmod(rest, divisor)
        done += str(part)
        shown = done
        behind = at - last
        if behind > 0:
            shown = f"{done[:-behind]}.{done[-behind:]}"
        if divisor < 10:
            lines.append(f"{rest}÷{divisor}={part}r{left}|{shown}")
        else:
            lines.append(f"{divisor}×{part}={divisor * part},{rest}-{divisor * part}={left}|{shown}")
        if at == len(digits):
            return int(done), left
        rest = left * 10 + int(digits[at])
        at += 1


_APPLY = {"+": add, "-": subtract, "*": multiply, "/": divide}


# --- expressions --------------------------------------------------------------------------------------------------


def compare(a: Decimal | int, b: Decimal | int) -> str:
    """Which of two whole numbers is larger: their lengths, then digit by digit ("180,191: 3=3 1=1 8<9")."""
    left, right = str(int(a)), str(int(b))
    pairs = [(len(left), len(right)), *((int(x), int(y)) for x, y in zip(left, right, strict=False))]
    seen = []
    for x, y in pairs:
        seen.append(f"{x}{'<' if x < y else '>' if x > y else '='}{y}")
        if x != y:
            break
    return f"{left},{right}: {' '.join(seen)}"


def parse(text: str, values: dict[str, Decimal] | None = None) -> Expr:
    """`a*(b+3)-c/2` with the letters' values; + - * / and brackets, left-associative."""
    tokens = _tokens(text)
    expr, at = _parse_sum(tokens, 0, values or {})
    if at != len(tokens):
        raise ConfigError(f"expression {text!r}: unexpected {tokens[at]!r}")
    return expr


def _tokens(text: str) -> list[str]:
    tokens: list[str] = []
    for char in text.replace(" ", ""):
        if tokens and (char.isdigit() or char == ".") and (tokens[-1][-1].isdigit() or tokens[-1][-1] == "."):
            tokens[-1] += char
        else:
            tokens.append(char)
    return tokens


def _parse_sum(tokens: list[str], at: int, values: dict[str, Decimal]) -> tuple[Expr, int]:
    left, at = _parse_product(tokens, at, values)
    while at < len(tokens) and tokens[at] in "+-":
        right, after = _parse_product(tokens, at + 1, values)
        left, at = (tokens[at], left, right), after
    return left, at


def _parse_product(tokens: list[str], at: int, values: dict[str, Decimal]) -> tuple[Expr, int]:
    left, at = _parse_atom(tokens, at, values)
    while at < len(tokens) and tokens[at] in "*/":
        right, after = _parse_atom(tokens, at + 1, values)
        left, at = (tokens[at], left, right), after
    return left, at


def _parse_atom(tokens: list[str], at: int, values: dict[str, Decimal]) -> tuple[Expr, int]:
    if tokens[at] == "(":
        inner, at = _parse_sum(tokens, at + 1, values)
        return inner, at + 1
    if tokens[at] in values:
        return values[tokens[at]], at + 1
    return Decimal(tokens[at]), at + 1


def render(expr: Expr, parent: int = 0, right: bool = False) -> str:
    """With × ÷ and only the brackets that are needed."""
    if isinstance(expr, Decimal):
        return show(expr)
    op, left, other = expr
    rank = _RANK[op]
    text = f"{render(left, rank)}{_SIGN[op]}{render(other, rank, right=True)}"
    # Brackets when a weaker operation stands inside a stronger one, or on the right of - and ÷ (or × after ÷).
    return f"({text})" if rank < parent or (right and rank == parent) else text


def _step(lines: list[str], expr: Expr) -> Expr:
    """Carry out the leftmost innermost operation."""
    if isinstance(expr, Decimal):
        return expr
    op, left, right = expr
    if not isinstance(left, Decimal):
        return (op, _step(lines, left), right)
    if not isinstance(right, Decimal):
        return (op, left, _step(lines, right))
    return _APPLY[op](lines, left, right)


def work_out(expr: Expr) -> tuple[list[str], Decimal]:
    """All lines of an expression's evaluation, and its value. Raises NotWritable for unsuitable numbers."""
    lines: list[str] = []
    while not isinstance(expr, Decimal):
        if not (isinstance(expr[1], Decimal) and isinstance(expr[2], Decimal)):
            lines.append(render(expr))
        expr = _step(lines, expr)
    return lines, expr
