"""docs/security.md names tests that exist, and the code follows two of its rules."""

from __future__ import annotations

import ast
import re

from manifests import ROOT

PAGE = (ROOT / "docs/security.md").read_text()
SOURCES = [
    path for folder in ("gan_core", "components", "pipelines", "infra") for path in (ROOT / folder).rglob("*.py")
]
FORBIDDEN = {"eval", "exec", "pickle.load", "pickle.loads", "yaml.load", "joblib.load", "torch.load", "dill.load"}
FORBIDDEN |= {"urllib.request.urlopen", "extractall", "os.system", "shelve.open", "marshal.loads"}


def test_every_test_that_the_page_names_exists() -> None:
    named = re.findall(r"`([\w/]+\.py)::(\w+)`", PAGE)
    assert len(named) > 30
    for file, test in named:
        path = ROOT / "tests" / file
        assert path.exists(), file
        assert f"\ndef {test}(" in path.read_text(), f"{file}::{test}"


def test_every_line_of_the_page_has_its_test() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith("| can try")]
    assert rows
    assert [row for row in rows if "::test_" not in row] == []


def calls() -> list[tuple[str, str, ast.Call]]:
    """Returns file, name and node of every call in the project."""
    return [
        (str(path.relative_to(ROOT)), ast.unparse(node.func), node)
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
    ]


def test_no_code_reads_a_pickle() -> None:
    loads = [(file, node) for file, name, node in calls() if name in ("np.load", "numpy.load")]
    assert len(loads) > 3
    for file, node in loads:
        options = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
        assert options.get("allow_pickle") == "False", file
    opened = {file for file, name, node in calls() if name.startswith("keras.") and name.endswith("load_model")}
    assert opened == {"gan_core/export.py"}


def test_no_code_executes_or_opens_untrusted_input() -> None:
    known = {
        ("gan_core/data/fashion_mnist.py", "urllib.request.urlopen"),  # a fixed address
        ("infra/local/services.py", "urllib.request.urlopen"),  # this machine's own services
        ("components/mlflow_ui.py", "urllib.request.urlopen"),  # the server that it started itself
    }
    found = {(file, name) for file, name, _ in calls() if name in FORBIDDEN or name.endswith(".extractall")}
    assert found == known
    shells = [(file, name) for file, name, node in calls() for keyword in node.keywords if keyword.arg == "shell"]
    assert shells == []
