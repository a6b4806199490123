"""Registers a generator in the MLflow model registry and decides whether it is the champion.

The command can be interrupted at any point and run again.
"""

from __future__ import annotations

import argparse
import json

from components import executor
from components.cli.parameters import read_section
from components.registry.evaluation_record import read_evaluation
from components.storage import output_kinds as kinds
from components.storage import paths
from components.storage.outputs import whole_output
from gan_core.exit_codes import run


def main() -> None:
    """Reads the command line, registers, and writes the decision to a file."""
    arguments = executor.checked(parser().parse_args(), "registration")
    from components.registry.model_card import UNKNOWN
    from components.registry.registration import register
    from gan_core.config import RegisterConfig

    config = read_section(arguments.config, RegisterConfig)
    with paths.local_paths(arguments) as local:
        evaluation = read_evaluation(local.scores)
        with whole_output(local.registration) as written:
            record = register(config, local.model, evaluation)
            written.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    shown = {name: str(record[name]) for name in ("name", "version", "decision", "reason", "run_id")}
    executor.write_output(arguments.executor_input, {"registration": shown})
    known = "nothing new, it was registered before: " if record["repeated"] else ""
    print(f"{known}{record['name']} version {record['version']}: {record['decision']}. {record['reason']}")
    if record["data_licence"] == UNKNOWN:
        print("Nobody has named the data's licence, and the model card says so. Set register.data_licence.")


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = argparse.ArgumentParser(prog="python -m components.register", description=__doc__)
    options.add_argument("--config", required=True, help="params.yaml, or its register section as a JSON object")
    options.add_argument("--model", required=True, type=paths.input_path, help="folder of the generator")
    options.add_argument("--scores", required=True, type=paths.input_path, help="the evaluation's record, .json")
    options.add_argument(
        "--registration", required=True, type=paths.output(kinds.REGISTRATION), help="output: the decision, .json"
    )
    executor.add_option(options)
    return options


if __name__ == "__main__":
    run(main)
