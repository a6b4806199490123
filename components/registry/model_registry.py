"""One model in the MLflow registry, with its versions and aliases. All calls can be repeated safely."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.registry.model_card import FILE as CARD
from components.registry.model_package import save_served_model
from components.tracking.description import describe
from components.tracking.lineage import lineage
from components.tracking.run_name import run_name
from components.tracking.runs import create_run, has_run
from components.tracking.scores import points
from components.tracking.spool import now_milliseconds
from gan_core import metric_names
from gan_core.errors import TryAgain
from gan_core.evaluation.protocol import Evaluation
from gan_core.export import read_metadata
from gan_core.output_files import STATE_FILE

_CARD_TAG = "model_card"


class ModelRegistry:
    """The versions of the model `name`, which is created if it does not exist.

    A version's identity is a digest of its generator and scores, kept in its tag `registration`. The same generator
    with the same scores is therefore found again and not registered twice.
    """

    def __init__(self, client: Any, name: str) -> None:
        self.client = client
        self._name = name
        from mlflow.exceptions import MlflowException

        try:
            client.create_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise

    def register(self, identity: str, model: Path, evaluation: Evaluation, tags: Mapping[str, str]) -> Any:
        """Returns the version with this identity; registers the generator in the folder `model` if there is none."""
        if (version := self._find(identity)) is None:
            logged = self._log(identity, model, evaluation)
            self.client.create_model_version(
                self._name,
                logged.artifact_location,
                run_id=logged.source_run_id,
                tags={**tags, "registration": identity},
                model_id=logged.model_id,
            )
            version = self._find(identity)
        return version

    def keep_card(self, number: str, card: str) -> None:
        """Stores a version's model card beside its model, unless it is there already; its tag has the digest."""
        digest = f"sha256-{hashlib.sha256(card.encode()).hexdigest()}"
        version = self.version(number)
        if version.tags.get(_CARD_TAG) == digest:
            return
        experiment = self.client.get_run(version.run_id).info.experiment_id
        if logged := self._only_ready_model(experiment, version.tags["registration"]):
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / CARD
                path.write_text(card, encoding="utf-8")
                self.client.log_model_artifact(logged.model_id, str(path))
            self.tag(number, _CARD_TAG, digest)

    def describe(self, number: str, decision: str, evaluation: Evaluation, score: str) -> None:
        """Sets a version's description: its score, samples, report and the decision."""
        shown = describe(self.client, self.version(number).run_id, evaluation, score)
        self.client.update_model_version(self._name, number, f"{shown}\n\n{decision}")

    def version(self, number: str) -> Any:
        """Returns the version with this number."""
        return self.client.get_model_version(self._name, number)

    def aliases(self) -> dict[str, str]:
        """Returns the number of the version that each alias names."""
        aliases = self.client.get_registered_model(self._name).aliases
        return {alias: str(number) for alias, number in aliases.items()}

    def set_alias(self, alias: str, number: str) -> None:
        """Sets the alias to this version."""
        self.client.set_registered_model_alias(self._name, alias, number)

    def remove_alias(self, alias: str, number: str) -> None:
        """Removes the alias if it names this version."""
        if self.aliases().get(alias) == number:
            self.client.delete_registered_model_alias(self._name, alias)

    def tag(self, number: str, key: str, value: str) -> None:
        """Sets a tag of a version."""
        self.client.set_model_version_tag(self._name, number, key, value)

    def _find(self, identity: str) -> Any | None:
        """Returns the oldest version with this identity. Deletes others, which repeated calls may have created."""
        found = self.client.search_model_versions(f"name = '{self._name}' and tags.registration = '{identity}'")
        numbers = sorted(int(version.version) for version in found)
        for repeated in numbers[1:]:
            self.client.delete_model_version(self._name, str(repeated))
        return self.version(str(numbers[0])) if numbers else None

    def _log(self, identity: str, model: Path, evaluation: Evaluation) -> Any:
        """Logs the generator and its scores to its training's run, or to a new run if the server has none."""
        from mlflow.exceptions import MlflowException

        generator = read_metadata(model)
        client, run_id = self.client, evaluation.tracking_run_id
        if run_id is None or not has_run(client, run_id):
            note = "The training of this generator has no run on this server, so the registration created this one."
            tags = {**lineage(), "mlflow.note.content": note}
            name = run_name(generator.dataset_source, generator.shape, generator.parameters, tags.get("dvc_experiment"))
            run_id = create_run(client, ("registration", identity), name, tags, now_milliseconds())
            client.set_terminated(run_id)
        experiment = client.get_run(run_id).info.experiment_id
        if ready := self._only_ready_model(experiment, identity):
            return ready
        logged = client.create_logged_model(experiment, "generator", run_id, {"registration": identity})
        try:
            self._fill(logged, model, evaluation)
        except MlflowException:
            if any(other.model_id == logged.model_id for other in self._logged(experiment, identity)):
                raise
        # Two processes that register the same generator simultaneously delete each other's unfinished models.
        if ready := self._only_ready_model(experiment, identity):
            return ready
        raise TryAgain("Another process is registering the same generator. Run the same command again.")

    def _fill(self, logged: Any, model: Path, evaluation: Evaluation) -> None:
        """Fills a logged model with the generator, and logs the generator's scores to the run."""
        from mlflow.entities import LoggedModelOutput
        from mlflow.models import Model

        client, run_id = self.client, logged.source_run_id
        with tempfile.TemporaryDirectory() as folder:
            description = Model(logged.artifact_location, run_id, model_uuid=logged.model_id, model_id=logged.model_id)
            save_served_model(Path(folder) / "model", model, read_metadata(model), description)
            client.log_model_artifacts(logged.model_id, str(Path(folder) / "model"))
        if (model / STATE_FILE).exists():
            client.log_artifact(run_id, str(model / STATE_FILE))
        step = evaluation.images_seen
        scores = {metric_names.score(name): value for name, value in evaluation.scores.items()}
        client.log_batch(run_id, points(client, run_id, scores, step, logged.model_id))
        client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step)])
        client.finalize_logged_model(logged.model_id, "READY")

    def _logged(self, experiment: str, identity: str) -> Any:
        """Returns the logged models of a registration, finished or not."""
        return self.client.search_logged_models([experiment], f"tags.registration = '{identity}'")

    def _only_ready_model(self, experiment: str, identity: str) -> Any | None:
        """Returns the finished logged model of a registration, if there is one. Deletes the unfinished ones.

        A kill leaves an unfinished model. So does a lost answer, because MLflow's client then repeats the call.
        """
        ready = None
        for logged in self._logged(experiment, identity):
            if logged.status == "READY":
                ready = logged
            else:
                self.client.delete_logged_model(logged.model_id)
        return ready
