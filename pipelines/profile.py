"""Profiles say where the steps run. Each is a YAML file in infra/profiles/, checked here and applied to each task."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from gan_core.bucket_address import split_bucket
from gan_core.errors import InvalidInput
from gan_core.masking import is_secret, masked
from gan_core.record import Record, faults
from pipelines.parameters import load_yaml

if TYPE_CHECKING:
    from kfp.dsl import PipelineTask

# Google Kubernetes Engine puts this label on spot nodes; a pool reserved for spot pods has a taint of the same name.
SPOT_LABEL = "cloud.google.com/gke-spot"

Step = Literal["resolve", "fetch", "prepare", "check", "train", "evaluate", "choose", "register", "report-status"]
Name = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")]
Variable = Annotated[str, Field(pattern=r"^[A-Z_][A-Z0-9_]*$")]
Quantity = Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)?(m|Ki|Mi|Gi|Ti|K|M|G|T)?$")]
Seconds = Annotated[int, Field(ge=1)]

DATA_FOLDER = "/data"
"""Where the steps mount a profile's `data_claim`. They learn it from the environment variable DATA_VOLUME."""
_STEPS_WITH_DATA = ("fetch", "prepare", "check", "train", "evaluate")


class Toleration(Record):
    """A taint that the pod tolerates, as Kubernetes writes it."""

    key: str
    operator: Literal["Equal", "Exists"]
    value: str = ""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"]


class Accelerator(Record):
    """GPUs of a pod: `resource` is the device plugin's name for them, such as nvidia.com/gpu."""

    resource: str
    count: Annotated[int, Field(ge=1)]


class Resources(Record):
    """The resources that a pod requests.

    Attributes:
        shared_memory: size of /dev/shm, which counts towards the pod's memory; None for the runtime's 64 MB.
        spot: whether to run on spot nodes, which may be taken away at any time.
        timeout_seconds: time after which an attempt is stopped.
        retries: number of retries of a failed step, unless it failed by the user's mistake.
    """

    cpu_request: Quantity
    cpu_limit: Quantity
    memory_request: Quantity
    memory_limit: Quantity
    shared_memory: Quantity | None = None
    accelerator: Accelerator | None = None
    node_selector: dict[str, str] = Field(default_factory=dict)
    tolerations: tuple[Toleration, ...] = ()
    spot: bool = False
    timeout_seconds: Seconds
    retries: Annotated[int, Field(ge=0)]

    @model_validator(mode="after")
    def _limits_allow_the_requests(self) -> Self:
        from kubernetes.utils import parse_quantity

        for resource in ("cpu", "memory"):
            request, limit = getattr(self, f"{resource}_request"), getattr(self, f"{resource}_limit")
            if parse_quantity(limit) < parse_quantity(request):
                raise ValueError(
                    f"{resource}_limit must not be below {resource}_request. Received: {limit}, below {request}"
                )
        return self


class TrainingResources(Resources):
    """The resources of each host that trains.

    Attributes:
        hosts: with more than one, Kubeflow Trainer runs them as a TrainJob, and the step's own pod has the resources
            `light`.
        queue: the queue of Kueue that admits the TrainJob; None without Kueue.
    """

    hosts: Annotated[int, Field(ge=1)] = 1
    queue: Name | None = None

    @model_validator(mode="after")
    def _only_several_hosts_queue(self) -> Self:
        if self.queue is not None and self.hosts == 1:
            raise ValueError(f"queue is for a TrainJob, which has several hosts. Received: queue={self.queue}, hosts=1")
        return self


class Secret(Record):
    """Keys of a Kubernetes secret that some steps get as environment variables.

    Attributes:
        variables: key of the secret → environment variable.
        optional: whether the steps also run without the secret.
    """

    name: Name
    variables: dict[str, Variable]
    steps: Annotated[tuple[Step, ...], Field(min_length=1)]
    optional: bool


class Profile(Record):
    """A place where a pipeline runs.

    Attributes:
        name: the file's name, which is part of the pipeline's name.
        service_account: service account that `submit` and `schedule` request; the compiled file cannot hold it.
        run_as_non_root: whether Kubernetes refuses to start the image as root.
        retry_after_seconds: delay before a failed step's first retry; it doubles with each retry until the run's
            deadline.
        checkpoints: where trainings keep checkpoints, a folder in the pod or gs://. Each training has a subfolder whose
            name is derived from everything that determines its weights.
        checkpoints_claim: the PersistentVolumeClaim that the training mounts at `checkpoints`; None if they lie in gs://
            or go with the pod.
        data_claim: the PersistentVolumeClaim on which the steps keep raw and prepared data; None if Kubeflow copies the
            data from pod to pod.
        environment: environment variables of every step.
        light: resources of all steps except `prepare`, `train` and `evaluate`, which have their own.
    """

    name: Name
    service_account: Name
    run_as_non_root: bool
    retry_after_seconds: Seconds
    run_ttl_seconds: Seconds
    run_deadline_seconds: Seconds
    sweep_parallelism: Annotated[int, Field(ge=1)]
    checkpoints: Annotated[str, Field(pattern=r"^(/|gs://)")]
    checkpoints_claim: Name | None = None
    data_claim: Name | None = None
    environment: dict[Variable, str]
    secrets: tuple[Secret, ...]
    light: Resources
    prepare: Resources
    train: TrainingResources
    evaluate: Resources

    @model_validator(mode="after")
    def _spot_training_can_resume(self) -> Self:
        if self.train.spot and not self.checkpoints.startswith("gs://"):
            raise ValueError(
                f"A training on spot nodes must keep its checkpoints in gs://. Received: checkpoints={self.checkpoints}"
            )
        return self

    @model_validator(mode="after")
    def _hosts_share_their_checkpoints(self) -> Self:
        if self.train.hosts > 1 and not (self.checkpoints_claim or self.checkpoints.startswith("gs://")):
            raise ValueError(
                "Several hosts must keep their checkpoints in gs:// or on a claim that all of them can mount. "
                f"Received: hosts={self.train.hosts}, checkpoints={self.checkpoints}"
            )
        return self

    @model_validator(mode="after")
    def _a_claim_has_a_folder_and_one_node(self) -> Self:
        if self.checkpoints_claim is not None and self.checkpoints.startswith("gs://"):
            raise ValueError(f"A claim is mounted at a folder. Received: checkpoints={self.checkpoints}")
        for key in ("checkpoints_claim", "data_claim"):
            if getattr(self, key) is not None and self.sweep_parallelism > 1:
                raise ValueError(
                    f"Nodes cannot share a claim, so with {key} sweep_parallelism must be 1. "
                    f"Received: sweep_parallelism={self.sweep_parallelism}"
                )
        if self.data_claim is not None and self.data_claim == self.checkpoints_claim:
            raise ValueError(
                f"Kubeflow mounts a claim only once in a pod. Received: data_claim={self.data_claim}, twice"
            )
        return self

    @field_validator("checkpoints")
    @classmethod
    def _checkpoints_have_a_place(cls, checkpoints: str) -> str:
        if checkpoints.startswith("gs://"):
            try:
                split_bucket(checkpoints)
            except InvalidInput as error:
                raise ValueError(str(error)) from None
        elif not checkpoints.isprintable():
            raise ValueError(f"A folder's name must be printable. Received: {checkpoints!r}")
        return checkpoints

    @model_validator(mode="after")
    def _secrets_stay_out(self) -> Self:
        for variable, value in self.environment.items():
            if is_secret(variable, value) or masked(value) != value:
                raise ValueError(
                    "Everyone can read the environment in the compiled pipeline; take secrets from Kubernetes, "
                    f"under `secrets`. Received: environment.{variable}"
                )
        return self

    @classmethod
    def read(cls, path: Path) -> Profile:
        """Reads a profile; its name is that of the file.

        Raises:
            InvalidInput: the file cannot be read, or one line for each wrong key.
        """
        values = load_yaml(path, "--profile")
        if not isinstance(values, dict):
            raise InvalidInput(f"A profile must be a mapping. Received: {path}")
        try:
            return cls.model_validate({**values, "name": path.stem})
        except ValidationError as error:
            raise InvalidInput(f"The profile is not valid: {'; '.join(faults(error))}. Received: {path}") from None

    def resources(self, step: Step) -> Resources:
        """Returns the resources that the pod of `step` requests."""
        if step == "train" and self.train.hosts > 1:  # its pod waits for the hosts
            own = {"timeout_seconds": self.train.timeout_seconds, "retries": self.train.retries}
            return self.light.model_copy(update=own)
        return {"prepare": self.prepare, "train": self.train, "evaluate": self.evaluate}.get(step, self.light)

    def place(self, task: PipelineTask, step: Step, image: str) -> PipelineTask:
        """Sets the task's image, resources, nodes, secrets and environment, and returns it."""
        from kfp import kubernetes

        task.set_container_image(image)
        _request(task, self.resources(step))
        for variable, value in self.environment.items():
            task.set_env_variable(variable, value)
        if "@" in image:
            task.set_env_variable("IMAGE_DIGEST", image.partition("@")[2])
        kubernetes.use_field_path_as_env(task, "KFP_RUN_ID", "metadata.labels['pipeline/runid']")
        for secret in self.secrets:
            if step in secret.steps:
                kubernetes.use_secret_as_env(task, secret.name, dict(secret.variables), optional=secret.optional)
        if step == "train" and self.checkpoints_claim is not None:
            kubernetes.mount_pvc(task, self.checkpoints_claim, self.checkpoints)
        if step in _STEPS_WITH_DATA and self.data_claim is not None:
            kubernetes.mount_pvc(task, self.data_claim, DATA_FOLDER)
            task.set_env_variable("DATA_VOLUME", DATA_FOLDER)
        if self.run_as_non_root:
            kubernetes.set_security_context(task, run_as_non_root=True)
        return task


def _request(task: PipelineTask, resources: Resources) -> None:
    from kfp import kubernetes

    task.set_cpu_request(resources.cpu_request).set_cpu_limit(resources.cpu_limit)
    task.set_memory_request(resources.memory_request).set_memory_limit(resources.memory_limit)
    if resources.accelerator:
        task.set_accelerator_type(resources.accelerator.resource).set_accelerator_limit(resources.accelerator.count)
    if resources.shared_memory:
        kubernetes.empty_dir_mount(task, "shared-memory", "/dev/shm", "Memory", resources.shared_memory)  # noqa: S108
    selector, tolerations = dict(resources.node_selector), list(resources.tolerations)
    if resources.spot:
        selector[SPOT_LABEL] = "true"
        tolerations.append(Toleration(key=SPOT_LABEL, operator="Equal", value="true", effect="NoSchedule"))
    for label, value in selector.items():
        kubernetes.add_node_selector(task, label, value)
    for toleration in tolerations:
        kubernetes.add_toleration(task, toleration.key, toleration.operator, toleration.value, toleration.effect)
    kubernetes.set_timeout(task, resources.timeout_seconds)
