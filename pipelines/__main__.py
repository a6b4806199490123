"""The command line for Kubeflow: compiles, publishes, submits and schedules pipelines; prints presets for DVC."""

from __future__ import annotations

import argparse
import re
import shlex
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from gan_core.errors import InvalidInput
from gan_core.exit_codes import run
from pipelines.stored_text import require_name, require_storable

_IMAGE = re.compile(r"[A-Za-z0-9][\w.:/-]*(@sha256:[0-9a-f]{64})?", re.ASCII)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs one command. Exit codes: 0 done, 1 the followed run failed, 2 a mistake of the user, 75 try again."""

    def command() -> None:
        options = parser().parse_args(arguments)
        options.command(options)

    run(command)


def parser() -> argparse.ArgumentParser:
    """The options of all commands."""
    top = argparse.ArgumentParser(prog="python -m pipelines", description=__doc__)
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    _compile_options(commands.add_parser("compile", help="write a pipeline as a file that Kubeflow runs"))
    _publish_options(commands.add_parser("publish", help="upload a compiled file as a new version"))
    _submit_options(commands.add_parser("submit", help="run a compiled file or a published version"))
    _preset_options(commands.add_parser("overrides", help="print a preset as options of `dvc exp run`"))
    schedule = commands.add_parser("schedule", help="retrain regularly")
    _apply_options(
        schedule.add_subparsers(required=True, metavar="COMMAND").add_parser(
            "apply", help="make the server's schedules match a file"
        )
    )
    return top


def _server_options(options: argparse.ArgumentParser) -> None:
    options.add_argument("--host", help="address of the Kubeflow Pipelines API (or KF_PIPELINES_ENDPOINT)")
    options.add_argument(
        "--namespace",
        default="kubeflow",
        help="namespace of the runs; in a multi-user installation, your own",
    )
    options.epilog = "Put the host's token, if it requires one, into KF_PIPELINES_TOKEN."


def _override_options(options: argparse.ArgumentParser) -> None:
    options.add_argument("--preset", type=Path, help="a file of presets/; -S overrides its values")
    options.add_argument(
        *("-S", "--set-param"),
        dest="overrides",
        action="append",
        default=[],
        metavar="SECTION.KEY=VALUE",
        help="override a parameter, as `dvc exp run -S`",
    )


def _given_overrides(options: argparse.Namespace) -> list[str]:
    from pipelines import parameters

    return [*(parameters.preset(options.preset) if options.preset else []), *options.overrides]


def _preset_options(options: argparse.ArgumentParser) -> None:
    options.add_argument("preset", type=Path, nargs="?", help="a file of presets/")
    options.add_argument(
        "--set", default="", metavar="'SECTION.KEY=VALUE …'", help="overrides that replace the preset's, as one text"
    )
    options.add_argument(
        "--params", type=Path, default=Path("params.yaml"), help="the file with the values that they replace"
    )
    options.set_defaults(command=_print_preset)


def _print_preset(options: argparse.Namespace) -> None:
    from pipelines import parameters
    from pipelines.overrides import words

    found = [*(parameters.preset(options.preset) if options.preset else []), *words(options.set)]
    parameters.override(parameters.read(options.params), found)
    for override in parameters.for_dvc(found):
        print(f"-S {shlex.quote(override)}")


def _compile_options(options: argparse.ArgumentParser) -> None:
    options.add_argument("pipeline", choices=["training", "sweep"])
    options.add_argument("--image", required=True, help="the image of every step, by digest: NAME@sha256:…")
    options.add_argument(
        "--profile", type=Path, default=Path("infra/profiles/cpu.yaml"), help="where the pipeline runs"
    )
    options.add_argument("--params", type=Path, default=Path("params.yaml"), help="the defaults to compile in")
    options.add_argument("--output", type=Path, required=True, help="the file to write, .yaml")
    _override_options(options)
    options.add_argument(
        "--grid",
        action="append",
        default=[],
        metavar="SECTION.KEY=VALUE,…",
        help="sweep: several values of a parameter; all combinations are tried",
    )
    options.add_argument(
        "--trial",
        action="append",
        default=[],
        metavar="'SECTION.KEY=VALUE …'",
        help="sweep: the overrides of one more trial",
    )
    options.add_argument("--dry-run", action="store_true", help="check everything and write nothing")
    options.set_defaults(command=_compile)


def _compile(options: argparse.Namespace) -> None:
    from pipelines import changes, parameters
    from pipelines.profile import Profile

    read = parameters.read(options.params)
    sections = parameters.override(read, _given_overrides(options))
    sections["prepare"] = parameters.chosen_only(sections["prepare"])
    profile = Profile.read(options.profile)
    defaults: dict[str, object] = dict(sections)
    require_storable(sections, "A parameter")
    compiled_in = changes.between(read, sections)
    if options.pipeline == "sweep":
        trials = defaults["trials"] = changes.labelled(parameters.trials(sections, options.grid, options.trial))
        compiled_in.append(f"{len(trials)} trial{'s' if len(trials) > 1 else ''}")
        del defaults["train"]
    elif options.grid or options.trial:
        raise InvalidInput("--grid and --trial must be used with a sweep. Received: training")
    if options.output.suffix != ".yaml":
        raise InvalidInput(f"--output must end in .yaml. Received: {options.output}")
    if not _IMAGE.fullmatch(options.image):
        raise InvalidInput(f"--image must be NAME@sha256: and 64 hex digits, or NAME:TAG. Received: {options.image!r}")
    if "@sha256:" not in options.image:
        print("warning: Kubeflow's cache compares images by name only; name the image by digest", file=sys.stderr)

    from pipelines import package
    from pipelines.sweep import sweep_pipeline
    from pipelines.training import training_pipeline

    pipeline = {"training": training_pipeline, "sweep": sweep_pipeline}[options.pipeline](profile, options.image)
    if options.dry_run:
        print(f"Would write {pipeline.name} to {options.output}")
        return
    information = pipeline.pipeline_spec.pipeline_info
    information.description = changes.compiled_description(information.description, compiled_in)
    package.write(pipeline, defaults, options.output)
    print(f"Wrote {pipeline.name} to {options.output}")


def _publish_options(options: argparse.ArgumentParser) -> None:
    options.add_argument("file", type=Path, help="written by compile")
    _server_options(options)
    options.add_argument("--dry-run", action="store_true", help="check everything and send nothing")
    options.set_defaults(command=_publish)


def _publish(options: argparse.Namespace) -> None:
    from pipelines.publish import publish

    print(publish(options.file, options.host, options.namespace, options.dry_run))


def _submit_options(options: argparse.ArgumentParser) -> None:
    source = options.add_mutually_exclusive_group(required=True)
    source.add_argument("--file", type=Path, help="written by compile")
    source.add_argument("--pipeline", help="name of a published pipeline; needs --version")
    options.add_argument("--version", help="name of its version: git-…")
    _override_options(options)
    options.add_argument("--data-pointer", metavar="FILE", help="a .dvc file; each run reads a gs:// one again")
    options.add_argument("--data-prefix", metavar="gs://…", help="a folder of raw data in a bucket")
    options.add_argument("--data-remote", metavar="URL", help="the DVC remote that holds the raw data")
    options.add_argument("--experiment", default="Default", help="the experiment, which must exist")
    options.add_argument("--name", help="name of the run")
    options.add_argument(
        "--profile", type=Path, help="the profile used by compile; its service account runs the pipeline"
    )
    options.add_argument("--wait", action="store_true", help="follow the steps; exit code 1 if the run fails")
    options.add_argument(
        "--timeout", type=int, metavar="SECONDS", help="with --wait: stop following then; the run itself continues"
    )
    _server_options(options)
    options.add_argument("--dry-run", action="store_true", help="check everything, print the inputs, send nothing")
    options.set_defaults(command=_submit)


def _submit(options: argparse.Namespace) -> None:
    from pipelines import changes, package, server, submit
    from pipelines.follow import Following
    from pipelines.pods import Pods
    from pipelines.profile import Profile

    if (options.pipeline is None) != (options.version is None):
        raise InvalidInput("--pipeline and --version must be given together. Received: one of them")
    if options.timeout is not None and (options.timeout < 1 or not options.wait):
        raise InvalidInput(f"--timeout must be at least 1, and used with --wait. Received: {options.timeout}")
    data = submit.read_data(options.data_pointer, options.data_prefix, options.data_remote)
    account = Profile.read(options.profile).service_account if options.profile else None
    overrides = _given_overrides(options)
    if options.name is not None:
        require_name(options.name, "--name")
    if options.file:
        specification = package.read(options.file)
        values = submit.arguments(specification, overrides, data)
        if options.dry_run:
            print(submit.describe(values))
            return
    with server.connected(options.host, options.namespace) as client:
        version = None
        if options.pipeline:
            version = server.find_version(client, options.pipeline, options.version)
            specification = server.specification_of(version)
            values = submit.arguments(specification, overrides, data)
            if options.dry_run:
                print(submit.describe(values))
                return
        name = options.name or changes.run_name(specification, values, datetime.now().astimezone())
        description = changes.run_description(specification, values)
        request = submit.Request(options.file, version, options.experiment, name, description, account)
        run_id = submit.submit(client, request, submit.complete(specification, values))
        if options.wait:
            inputs = package.inputs(specification) | values
            pods = Pods(options.namespace, run_id)
            trials = [trial.get("label", "") for trial in inputs.get("trials", [])]
            try:
                succeeded = Following(client, run_id, pods, trials, options.timeout).to_the_end()
            except KeyboardInterrupt:
                print("The run continues.", file=sys.stderr)
                raise
            if not succeeded:
                sys.exit(1)


def _apply_options(options: argparse.ArgumentParser) -> None:
    options.add_argument("file", type=Path, help="the declared schedules")
    _server_options(options)
    options.add_argument("--dry-run", action="store_true", help="check everything, change nothing")
    options.set_defaults(command=_apply)


def _apply(options: argparse.Namespace) -> None:
    from pipelines import server
    from pipelines.schedule import Schedules, apply, wanted

    declared = Schedules.read(options.file)
    with server.connected(options.host, options.namespace) as client:
        if options.dry_run:
            for schedule in declared.schedules:
                wanted(client, declared.owner, schedule)
        else:
            for change in apply(client, declared.owner, declared.schedules):
                print(change, flush=True)
    for schedule in declared.schedules:
        state = "enabled" if schedule.enabled else "disabled"
        print(f"{schedule.name}: {state}, {schedule.cron} ({declared.time_zone})")


if __name__ == "__main__":
    main()
