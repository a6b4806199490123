"""The key of a training's checkpoints, and the message about checkpoints that cannot be resumed."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from recipes import small_training
from storage_emulator import BUCKET
from storage_proxy import StorageProxy

from components.storage import bucket
from components.storage.bucket import Address
from components.training.code_digests import ROOTS, code_digests
from components.training.identity import FILE_NAME, Identity, identify
from gan_core.training.checkpoints import Checkpoints

ROOT = Path(__file__).resolve().parents[3]


CODE = code_digests()


def identity(**changes: object) -> Identity:
    return identify(small_training(**changes), "sha256-data", "sha256-initial", CODE, xla=False, mixed_precision=False)


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """A folder with a copy of gan_core."""
    shutil.copytree(ROOT / "gan_core", tmp_path / "gan_core", ignore=shutil.ignore_patterns("__pycache__", "embedded"))
    return tmp_path


def edit(library: Path, name: str, old: str, new: str) -> None:
    path = library / "gan_core" / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


EDITS_WITHOUT_EFFECT = [
    ("training/losses.py", '"""', '"""Another docstring. '),
    ("training/state.py", "import numpy as np", "import numpy as np\n\n# A comment."),
    ("training/augment.py", "_IMAGES_TO_ADAPT = 500_000", "_IMAGES_TO_ADAPT = (\n    500000\n)"),
    ("training/batches.py", "indices(self, start: int, count: int)", "indices(self, start: Any, count: Any)"),
    ("training/distribution.py", "raise InvalidInput(", 'raise InvalidInput("Another sentence. " '),
    (
        "training/loop.py",
        "            _logger.warning(",
        '            _logger.info("More.")\n            _logger.warning(',
    ),
    ("evaluation/report/page.html.j2", "<", "<!-- --><"),
    ("evaluation/report/page.py", "def ", "def another() -> None: ...\n\n\ndef "),
    ("evaluation/evaluator.py", "def ", "ANOTHER = 1\n\n\ndef "),
    ("evaluation/metrics/kernel.py", "def ", "ANOTHER = 1\n\n\ndef "),
    ("data/prepare.py", "def ", "ANOTHER = 1\n\n\ndef "),
    ("config/evaluate.py", "class EvaluateConfig(Section):", "class EvaluateConfig(Section):\n    another: int"),
    ("training/checkpoints.py", "ThreadPoolExecutor(1)", "ThreadPoolExecutor(2)"),
    ("export.py", "def load_generator", "ANOTHER = 1\n\n\ndef load_generator"),
]
EDITS_WITH_EFFECT = {
    ("training/losses.py", "return ", "return 1 + "): "training.losses.cross_entropy_discriminator",
    ("training/optimizer.py", "_EPSILON = 1e-7", "_EPSILON = 1e-8"): "training.optimizer._EPSILON",
    (
        "training/draws.py",
        "_FAKE, _GENERATOR = range(3)",
        "_FAKE, _GENERATOR = range(1, 4)",
    ): "training.draws._REAL training.draws._FAKE training.draws._GENERATOR",
    ("networks/layers.py", "_STRIDE = ", "_STRIDE = 1 + "): "networks.layers._STRIDE",
    ("networks/shapes.py", "def widths(", "def widths(*other, "): "networks.shapes.widths",
    (
        "evaluation/metrics/frechet.py",
        "def frechet_distance(",
        "def frechet_distance(*a, ",
    ): "evaluation.metrics.frechet.frechet_distance",
    (
        "evaluation/extractors/classifier.py",
        "def _scale(",
        "def _scale(*other, ",
    ): "evaluation.extractors.classifier._scale",
    ("data/prepared.py", "np.searchsorted(", "1 + np.searchsorted("): "data.prepared.ImageSplit",
    ("training/diversity.py", "WARM_UP_IMAGES = ", "WARM_UP_IMAGES = 1 + "): "training.diversity.WARM_UP_IMAGES",
    ("training/batches.py", "class RealBatches", "print('on import')\n\n\nclass RealBatches"): "training.batches.",
}


def test_edits_that_change_no_weight_keep_the_key(library: Path) -> None:
    for change in EDITS_WITHOUT_EFFECT:
        edit(library, *change)
    assert code_digests(library) == CODE


def test_edits_that_can_change_weights_change_the_key_and_are_named(library: Path) -> None:
    for change in EDITS_WITH_EFFECT:
        edit(library, *change)
    now = code_digests(library)
    differing = {name for name in CODE.keys() | now.keys() if CODE.get(name) != now.get(name)}
    assert differing == {f"gan_core.{name}" for names in EDITS_WITH_EFFECT.values() for name in names.split()}


def test_a_name_exported_by_a_package_counts_as_its_definition(library: Path) -> None:
    edit(library, "networks/shapes.py", "import RESOLUTIONS", "import RegisterConfig as RESOLUTIONS")
    assert code_digests(library).keys() - CODE.keys() >= {"gan_core.config.register.RegisterConfig"}


def test_every_root_is_a_definition_of_the_library() -> None:
    assert set(ROOTS) <= CODE.keys()


def test_only_parameters_that_change_the_weights_are_in_the_key() -> None:
    key = identity().key
    assert key == identity(steps=10**6, steps_per_execution=1, checkpoints_kept=9, distribution="mirrored").key
    assert (
        key == identity(warm_start="models:/generator@champion").key
    )  # the key contains the digest of its content instead
    assert key != identity(learning_rate=0.1).key
    for change in ({"dataset": "other"}, {"initial": "other"}, {"versions": {}}, {"code": {}}):
        assert key != identity().model_copy(update=change).key


def write_checkpoint(checkpoints: Path | Address, now: Identity, folder: Path | None = None) -> None:
    """Writes a checkpoint after 800 images, and the identity of its training."""
    with Checkpoints(folder or checkpoints / now.key, 3) as kept:
        kept.write(800, {"weights": np.zeros(3)})
        kept.wait()
    now.write(checkpoints)


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        (
            lambda now: {"parameters": now.parameters | {"learning_rate": 0.5}},
            "parameter train.learning_rate 0.001 → 0.5",
        ),
        (lambda now: {"dataset": "sha256-more"}, "data sha256-data → sha256-more"),
        (lambda now: {"initial": "sha256-x"}, "state to start from sha256-initial → sha256-x"),
        (lambda now: {"versions": now.versions | {"keras": "4.0"}}, "library keras 3.15.1 → 4.0"),
        (
            lambda now: {"code": now.code | {"gan_core.training.state.Gan": "0"}},
            "code gan_core.training.state.Gan",
        ),
    ],
)
def test_the_start_message_says_what_changed(
    tmp_path: Path, change: Callable[[Identity], dict[str, object]], difference: str
) -> None:
    before = identity()
    now = before.model_copy(update=change(before))
    write_checkpoint(tmp_path, before)
    text = now.start_message(tmp_path, 0, 1600, "images")
    copied = (
        " To continue from them with the changed code, if their parameters and data are the same, stop this training "
        f"and copy them: cp -r {tmp_path / before.key}/. {tmp_path / now.key}/"
    )
    assert text == (
        f"The training starts from the beginning: 0 of 1600 images ({tmp_path / now.key}). The checkpoints in "
        f"{tmp_path / before.key} (800 images) cannot be resumed; changed since then: {difference}."
        + (copied if difference.startswith(("library", "code")) else "")
    )


def test_the_most_similar_training_is_compared(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, identity(learning_rate=0.5, seed=3))
    write_checkpoint(tmp_path, identity(learning_rate=0.25))
    write_checkpoint(tmp_path, identity(beta_1=0.25, seed=3))
    assert (
        identity(learning_rate=0.125)
        .start_message(tmp_path, 0, 1600, "images")
        .endswith(": parameter train.learning_rate 0.25 → 0.125.")
    )


def test_a_first_or_resumed_training_is_not_compared(tmp_path: Path) -> None:
    now = identity()
    first = f"The training starts from the beginning: 0 of 1600 images ({tmp_path / now.key})."
    assert now.start_message(tmp_path / "absent", 0, 1600, "images") == first.replace(
        str(tmp_path), str(tmp_path / "absent")
    )
    (tmp_path / "0123456789abcdef").mkdir()  # left by a training that ended before its first checkpoint
    assert now.start_message(tmp_path, 0, 1600, "images") == first
    write_checkpoint(tmp_path, now)
    resumed = f"The training resumes after 800 of 1600 images ({tmp_path / now.key})."
    assert now.start_message(tmp_path, 800, 1600, "images") == resumed
    assert now.start_message(tmp_path, 0, 400, "images") == (
        f"The training starts from the beginning: 0 of 400 images ({tmp_path / now.key}). Its own checkpoints, up "
        "to 800 images, are beyond that number or damaged."
    )


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_text("{")])
def test_checkpoints_without_a_readable_record_count_as_different_code(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    before = identity(seed=1)
    write_checkpoint(tmp_path, before)
    damage(tmp_path / before.key / FILE_NAME)
    message = identity().start_message(tmp_path, 0, 1600, "images")
    assert "changed since then: the code, since an earlier version of this project wrote them. To continue" in message
    assert list((tmp_path / before.key).glob("*.npz"))


def test_the_message_is_the_same_for_checkpoints_in_a_bucket(proxy: StorageProxy, tmp_path: Path) -> None:
    address = Address(BUCKET, "identities")
    before, now = identity(), identity(learning_rate=0.5)
    assert (
        now.start_message(address, 0, 1600, "images")
        == f"The training starts from the beginning: 0 of 1600 images ({address / now.key})."
    )
    write_checkpoint(address, before, tmp_path)
    (checkpoint,) = tmp_path.glob("*.npz")
    with bucket.opened(address) as opened:
        opened.blob(f"{address.name}/{before.key}/{checkpoint.name}").upload_from_filename(checkpoint)
    assert now.start_message(address, 0, 1600, "images").endswith(
        f"The checkpoints in {address / before.key} (800 images) cannot be resumed; changed since then: "
        "parameter train.learning_rate 0.001 → 0.5."
    )
