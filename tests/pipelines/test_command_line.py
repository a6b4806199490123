"""The commands send valid requests to a server that checks them, and each mistake gives one sentence."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys

import pytest
import yaml
from kubeflow_server import KubeflowServer

from pipelines import follow, package, parameters, submit
from pipelines.__main__ import main
from tests.pipelines.conftest import IMAGE, ROOT


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Runs a command; returns its exit code, stdout and stderr."""
    try:
        main(arguments)
        code = 0
    except SystemExit as end:
        code = int(end.code or 0)
    printed = capsys.readouterr()
    return code, printed.out, printed.err


CATS = ("-S", "prepare.source=cats")
PREFIX = ("--data-prefix", "gs://bucket/cats")


def refused(capsys: pytest.CaptureFixture[str], code: int, *arguments: str) -> str:
    """Runs a command that must end with `code` and one sentence, and returns the sentence."""
    ended, _, errors = run(capsys, *arguments)
    lines = [line for line in errors.splitlines() if not line.startswith("warning: ")]
    assert (ended, len(lines)) == (code, 1), errors
    assert lines[0].startswith("error: ")
    return lines[0]


# --- compile


def test_help_and_a_wrong_parameter_do_not_import_kubeflow() -> None:
    code = (
        "import sys\nfrom pipelines.__main__ import main\n"
        "wrong = ['compile', 'training', '--image', 'i', '--output', 'o.yaml', '-S', 'train.steps=0']\n"
        "for arguments in (['--help'], wrong):\n"
        "    try: main(arguments)\n"
        "    except SystemExit as end: print(end.code)\n"
        "print([name for name in sys.modules if name.split('.')[0] in ('kfp', 'kfp_server_api', 'kubernetes')])"
    )
    printed = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert printed.stdout.splitlines()[-3:] == ["0", "2", "[]"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-S", "train.steps=0"], "'train.steps' must be greater"),
        (["--profile", "nowhere.yaml"], "--profile must be a readable"),
        (["--params", "nowhere.yaml"], "parameters must be a readable"),
        (["--grid", "train.seed=0,1"], "must be used with a sweep"),
        (["--output", "x.json"], "must end in .yaml"),
        *((["--image", image], "--image must be") for image in ("", "a b", "a@sha256:", "a@sha256:abc", "a@sha256:…")),
    ],
)
def test_a_wrong_compilation_writes_nothing(capsys, tmp_path, monkeypatch, arguments, message) -> None:
    monkeypatch.chdir(ROOT)
    output = tmp_path / "out.yaml"
    printed = refused(capsys, 2, "compile", "training", "--image", IMAGE, "--output", str(output), *arguments)
    assert message in printed
    assert not output.exists()


def test_a_compiled_pipeline_of_another_kind_is_refused(capsys, server: KubeflowServer, compiled, tmp_path) -> None:
    """The pipelines have other inputs or steps that are not containers, like those of another project."""
    whole = compiled.read_text()
    specification = yaml.safe_load(whole.split("\n---\n")[0])
    parameters = specification["root"]["inputDefinitions"]["parameters"]
    executor = next(iter(specification["deploymentSpec"]["executors"].values()))

    def refuse() -> None:
        (tmp_path / "other.yaml").write_text(yaml.safe_dump(specification))
        printed = refused(capsys, 2, "submit", "--file", str(tmp_path / "other.yaml"))
        assert "A pipeline must be one compiled by `compile`" in printed

    del parameters["train"]["defaultValue"]
    refuse()
    parameters["train"]["defaultValue"] = "text"
    refuse()
    parameters["train"]["defaultValue"] = {}
    evaluate = parameters.pop("evaluate")
    refuse()
    parameters["evaluate"] = evaluate
    executor["importer"] = executor.pop("container")
    refuse()


def test_compiling_replaces_only_a_compiled_pipeline(capsys, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(ROOT)
    output = tmp_path / "out.yaml"
    output.write_text("train: {steps: 1}\n")
    printed = refused(capsys, 2, "compile", "training", "--image", IMAGE, "--output", str(output))
    assert printed.endswith(f"nothing else is replaced. Received: {output}")
    assert output.read_text() == "train: {steps: 1}\n"
    output.write_text("")
    for _ in range(2):
        assert run(capsys, "compile", "training", "--image", IMAGE, "--output", str(output))[0] == 0
    assert list(tmp_path.iterdir()) == [output]


def test_an_image_tag_gives_a_warning_and_a_dry_run_writes_nothing(capsys, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(ROOT)
    output = tmp_path / "out.yaml"
    code, out, errors = run(
        capsys, "compile", "training", "--image", "gan:latest", "--output", str(output), "--dry-run"
    )
    assert (code, output.exists()) == (0, False)
    assert "gan-training-cpu" in out
    assert "by digest" in errors


# --- presets


def test_a_preset_is_printed_as_options_for_dvc_without_importing_kubeflow() -> None:
    code = (
        "import sys\nfrom pipelines.__main__ import main\nmain(['overrides', 'presets/ffhq256-r3gan.yaml'])\n"
        "assert not [name for name in sys.modules if name.split('.')[0] in ('kfp', 'tensorflow', 'mlflow')]"
    )
    printed = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    words = shlex.split(printed)
    assert set(words[::2]) == {"-S"}
    assert words[1::2] == parameters.preset(ROOT / "presets" / "ffhq256-r3gan.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "A preset must be a readable YAML file"),
        ("train: {stepz: 3}", "There is no parameter 'train.stepz'"),
        ("train: {steps: 0}", "'train.steps' must be greater"),
    ],
)
def test_a_wrong_preset_is_refused_by_every_command(capsys, server, compiled, tmp_path, monkeypatch, text, message):
    monkeypatch.chdir(ROOT)
    preset, output = tmp_path / "preset.yaml", tmp_path / "out.yaml"
    if text:
        preset.write_text(text)
    for arguments in (
        ["overrides", str(preset)],
        ["compile", "training", "--image", IMAGE, "--output", str(output), "--preset", str(preset)],
        ["submit", "--file", str(compiled), "--preset", str(preset)],
    ):
        assert message in refused(capsys, 2, *arguments)
    assert (output.exists(), server.calls) == (False, [])


def test_an_override_has_priority_over_a_preset_in_compile_and_submit(
    capsys, server, compiled, tmp_path, monkeypatch
) -> None:
    monkeypatch.chdir(ROOT)
    options = ["--preset", "presets/fashion.yaml", "-S", "train.steps=7"]
    output = tmp_path / "out.yaml"
    assert run(capsys, "compile", "training", "--image", IMAGE, "--output", str(output), *options)[0] == 0
    assert run(capsys, "submit", "--file", str(compiled), *options)[0] == 0
    compiled_in = package.sections(package.read(output))
    for sections in (compiled_in, server.calls[-1][2]["runtime_config"]["parameters"]):
        assert sections["prepare"]["source"] == "fashion-mnist"
        assert (sections["train"]["schedule"], sections["train"]["steps"]) == ("linear", 7)


# --- publish


def test_publish_creates_the_pipeline_and_the_version_once(
    capsys, server: KubeflowServer, compiled, repository, monkeypatch, tmp_path
) -> None:
    head = subprocess.check_output(["git", "rev-parse", "--short=12", "HEAD"], text=True).strip()
    code, out, _ = run(capsys, "publish", str(compiled))
    assert (code, f"Published gan-training-cpu git-{head}" in out) == (0, True)
    assert [path for _, path, _ in server.calls] == ["/pipelines", "/pipelines/upload_version"]
    (version,) = server.versions.values()
    assert version["display_name"] == f"git-{head}"
    (pipeline,) = server.pipelines.values()
    assert (
        pipeline["description"] == version["description"] == "Raw images in, an evaluated and registered generator out."
    )
    assert version["pipeline_spec"]["pipeline_spec"]["pipelineInfo"]["name"] == "gan-training-cpu"
    assert "nodeSelector" not in str(version["pipeline_spec"]["platform_spec"])
    code, out, _ = run(capsys, "publish", str(compiled))
    assert (code, "already published" in out, len(server.calls)) == (0, True, 2)
    changed = str(tmp_path / "changed.yaml")
    given = ["training", "--image", IMAGE, "--output", changed, "-S", "train.steps=300"]
    with monkeypatch.context() as patch:
        patch.chdir(ROOT)
        assert run(capsys, "compile", *given)[0] == 0
    code, _, error = run(capsys, "publish", changed)
    assert (code, "A published version cannot change" in error, len(server.calls)) == (2, True, 2)


def test_an_interrupted_publish_can_be_repeated(capsys, server: KubeflowServer, compiled, repository) -> None:
    server.lose_after = 1
    assert "does not answer" in refused(capsys, 75, "publish", str(compiled))
    server.lose_after = None
    assert run(capsys, "publish", str(compiled))[0] == 0
    assert (len(server.pipelines), len(server.versions)) == (1, 1)


def test_publish_requires_a_digest_and_a_clean_revision(capsys, server, compiled, repository, tmp_path) -> None:
    by_tag = tmp_path / "tag.yaml"
    by_tag.write_text(compiled.read_text().replace(IMAGE, "gan:latest"))
    assert "by digest" in refused(capsys, 2, "publish", str(by_tag))
    (repository / "new.txt").write_text("x")
    assert "commit first" in refused(capsys, 2, "publish", str(compiled))
    (tmp_path / "other.yaml").write_text("a: b")
    assert "compiled by `compile`" in refused(capsys, 2, "publish", str(tmp_path / "other.yaml"))
    assert server.calls == []


# --- submit


def test_submit_sends_each_changed_section_as_a_whole(capsys, server: KubeflowServer, compiled) -> None:
    code, out, _ = run(
        *(capsys, "submit", "--file", str(compiled), "-S", "train.steps=20000", "--name", "first"),
        *("--profile", str(ROOT / "infra/profiles/cpu.yaml")),
    )
    assert code == 0
    ((_, path, body),) = server.calls
    assert path == "/runs"
    assert body["display_name"] == "first"
    assert body["service_account"] == "gan-training"
    compiled_in = package.inputs(package.read(compiled))
    train = {**compiled_in["train"], "steps": 20000}
    assert body["runtime_config"]["parameters"] == compiled_in | {"train": train}
    (run_id,) = server.runs
    assert f"{server.host}/#/runs/details/{run_id}" in out


def test_the_description_of_a_run_lists_its_changed_values(capsys, server, compiled, tmp_path, monkeypatch) -> None:
    """The values may be compiled in or submitted. Values that change nothing are not listed."""
    monkeypatch.chdir(ROOT)
    other = tmp_path / "anything.yaml"
    given = ["-S", "train.steps=7", "-S", "train.dropout=0.5", "-S", "register.model_name=cats and dogs"]
    assert run(capsys, "compile", "training", "--image", IMAGE, "--output", str(other), *given)[0] == 0
    printed = []
    for file, arguments in (
        (compiled, []),
        (compiled, ["-S", "train.steps=8", "-S", "train.seed=0"]),
        (other, ["-S", "evaluate.seed=3", *CATS, "--data-prefix", "gs://bucket/cats"]),
        (other, ["-S", "train.steps=9"]),
    ):
        assert run(capsys, "submit", "--file", str(file), *arguments)[0] == 0
        body = server.calls[-1][2]
        printed.append((re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$", "TIME", body["display_name"]), body["description"]))
    purpose = "Raw images in, an evaluated and registered generator out."
    submitted = "evaluate.seed=3, prepare.source=cats, data_pointer=gs://bucket/cats"
    special = f"{submitted}, train.dropout=0.5, train.steps=7, register.model_name=cats and dogs"
    replaced = "train.steps=9, train.dropout=0.5, register.model_name=cats and dogs"
    assert printed == [
        ("gan-training-cpu TIME", f"No overrides. {purpose}"),
        ("gan-training-cpu train.steps=8 TIME", f"Overrides: train.steps=8. {purpose}"),
        (f"gan-training-cpu {special[:99]}… TIME", f"Overrides: {special}. {purpose}"),
        (f"gan-training-cpu {replaced} TIME", f"Overrides: {replaced}. {purpose}"),
    ]


def test_names_and_descriptions_fit_kubeflows_columns(capsys, server, compiled) -> None:
    long = ["-S", "register.model_name=" + "c" * 100, "-S", "prepare.source=" + "s" * 200, "--data-prefix", "gs://bu/c"]
    assert run(capsys, "submit", "--file", str(compiled), *long)[0] == 0
    body = server.calls[-1][2]
    assert max(len(body["display_name"]), len(body["description"])) <= 255
    assert body["description"].startswith(f"Overrides: prepare.source={'s' * 200}, register.m")
    assert body["description"].endswith("…")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--name", ""], "--name must have 1 to 255 characters. Received: 0"),
        (["--name", "n" * 256], "--name must have 1 to 255 characters. Received: 256"),
        (["--name", "cats \U0001f431"], r"--name must not have characters above U\+FFFF, .*\(U\+1F431\)"),
        (["-S", "prepare.source=\U00020bb7", *PREFIX], r"An input of a run must not .*\(U\+20BB7\)"),
    ],
)
def test_what_kubeflow_cannot_store_is_refused_before_anything_is_sent(
    capsys, server, compiled, arguments, sentence
) -> None:
    """Kubeflow starts the workflow of such a run, then fails to store the run and answers 500."""
    code, _, error = run(capsys, "submit", "--file", str(compiled), *arguments)
    assert (code, server.calls) == (2, [])
    assert re.search(sentence, error)
    assert run(capsys, "submit", "--file", str(compiled), "--name", "n" * 255)[0] == 0


def test_a_reader_that_has_ended_is_no_failure_of_the_command(compiled) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "pipelines", "submit", "--dry-run", "--file", str(compiled), "-S", "train.steps=7"]
    with os.fdopen(writer, "w") as output:
        answer = subprocess.run(command, cwd=ROOT, stdout=output, stderr=subprocess.PIPE, text=True, check=False)
    assert (answer.returncode, answer.stderr) == (141, "")


def test_a_published_version_runs_with_its_own_defaults(capsys, server, compiled, repository) -> None:
    assert run(capsys, "publish", str(compiled))[0] == 0
    (version,) = server.versions.values()
    name = version["display_name"]
    assert run(capsys, "submit", "--pipeline", "gan-training-cpu", "--version", name)[0] == 0
    body = server.calls[-1][2]
    assert body["pipeline_version_reference"] == {
        "pipeline_id": version["pipeline_id"],
        "pipeline_version_id": version["pipeline_version_id"],
    }
    assert body["runtime_config"] == {"parameters": {}}


def test_the_pointer_is_sent_as_text(capsys, server, compiled, tmp_path) -> None:
    pointer = tmp_path / "cats.dvc"
    pointer.write_text("outs:\n- md5: 0123456789abcdef0123456789abcdef.dir\n  hash: md5\n  path: cats\n")
    data = ["--data-pointer", str(pointer), "--data-remote", "gs://bucket/dvc"]
    assert run(capsys, "submit", "--file", str(compiled), *CATS, *data)[0] == 0
    sent = server.calls[-1][2]["runtime_config"]["parameters"]
    assert (sent["data_pointer"], sent["data_remote"]) == (pointer.read_text(), "gs://bucket/dvc")
    assert sent["prepare"]["source"] == "cats"
    assert run(capsys, "submit", "--file", str(compiled), *CATS, "--data-prefix", "gs://bucket/cats")[0] == 0
    sent = server.calls[-1][2]["runtime_config"]["parameters"]
    assert (sent["data_pointer"], sent["data_remote"]) == ("gs://bucket/cats", "")


def test_a_pointer_in_a_bucket_is_read_by_the_run(capsys, server, compiled) -> None:
    data = ["--data-pointer", "gs://bucket/cats.dvc", "--data-remote", "gs://bucket/dvc"]
    assert run(capsys, "submit", "--file", str(compiled), *CATS, *data)[0] == 0
    sent = server.calls[-1][2]["runtime_config"]["parameters"]
    assert (sent["data_pointer"], sent["data_remote"]) == ("gs://bucket/cats.dvc", "gs://bucket/dvc")


POINTER = "outs:\n- md5: 0123456789abcdef0123456789abcdef.dir\n  hash: md5\n  path: cats\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must be what DVC 3 writes for a folder"),
        (
            "outs:\n- md5: d41d8cd98f00b204e9800998ecf8427e\n  hash: md5\n  size: 0\n  path: one.png\n",
            "for a folder: md5",
        ),
        ("stages:\n  prepare:\n    cmd: x\n", "for a folder"),
        ("outs: [", "as YAML"),
        (b"\xff\xfe", "readable .dvc file"),
        (POINTER + "#" * 5000, "4096 characters at most"),
        (POINTER + "deps: []\n", "for a folder"),
        (POINTER.replace("path: cats", "path: ../cats"), "no part . or .."),
    ],
)
def test_an_invalid_pointer_file_is_refused_before_anything_is_sent(
    capsys, server, compiled, tmp_path, text, message
) -> None:
    (tmp_path / "cats.dvc").write_bytes(text if isinstance(text, bytes) else text.encode())
    data = ["--data-pointer", str(tmp_path / "cats.dvc"), "--data-remote", "gs://bucket/dvc"]
    assert message in refused(capsys, 2, "submit", "--file", str(compiled), *CATS, *data)
    assert server.calls == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data-prefix", "gs://"], "must look like gs://bucket/folder"),
        (["--data-prefix", ""], "must start with gs://"),
        (["--data-prefix", "gs://UPPER/x"], "must look like gs://bucket/folder"),
        (["--data-prefix", "gs://bucket/cats#md5-1"], "must look like gs://bucket/folder"),
        (["--data-prefix", "gs://bucket/cats.dvc"], "use --data-pointer for one"),
        (["--data-pointer", "gs://bucket/cats", "--data-remote", "gs://bucket/dvc"], "must end in .dvc"),
        (["--data-pointer", "gs://.dvc", "--data-remote", "gs://bucket/dvc"], "must look like gs://bucket/folder"),
        (["--data-pointer", "{cats}", "--data-remote", "s3://bucket/dvc"], "DVC remote must be gs://bucket/folder"),
        (["--data-pointer", "{cats}", "--data-remote", "gs://"], "must look like gs://bucket/folder"),
        (["--data-pointer", "{cats}", "--data-remote", "../dvc"], "the absolute path"),
        (["--data-pointer", "{cats}", "--data-remote", ""], "data_pointer and data_remote must be given together"),
        (["--data-pointer", "", "--data-remote", "gs://bucket/dvc"], "readable .dvc file"),
        ([], "On a cluster prepare.source must be one of embedded, fashion-mnist, digits"),
        (["--data-prefix", "gs://bucket/cats", "-S", "prepare.source=embedded"], "not a built-in data set"),
        (
            ["--data-pointer", "{cats}", "--data-remote", "gs://bucket/dvc", "-S", "prepare.source=digits"],
            "not a built",
        ),
    ],
)
def test_unreadable_data_are_refused_before_anything_is_sent(
    capsys, server, compiled, tmp_path, arguments, message
) -> None:
    (tmp_path / "cats.dvc").write_text(POINTER)
    given = [str(tmp_path / "cats.dvc") if word == "{cats}" else word for word in arguments]
    for more in ([], ["--dry-run"]):
        assert message in refused(capsys, 2, "submit", "--file", str(compiled), *CATS, *given, *more)
    assert server.calls == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-S", "train.stepz=3"], "train.stepz"),
        (["-S", "train.steps=-1"], "'train.steps' must be greater"),
        (["--experiment", "nosuch"], "must be one of Default .*kfp experiment create nosuch"),
        (["--data-pointer", "nowhere.dvc", "--data-remote", "gs://b"], "--data-pointer must be a readable"),
        (["--data-remote", "gs://b"], "must be given together"),
        (["--data-prefix", "s3://b"], "must start with gs://"),
        (["--version", "git-1"], "must be given together"),
    ],
)
def test_a_wrong_submission_sends_nothing(capsys, server, compiled, arguments, message) -> None:
    assert re.search(message, refused(capsys, 2, "submit", "--file", str(compiled), *arguments))
    assert server.calls == []


def test_the_error_for_an_unknown_pipeline_or_version_lists_the_known_ones(
    capsys, server, compiled, repository
) -> None:
    assert "one of none yet" in refused(capsys, 2, "submit", "--pipeline", "p", "--version", "v")
    run(capsys, "publish", str(compiled))
    assert "one of gan-training-cpu" in refused(capsys, 2, "submit", "--pipeline", "p", "--version", "v")
    assert "one of git-" in refused(capsys, 2, "submit", "--pipeline", "gan-training-cpu", "--version", "v")


def test_a_dry_run_prints_arguments_for_kfp_run_submit(capsys, server, compiled) -> None:
    code, out, _ = run(capsys, "submit", "--file", str(compiled), "-S", "register.model_name=cats", "--dry-run")
    name, _, value = out.strip().partition("=")
    assert (code, name, json.loads(value)["model_name"], server.calls) == (0, "register", "cats", [])


def test_wait_continues_after_the_server_was_unreachable_for_a_while(capsys, server, compiled, monkeypatch) -> None:
    def break_reads(client, request, values, real=submit.submit):
        run_id = real(client, request, values)
        server.broken_reads = 5
        return run_id

    monkeypatch.setattr(follow, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(submit, "submit", break_reads)
    assert run(capsys, "submit", "--file", str(compiled), "--wait")[0] == 0
    monkeypatch.setattr(follow, "LOST_CALLS", 3)
    assert "answers 503" in refused(capsys, 75, "submit", "--file", str(compiled), "--wait")


# --- the host


def test_an_unreachable_host_is_a_temporary_failure(capsys, server, compiled, monkeypatch) -> None:
    monkeypatch.setenv("KF_PIPELINES_ENDPOINT", "http://127.0.0.1:9")
    assert "does not answer" in refused(capsys, 75, "submit", "--file", str(compiled))


def test_a_wrong_token_is_refused_and_a_right_one_is_accepted(capsys, server, compiled, monkeypatch) -> None:
    server.token = "right"
    assert "refuses the token" in refused(capsys, 2, "submit", "--file", str(compiled))
    monkeypatch.setenv("KF_PIPELINES_TOKEN", "wrong")
    printed = refused(capsys, 2, "submit", "--file", str(compiled))
    assert "refuses the token in KF_PIPELINES_TOKEN (401)" in printed
    assert "wrong" not in printed
    monkeypatch.setenv("KF_PIPELINES_TOKEN", "right")
    assert run(capsys, "submit", "--file", str(compiled))[0] == 0


def test_a_login_page_is_refused(capsys, server, compiled) -> None:
    server.login_page = True
    assert "login page" in refused(capsys, 2, "submit", "--file", str(compiled))


@pytest.mark.parametrize("host", ["", "kubeflow.example.com"])
def test_a_host_must_be_an_address(capsys, compiled, monkeypatch, host) -> None:
    monkeypatch.delenv("KF_PIPELINES_ENDPOINT", raising=False)
    assert "must be an http:// or https://" in refused(capsys, 2, "submit", "--file", str(compiled), "--host", host)
