"""kfp.local runs the compiled pipelines with a small training of each modality, each step in its own strict container.

This does not exercise Kubeflow's driver and launcher, Argo, the transfer of artifacts, or Kubernetes.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml
from docker import DockerClient
from docker.types import Mount
from mlflow import MlflowClient
from strict_containers import NO_SHELL, ROOT, SMALL, STRICT, LocalRun, Run, RunPipeline

from components.storage.dvc_pointer import NOTHING_FETCHED
from gan_core.codecs import codec_of
from gan_core.export import load_generator
from pipelines.parameters import override, read

STEPS = ["resolve", "fetch", "prepare", "check", "train", "evaluate", "register", "report-status"]


@pytest.fixture(scope="module", params=SMALL)
def modality(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def score(modality: str) -> str:
    return "fd_ngram" if modality == "text" else "fd_classifier"


@pytest.fixture(scope="module")
def trained(run_pipeline: RunPipeline, modality: str) -> LocalRun:
    run = run_pipeline("training", modality=modality)
    assert run.succeeded, run.log
    return run


def test_every_step_ran_in_its_container(trained: LocalRun) -> None:
    assert [step for step in STEPS if f"Executing task \x1b[96m'{step}'" in trained.log] == STEPS
    assert trained.log.count("Found image") == len(STEPS)


def test_the_outputs_are_on_disk(trained: LocalRun) -> None:
    assert trained.output("train", "history").read_text().startswith("images_seen,")
    assert trained.output("train", "samples").read_bytes().startswith(b"\x89PNG")
    assert "<html" in trained.output("evaluate", "report").read_text()
    assert [path.name for path in trained.output("fetch", "data").iterdir()] == [NOTHING_FETCHED]


def test_the_metrics_are_in_the_metadata_for_the_runs_page(trained: LocalRun, score: str) -> None:
    scores = json.loads(trained.output("evaluate", "scores").read_text())["scores"]
    output = json.loads(trained.output("evaluate", "executor_output.json").read_text())
    shown = output["artifacts"]["scores"]["artifacts"][0]["metadata"]
    assert shown[score] == pytest.approx(scores[score])
    assert "trial" not in shown


def test_the_model_is_registered(trained: LocalRun, score: str) -> None:
    client = MlflowClient(f"sqlite:///{trained.root}/mlflow.db")
    manifest = json.loads((trained.output("prepare", "dataset") / "manifest.json").read_text())
    name = f"{manifest['source']}-{'x'.join(map(str, manifest['shape']))}"
    champion = client.get_model_version_by_alias(name, "champion")
    provenance = json.loads(champion.tags["provenance"])
    assert provenance["data_digest"] == manifest["digest"]
    assert provenance["git_revision"] == revision()
    assert json.loads(trained.output("register", "registration").read_text())["version"] == str(champion.version)
    (experiment,) = client.search_experiments(filter_string="name = 'gan-pipeline'")
    (tracked,) = client.search_runs([experiment.experiment_id])
    assert tracked.info.status == "FINISHED"
    assert f"scores/{score}" in tracked.data.metrics


def test_a_failing_step_fails_the_run_and_the_status_is_reported(run_pipeline: RunPipeline, tmp_path: Path) -> None:
    run = run_pipeline("training", data_pointer="{md5: not-a-digest, hash: md5, path: data}", data_remote="/tmp")
    assert not run.succeeded
    tries = 2  # the test's profile allows one retry
    assert run.log.count("error: The pointer must be what DVC 3 writes for a folder: md5:") == tries
    assert not list(run.root.glob("*/prepare"))
    assert "run ended FAILED" in run.log


def test_the_sweep_registers_its_best_trial(run_pipeline: RunPipeline) -> None:
    run = run_pipeline("sweep", "--trial", "train.steps=1", "--trial", "train.steps=120")
    assert run.succeeded, run.log
    records = [json.loads(path.read_text()) for path in run.root.glob("*/for-loop-*/evaluate/scores")]
    assert len(records) == 2
    outputs = [json.loads(path.read_text()) for path in run.root.glob("*/for-loop-*/evaluate/executor_output.json")]
    shown = [output["artifacts"]["scores"]["artifacts"][0]["metadata"]["trial"] for output in outputs]
    assert sorted(shown) == ["steps=1", "steps=120"]
    best = min(records, key=lambda record: record["scores"]["fd_classifier"])
    assert best["images_seen"] == 120 * 32
    assert json.loads(run.output("choose", "scores").read_text()) == best
    client = MlflowClient(f"sqlite:///{run.root}/mlflow.db")
    (version,) = client.search_model_versions("name = 'digits-16x16x1'")
    assert best.pop("champion") is None
    assert json.loads(version.tags["evaluation"]) == best | {"classes": []}


SERVED = """
import json, pathlib, sys
import mlflow.pyfunc, numpy
from components.registry.model_package import save_served_model
from gan_core.export import read_metadata
model, request = pathlib.Path("/model"), json.loads(sys.argv[1])
save_served_model(pathlib.Path("/tmp/served"), model, read_metadata(model))
answers = mlflow.pyfunc.load_model("/tmp/served").predict([request])
print("\\nANSWERS " + json.dumps(answers, default=numpy.ndarray.tolist), flush=True)
"""


def test_dvc_and_the_containers_give_the_same_data_weights_scores_and_answers(
    trained: LocalRun, modality: str, run: Run, tmp_path: Path
) -> None:
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
    (clone / "params.yaml").write_text(yaml.safe_dump(override(read(ROOT / "params.yaml"), SMALL[modality])))
    settings = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "DVC_", "GIT_"))}
    settings["PATH"] = f"{Path(sys.executable).parent}:{settings['PATH']}"
    settings["DVC_SITE_CACHE_DIR"] = str(tmp_path / "site")
    command = [sys.executable, "-m", "dvc", "repro", "evaluate"]
    answer = subprocess.run(command, cwd=clone, env=settings, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout + answer.stderr

    here, there = (
        json.loads((folder / "manifest.json").read_text())["digest"]
        for folder in (clone / "data" / "prepared", trained.output("prepare", "dataset"))
    )
    assert here == there
    generator, model = clone / "models" / "generator", trained.output("train", "model")
    here, there = weights(generator), weights(model)
    assert len(here) > 5
    assert here.keys() == there.keys()
    for name in here:
        np.testing.assert_array_equal(here[name].view(np.uint32), there[name].view(np.uint32), err_msg=name)
    here, there = (
        json.loads(path.read_text())
        for path in (clone / "reports" / "scores.json", trained.output("evaluate", "scores"))
    )
    for name in ("scores", "spread", "standard_errors", "intervals", "protocol"):
        assert here[name] == there[name]

    loaded = load_generator(generator)
    request = {"count": 3, "seed": 5, "label": loaded.metadata.classes[1]}
    mounts = [NO_SHELL, Mount("/model", str(model), type="bind", read_only=True)]
    code, log = run("python", "-c", SERVED, json.dumps(request), mounts=mounts)
    assert code == 0, log
    [answers] = [json.loads(line.partition(" ")[2]) for line in log.splitlines() if line.startswith("ANSWERS ")]
    arrays = loaded.sample(3, 5, conditions=np.ones(3, np.int32).__getitem__)
    np.testing.assert_array_equal(answers, codec_of(loaded.metadata).answer(arrays))


ASK = """
import json, sys, urllib.request
body = json.dumps({"dataframe_records": [json.loads(sys.argv[1])]}).encode()
request = urllib.request.Request("http://127.0.0.1:5001/invocations", body, {"Content-Type": "application/json"})
with urllib.request.urlopen(request, timeout=60) as answer:
    sys.stdout.write(answer.read().decode())
"""


def test_the_image_serves_the_champion(trained: LocalRun, modality: str, image: str, engine: DockerClient) -> None:
    manifest = json.loads((trained.output("prepare", "dataset") / "manifest.json").read_text())
    name = f"{manifest['source']}-{'x'.join(map(str, manifest['shape']))}"
    root = str(trained.root)
    options = {**STRICT, "mounts": [NO_SHELL, Mount(root, root, type="bind")], "environment": {"DVC_ROOT": root}}
    command = ["python", "-m", "components.serve", "--name", name, "--every", "3600"]
    container = engine.containers.run(image, command, detach=True, **options)  # as the user who wrote the model
    try:
        deadline = time.monotonic() + 300
        while "Serving version 1" not in container.logs().decode():
            container.reload()
            assert container.status == "running", container.logs().decode()
            assert time.monotonic() < deadline, container.logs().decode()
            time.sleep(1)
        label = manifest["classes"][1]["name"]
        row = {"count": 1, "seed": 0, "label": label} | ({} if modality == "text" else {"format": "file"})
        code, output = 1, b""
        while code and time.monotonic() < deadline:  # the server listens a moment after it has loaded the version
            code, output = container.exec_run(["python", "-c", ASK, json.dumps(row)])
        assert code == 0, output.decode()
        [drawn] = json.loads(output)["predictions"]
        if modality == "text":
            assert isinstance(drawn, str)
        else:
            assert base64.b64decode(drawn["file"]).startswith({"image": b"\x89PNG", "audio": b"RIFF"}[modality])
    finally:
        container.remove(force=True)


def weights(folder: Path) -> dict[str, np.ndarray]:
    """Returns every array of weights in a generator's folder, by its path in the file."""
    found = {}

    def collect(name: str, item: h5py.Group | h5py.Dataset) -> None:
        if isinstance(item, h5py.Dataset):
            found[name] = item[()]

    with zipfile.ZipFile(folder / "generator.keras") as archive, archive.open("model.weights.h5") as member:
        h5py.File(member).visititems(collect)
    return found


def revision() -> str:
    answer = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True)
    return answer.stdout.strip()
