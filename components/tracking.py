"""What a training and its evaluation tell MLflow. A training never waits for the server.

Rows and pictures go to disk (components/spool.py) and a background thread sends them, in order. Sending a thing twice
changes nothing, so whatever may not have arrived is sent again. What an ended training could not send:
`python -m components.tracking send <folder>`.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import sys
import tempfile
import threading
import uuid
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from components import storage
from components.bucket import Address
from components.command import run
from components.lineage import lineage
from components.mlflow_server import connect, create_run, explain, has_run, is_remote
from components.spool import Spool, now_milliseconds
from gan_core.addresses import masked
from gan_core.data.manifest import Manifest
from gan_core.errors import TryAgain
from gan_core.evaluation.protocol import Evaluation

SEND_EVERY_SECONDS = 10.0
PATIENCE_SECONDS = 15.0  # with a server that does not answer, at the end of a training
METRICS_IN_A_BATCH = 1000  # MLflow's limit
DATASET_DIGEST_LENGTH = 36  # MLflow's limit; the whole digest is a tag of the input and of the run
PREVIEW_PIXELS = 256


class TrainingTracker:
    """One MLflow run for one training, also over several starts of it.

    Enter it after TensorFlow has been imported: MLflow is imported in the background, and two threads should not
    import the packages that both use at the same time.

    Args:
        folder: where the records stand; the same for every start of the same training.
        kept_at: where the records stand after the training, if not there.
        parameters: the train section; tracked as `train.<key>`, beside the data's `prepare.<key>`.
        tags: more of them than where the code comes from, which is always told.
        dataset: of the prepared data.
    """

    def __init__(
        self,
        folder: Path,
        *,
        parameters: Mapping[str, object],
        tags: Mapping[str, str],
        dataset: Manifest,
        kept_at: Path | Address | None = None,
    ) -> None:
        values = {f"train.{key}": value for key, value in parameters.items()}
        values |= {f"prepare.{key}": value for key, value in dataset.settings.items()}
        training = {
            "parameters": {key: masked(str(value)) for key, value in values.items()},
            "tags": {**lineage(), "data_digest": dataset.digest, **tags},
            "dataset": {
                "name": masked(dataset.source),
                "digest": dataset.digest,
                "profile": {"shape": dataset.shape, "counts": dataset.counts, "classes": len(dataset.classes)},
            },
        }
        self._spool = Spool(folder, training)
        self._kept_at = kept_at or folder
        self._logged = {(row["step"], name) for row in self._spool.history.records for name in row["figures"]}
        self._stop = threading.Event()
        self._contacted = threading.Event()
        self._problem = ""
        self._thread = threading.Thread(target=self._work, name="tracking", daemon=True)

    def __enter__(self) -> Self:
        self._spool.set_status("RUNNING")
        # MLflow's import makes full collections, which would go through all that TensorFlow has made, too.
        gc.freeze()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends the run FINISHED, FAILED, or KILLED if it was interrupted: the next start sets it running again."""
        interrupted = kind is not None and issubclass(kind, KeyboardInterrupt | SystemExit)
        self._spool.set_status("FINISHED" if kind is None else "KILLED" if interrupted else "FAILED")
        self._stop.set()
        self._thread.join(PATIENCE_SECONDS if is_remote() else None)
        gc.unfreeze()
        if unsent := self._spool.unsent():
            _say(
                f"MLflow did not take {unsent}{self._problem and f' ({self._problem})'}. "
                f"Send them later: python -m components.tracking send {self._kept_at}"
            )
        self._spool.close()

    @property
    def run_id(self) -> str | None:
        """The MLflow run, or None while the server is away. Waits for the first contact to succeed or fail."""
        self._contacted.wait(PATIENCE_SECONDS if is_remote() else None)
        run_id: str | None = self._spool.sent["run_id"]
        return run_id

    def log_row(self, images_seen: int, figures: Mapping[str, float]) -> None:
        """Records what is new in a row of the history: a resumed training repeats rows, the last may get a score."""
        new = {name: value for name, value in figures.items() if (images_seen, name) not in self._logged}
        if new:
            self._spool.history.append(_record(images_seen, new))
            self._logged |= {(images_seen, name) for name in new}

    def log_image(self, images_seen: int, name: str, image: NDArray[np.uint8]) -> None:
        """Records a picture, uint8 [H, W, C]."""
        self._spool.save_picture(images_seen, name, image)

    def rows(self) -> list[dict[str, float]]:
        """The whole history, also from before a kill: `images_seen` and the figures of each row."""
        return [{"images_seen": row["step"], **row["figures"]} for row in self._spool.history.records]

    def _work(self) -> None:
        """The background thread. Nothing that goes wrong here may end the training, hence the broad except."""
        sender = machine = None
        stopping = False
        while not stopping:
            stopping = self._stop.wait(SEND_EVERY_SECONDS if self._contacted.is_set() else 0)
            try:
                sender = sender or _Sender(self._spool)
                machine = machine or _Machine()
                self._spool.machine.append(_record(len(self._spool.machine.records), machine.read()))
                sender.send()
                self._problem = ""
            except Exception as error:
                if not self._problem:
                    _say(f"MLflow is away: {explain(error)} The training goes on; its records wait on disk.")
                self._problem = explain(error)
            self._contacted.set()


class _Machine:
    """Reads what MLflow calls system metrics. Its own monitor gives up for good when the server does not answer."""

    def __init__(self) -> None:
        from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
        from mlflow.system_metrics.metrics.disk_monitor import DiskMonitor
        from mlflow.system_metrics.metrics.gpu_monitor import GPUMonitor
        from mlflow.system_metrics.metrics.network_monitor import NetworkMonitor

        self._monitors = [CPUMonitor(), DiskMonitor(), NetworkMonitor()]
        try:
            self._monitors.append(GPUMonitor())
        except (ImportError, RuntimeError):  # how it says that there is no NVIDIA GPU
            return

    def read(self) -> dict[str, float]:
        figures = {}
        for monitor in self._monitors:
            monitor.collect_metrics()
            figures.update(monitor.aggregate_metrics())
            monitor.clear_metrics()
        return {f"system/{name}": value for name, value in figures.items()}


class _Sender:
    """Brings what a spool holds to MLflow; every call of `send` goes on where the last one got to."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._client = connect()
        self._opened = False
        self._recorded: set[int] | None = None

    def send(self) -> None:
        """Sends what is new. Raises what MLflow raises."""
        if not self._opened:
            self._open()
            self._opened = True
        sent = self._spool.sent
        for kind, journal in (("history", self._spool.history), ("machine", self._spool.machine)):
            size = METRICS_IN_A_BATCH // max((len(row["figures"]) for row in journal.records), default=1)
            while rows := journal.records[sent[kind] : sent[kind] + size]:
                self._client.log_batch(
                    sent["run_id"], metrics=_metrics(self._unrecorded(rows) if kind == "history" else rows)
                )
                self._spool.mark(**{kind: sent[kind] + len(rows)})
        for picture in self._spool.pictures():
            if picture.name not in sent["pictures"]:
                self._send_picture(sent["run_id"], picture)
                self._spool.mark(pictures=[*sent["pictures"], picture.name])
        status = self._spool.training["status"]
        if status not in ("RUNNING", sent["status"]):
            self._client.set_terminated(sent["run_id"], status, end_time=self._spool.training["end_time"])
            self._spool.mark(status=status)

    def _open(self) -> None:
        """Finds or makes the run and says what it is."""
        training, sent = self._spool.training, self._spool.sent
        if sent["run_id"] and not has_run(self._client, sent["run_id"]):
            self._spool.forget()
        if not sent["run_id"]:
            run_id = os.environ.get("MLFLOW_RUN_ID") or create_run(
                self._client, ("training_id", training["id"]), training["tags"], training["start_time"]
            )
            self._describe(run_id)
            self._spool.mark(run_id=run_id)
        if training["status"] == "RUNNING":
            self._client.update_run(sent["run_id"], status="RUNNING")
            self._spool.mark(status="RUNNING")

    def _unrecorded(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The rows but for those that the run has from a start whose records were lost with its machine."""
        if self._recorded is None:
            points = self._client.get_metric_history(self._spool.sent["run_id"], next(iter(rows[0]["figures"])))
            self._recorded = {point.step for point in points}
        return [row for row in rows if row["step"] not in self._recorded]

    def _describe(self, run_id: str) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag, Param, RunTag
        from mlflow.exceptions import MlflowException

        training = self._spool.training
        # An attached run may have parameters already, and MLflow refuses to change one.
        known = self._client.get_run(run_id).data.params
        parameters = [Param(key, value) for key, value in training["parameters"].items() if key not in known]
        self._client.log_batch(run_id, params=parameters, tags=[RunTag(*tag) for tag in training["tags"].items()])
        data = training["dataset"]
        dataset = Dataset(
            name=data["name"],
            digest=data["digest"][:DATASET_DIGEST_LENGTH],
            source_type="prepared",
            source=json.dumps({"digest": data["digest"], "source": data["name"]}),
            profile=json.dumps(data["profile"]),
        )
        tags = [InputTag("mlflow.data.context", "training"), InputTag("digest", data["digest"])]
        inputs = [DatasetInput(dataset, tags)]
        try:
            self._client.log_inputs(run_id, datasets=inputs)
        except MlflowException:  # another training named the same data in the same moment; now the server knows them
            self._client.log_inputs(run_id, datasets=inputs)

    def _send_picture(self, run_id: str, picture: Path) -> None:
        """Uploads what MlflowClient.log_image does, under a name that is the same each time; its own is random."""
        from PIL import Image

        name, step = picture.stem.split("+")
        milliseconds = picture.stat().st_mtime_ns // 1_000_000
        identity = uuid.uuid5(uuid.NAMESPACE_OID, picture.stem)
        with tempfile.TemporaryDirectory() as folder:
            stem = Path(folder) / f"{name}+step+{step}+timestamp+{milliseconds}+{identity}"
            with Image.open(picture) as image:
                image.save(f"{stem}.png")
                image.thumbnail((PREVIEW_PIXELS, PREVIEW_PIXELS))
                image.save(f"{stem}+compressed.webp")
            self._client.log_artifacts(run_id, folder, "images")
        self._client.set_tag(run_id, "mlflow.loggedImages", "True")


def log_evaluation(evaluation: Evaluation, report: Path) -> None:
    """Writes the figures, under the names DVC gives them, and the report into the run of the generator's training.

    Never fails the evaluation: without a run, or a server that answers, one sentence says that MLflow has no scores.
    """
    from mlflow.entities import Metric, RunTag

    run_id = evaluation.tracking_run_id
    if run_id is None:
        _say("The generator's training has no MLflow run, so the scores are not in MLflow.")
        return
    try:
        client = connect()
        known = client.get_run(run_id).data.metrics
        now = now_milliseconds()
        client.log_batch(
            run_id,
            metrics=[
                Metric(name, value, now, evaluation.images_seen)
                for name, value in evaluation.figures().items()
                if known.get(name) != value
            ],
            tags=[RunTag("protocol", evaluation.protocol.model_dump_json())],
        )
        client.log_artifact(run_id, str(report))
    except Exception as error:  # whatever the server does, the evaluation is done
        _say(f"The scores are not in MLflow: {explain(error)}")


def _record(step: int, figures: Mapping[str, float]) -> dict[str, object]:
    return {"step": step, "timestamp": now_milliseconds(), "figures": {k: float(v) for k, v in figures.items()}}


def _metrics(rows: list[dict[str, Any]]) -> list[Any]:
    from mlflow.entities import Metric

    return [
        Metric(name, value, row["timestamp"], row["step"]) for row in rows for name, value in row["figures"].items()
    ]


def _say(message: str) -> None:
    print(message, file=sys.stderr)


def _send_command() -> None:
    parser = argparse.ArgumentParser(prog="python -m components.tracking", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    send = commands.add_parser("send", help="send what an ended training could not")
    send.add_argument("folder", type=storage.input_path, help="the training's tracking folder")
    with storage.local_paths(parser.parse_args()) as local:
        spool = Spool(local.folder)
        if spool.training["status"] == "RUNNING":
            spool.set_status("KILLED")
        try:
            _Sender(spool).send()
        except Exception as error:
            raise TryAgain(f"MLflow did not take {spool.unsent()}: {explain(error)}") from None
        print(f"Everything is in the MLflow run {spool.sent['run_id']}.")


if __name__ == "__main__":
    run(_send_command)
