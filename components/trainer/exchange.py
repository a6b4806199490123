"""What the step's pod and the hosts of its TrainJob exchange: the prepared data, and the training's outputs.

Kubeflow copies a step's inputs and outputs only for the step's own pod. So that pod puts the data into a folder next
to the checkpoints, which all hosts can read, and takes the outputs from there.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Mapping
from pathlib import Path

from components.storage import bucket, objects, transfer
from components.storage.bucket import Address
from components.storage.output_kinds import PREPARED
from components.storage.outputs import Output, whole_output
from components.storage.volume import is_on_volume

_DATASET = "dataset"


class Exchange:
    """The folder of one TrainJob, on a shared volume or in a bucket.

    Attributes:
        folder: `<checkpoints>/trainjobs/<name of the TrainJob>`.
    """

    def __init__(self, checkpoints: Path | Address, job: str) -> None:
        self.folder = checkpoints / "trainjobs" / job

    def offer(self, dataset: Path) -> str:
        """Copies the prepared data into the folder; returns where they are.

        They are not copied if an earlier try did, or if they are on the volume of the data, which the hosts mount.

        Raises:
            InvalidInput, TryAgain: the folder cannot be written.
        """
        if is_on_volume(dataset):
            return str(dataset)
        place = self.folder / _DATASET
        if isinstance(place, Address):
            names = {path.relative_to(dataset).as_posix() for path in dataset.rglob("*") if path.is_file()}
            transfer.upload(dataset, place, names, PREPARED.what)  # sends only what is missing
        elif not place.exists():
            with whole_output(Output(place, PREPARED)) as copy:
                shutil.copytree(dataset, copy)
        return str(place)

    def places(self, outputs: Mapping[str, Output]) -> dict[str, str]:
        """Returns where the hosts write each of the outputs; the suffixes stay."""
        return {name: str(self.folder / f"{name}{output.place.suffix}") for name, output in outputs.items()}

    def has(self, outputs: Mapping[str, Output]) -> bool:
        """Whether all outputs are there: the hosts have written them, and no earlier try of the step has removed them.

        Raises:
            InvalidInput, TryAgain: the folder cannot be read.
        """
        return all(_exists(place) for place in self.places(outputs).values())

    def collect(self, outputs: Mapping[str, Output]) -> None:
        """Copies the outputs that the hosts wrote to their places.

        Raises:
            InvalidInput, TryAgain: an output is missing, or its place cannot be written.
        """
        for name, place in self.places(outputs).items():
            with whole_output(outputs[name]) as target:
                if isinstance(self.folder, Address):
                    transfer.download(Address.parse(place), target)
                elif Path(place).is_dir():
                    shutil.copytree(place, target)
                else:
                    shutil.copyfile(place, target)

    def remove(self) -> None:
        """Removes the folder."""
        if isinstance(self.folder, Path):
            shutil.rmtree(self.folder, ignore_errors=True)
            with contextlib.suppress(OSError):
                self.folder.parent.rmdir()
            return
        with bucket.opened(self.folder) as opened:
            for blob in opened.list_blobs(prefix=f"{self.folder.name}/", retry=objects.retry()):
                blob.delete(retry=objects.retry())


def _exists(place: str) -> bool:
    if not place.startswith("gs://"):
        return Path(place).exists()
    address = Address.parse(place)
    with bucket.opened(address) as opened:
        if opened.get_blob(address.name, retry=objects.retry()):
            return True
        return any(True for _ in opened.list_blobs(prefix=f"{address.name}/", max_results=1, retry=objects.retry()))
