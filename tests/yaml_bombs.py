"""YAML of a few lines that expands to billions of values, or nests without end."""

from __future__ import annotations


def _levels(first: str, level: str) -> str:
    lines = [f"a{n}: &a{n} {level.format(', '.join([f'*a{n - 1}'] * 9))}\n" for n in range(1, 10)]
    return f"a0: &a0 {first}\n" + "".join(lines)


LAUGHS = _levels("[lol]", "[{}]")
MERGES = _levels("{k: v}", "{{<<: [{}]}}")
DEEP = "a: " + "[" * 10_000
BOMBS = {"aliases": LAUGHS, "merges": MERGES, "nesting": DEEP}
