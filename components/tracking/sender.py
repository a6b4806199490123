"""Sends a training's records from disk to MLflow, in order. Sending a record twice changes nothing."""

from __future__ import annotations

import json
import shutil
import tempfile
import uuid
from pathlib import Path
from typing import Any

from components.tracking.journal import set_aside
from components.tracking.runs import attached_run, create_run, has_run
from components.tracking.server import connect
from components.tracking.spool import Spool

METRICS_IN_A_BATCH = 1000  # MLflow's limit
DATASET_DIGEST_LENGTH = 36  # MLflow's limit; the complete digest is a tag of the input and of the run
PREVIEW_PIXELS = 256
STEP_DIGITS = 9  # MLflow orders folders by name


class Sender:
    """Sends a spool's records to MLflow; each call of `send` continues where the last one ended."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._client = connect()
        self._opened = False
        self._recorded: dict[str, set[int]] = {}  # steps by name
        self._names: set[str] | None = None

    def send(self) -> None:
        """Sends new records. May raise any exception of MLflow."""
        if not self._opened:
            self._open()
            self._opened = True
        sent = self._spool.sent
        for kind, journal in (("history", self._spool.history), ("machine", self._spool.machine)):
            size = METRICS_IN_A_BATCH // max((len(row["figures"]) for row in journal.records), default=1)
            journal.sync()  # sent records must still be on the disk after a power cut
            while rows := journal.records[sent[kind] : sent[kind] + size]:
                self._client.log_batch(
                    sent["run_id"], metrics=_metrics(self._unrecorded(rows) if kind == "history" else rows)
                )
                self._spool.mark(**{kind: sent[kind] + len(rows)})
        for picture in self._spool.pictures():
            send = self._send_sound if picture.suffix == ".wav" else self._send_picture
            if picture.name not in sent["pictures"] and send(sent["run_id"], picture):
                self._spool.mark(pictures=[*sent["pictures"], picture.name])
        status = self._spool.training["status"]
        if status not in ("RUNNING", sent["status"]):
            self._client.set_terminated(sent["run_id"], status, end_time=self._spool.training["end_time"])
            self._spool.mark(status=status)

    def _open(self) -> None:
        """Finds or creates the run and describes it."""
        training, sent = self._spool.training, self._spool.sent
        if sent["run_id"] and not has_run(self._client, sent["run_id"]):
            self._spool.forget()
        if not sent["run_id"]:
            run_id = attached_run(self._client) or create_run(
                self._client,
                ("training_id", training["id"]),
                training.get("name"),
                training["tags"],
                training["start_time"],
            )
            self._describe(run_id)
            self._spool.mark(run_id=run_id)
        if training["status"] == "RUNNING":
            self._client.update_run(sent["run_id"], status="RUNNING")
            self._spool.mark(status="RUNNING")

    def _unrecorded(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Returns the rows without values that the run already has, from records that were lost on this machine."""
        run_id = self._spool.sent["run_id"]
        if self._names is None:
            self._names = set(self._client.get_run(run_id).data.metrics)
        for name in {name for row in rows for name in row["figures"]} - self._recorded.keys():
            points = self._client.get_metric_history(run_id, name) if name in self._names else []
            self._recorded[name] = {point.step for point in points}
        return [{**row, "figures": self._new_figures(row)} for row in rows]

    def _new_figures(self, row: dict[str, Any]) -> dict[str, float]:
        return {name: value for name, value in row["figures"].items() if row["step"] not in self._recorded[name]}

    def _describe(self, run_id: str) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag, Param, RunTag
        from mlflow.exceptions import MlflowException

        training = self._spool.training
        # An attached run may have parameters already, and MLflow refuses to change one.
        known = self._client.get_run(run_id).data.params
        parameters = [Param(key, value) for key, value in training["parameters"].items() if key not in known]
        described = {**training["tags"], "training_id": training["id"]}  # also identifies an attached run
        self._client.log_batch(run_id, params=parameters, tags=[RunTag(*tag) for tag in described.items()])
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
        except MlflowException:  # another training logged the same data at the same time, and now the server has it
            self._client.log_inputs(run_id, datasets=inputs)

    def _send_picture(self, run_id: str, picture: Path) -> bool:
        """Uploads the same files as MlflowClient.log_image, but with reproducible names instead of random ones.

        Returns:
            False if the file is not a picture and was set aside.
        """
        from PIL import Image

        name, step = picture.stem.split("+")
        milliseconds = picture.stat().st_mtime_ns // 1_000_000
        identity = uuid.uuid5(uuid.NAMESPACE_OID, picture.stem)
        with tempfile.TemporaryDirectory() as folder:
            stem = Path(folder) / f"{name}+step+{step}+timestamp+{milliseconds}+{identity}"
            try:
                with Image.open(picture) as file:
                    image = file.copy()
            except (OSError, SyntaxError, ValueError) as error:
                if getattr(error, "errno", None):  # the disk's fault, not the file's
                    raise
                set_aside(picture)
                return False
            image.save(f"{stem}.png")
            image.thumbnail((PREVIEW_PIXELS, PREVIEW_PIXELS))
            image.save(f"{stem}+compressed.webp")
            self._client.log_artifacts(run_id, folder, "images")
        self._client.set_tag(run_id, "mlflow.loggedImages", "True")
        return True

    def _send_sound(self, run_id: str, sound: Path) -> bool:
        """Uploads a sound as sounds/<step>/<name>.wav, which MLflow's artifact viewer plays."""
        name, step = sound.stem.split("+")
        with tempfile.TemporaryDirectory() as folder:
            shutil.copy(sound, Path(folder) / f"{name}.wav")
            self._client.log_artifacts(run_id, folder, f"sounds/{int(step):0{STEP_DIGITS}}")
        return True


def _metrics(rows: list[dict[str, Any]]) -> list[Any]:
    from mlflow.entities import Metric

    return [
        Metric(name, value, row["timestamp"], row["step"]) for row in rows for name, value in row["figures"].items()
    ]
