"""Digests of the library's definitions that can change a training's weights.

A definition (a function, a class, a constant) counts if a training reaches it by name. Its digest ignores the parts of
its source that change no value: comments, layout, docstrings, annotations, log lines, and the text of errors.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from pathlib import Path

import gan_core

# The definitions that components.train uses for networks, batches and scores. All others are reached from these.
ROOTS = (
    "gan_core.training.batches.RealBatches",
    "gan_core.config.train.TrainConfig",
    "gan_core.data.prepared.PreparedDataset",
    "gan_core.training.distribution.Distribution",
    "gan_core.evaluation.quick_scores.scorer",
    "gan_core.generator.Generator",
    "gan_core.training.state.Gan",
    "gan_core.training.loop.Training",
    "gan_core.training.warm_start.start_from",
)
_PACKAGE = "gan_core."
# The name for a module's other statements, which run whenever the module is imported.
_ALWAYS = ""


def code_digests(folder: Path = Path(gan_core.__file__).parent.parent) -> dict[str, str]:
    """The truncated SHA-256 of every definition that is reached from the roots, by its dotted name.

    Args:
        folder: the folder that contains the package gan_core.
    """
    modules: dict[str, _Module] = {}
    found: dict[str, str] = {}
    passed: set[str] = set()
    waiting = list(ROOTS)
    while waiting:
        name = waiting.pop()
        if name in passed:
            continue
        passed.add(name)
        module, _, definition = name.rpartition(".")
        for one in (name, module):
            if one not in modules and (path := _file_of(one, folder)):
                modules[one] = _Module(one, path.read_text(encoding="utf-8"))
        if name in modules:  # an import of the whole module
            waiting += [f"{name}.{each}" for each in modules[name].definitions]
        elif module in modules:
            waiting += modules[module].references(definition)
            if modules[module].definitions.get(definition):
                found[name] = modules[module].digest(definition)
    return dict(sorted(found.items()))


def _file_of(module: str, folder: Path) -> Path | None:
    """The file of a module or a package; None for the name of anything else."""
    if module.endswith(f".{_ALWAYS}"):
        return None
    stem = module.replace(".", "/")
    return next((path for path in (folder / f"{stem}.py", folder / f"{stem}/__init__.py") if path.is_file()), None)


class _Module:
    """A module's definitions and what they refer to.

    Attributes:
        definitions: statements by the name that they define.
    """

    def __init__(self, name: str, source: str) -> None:
        self._name = name
        self._imports: dict[str, str] = {}
        self.definitions: dict[str, list[ast.stmt]] = {_ALWAYS: []}
        for statement in _Bare().visit(ast.parse(source)).body:
            if isinstance(statement, ast.ImportFrom):
                self._imports |= dict(_imported(statement))
            else:
                for each in _defined(statement) or (_ALWAYS,):
                    self.definitions.setdefault(each, []).append(statement)

    def references(self, definition: str) -> Iterator[str]:
        """Dotted names of what a definition, or an imported name, refers to."""
        yield f"{self._name}.{_ALWAYS}"
        if definition in self._imports:
            yield self._imports[definition]
        for statement in self.definitions.get(definition, []):
            for node in ast.walk(statement):
                if isinstance(node, ast.Import | ast.ImportFrom):
                    yield from (target for _, target in _imported(node))
                elif isinstance(node, ast.Name) and node.id in self.definitions:
                    yield f"{self._name}.{node.id}"
                elif isinstance(node, ast.Name) and node.id in self._imports:
                    yield self._imports[node.id]

    def digest(self, definition: str) -> str:
        """The truncated SHA-256 of a definition's source."""
        text = "\n".join(ast.unparse(statement) for statement in self.definitions[definition])
        return hashlib.sha256(text.encode()).hexdigest()[:16]


class _Bare(ast.NodeTransformer):
    """Removes the parts of a syntax tree that change no value."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        node.annotation = ast.Constant(None)  # the name stays: it may be a field
        return self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        is_log = isinstance(node.value, ast.Call) and ast.unparse(node.value.func).startswith("_logger.")
        return None if is_log or isinstance(node.value, ast.Constant) else self.generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        if isinstance(node.exc, ast.Call):
            node.exc = node.exc.func
        return node

    def visit_If(self, node: ast.If) -> ast.AST | None:
        only_for_types = isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        return None if only_for_types else self.generic_visit(node)


def _imported(node: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, str]]:
    """The names that an import of this package binds, and what they stand for."""
    prefix = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
    for alias in node.names:
        if f"{prefix}{alias.name}".startswith(_PACKAGE):
            yield alias.asname or alias.name, f"{prefix}{alias.name}"


def _defined(statement: ast.stmt) -> list[str]:
    """The names that a module-level function, class or assignment defines; empty for any other statement."""
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        return [statement.name]
    if isinstance(statement, ast.Assign | ast.AnnAssign):
        return [
            node.id for node in ast.walk(statement) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
        ]
    return []
