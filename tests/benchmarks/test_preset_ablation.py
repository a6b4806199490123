import math
from pathlib import Path

import pytest
from modalities import EXAMPLES
from scipy import stats

from benchmarks import extractors, preset_ablation, preset_table
from benchmarks.preset_cases import PRESET, find_cases, train_section, with_recipes
from benchmarks.preset_training import Result, Specification, judged
from gan_core.data.prepared import PreparedDataset
from gan_core.evaluation.extractors import classifier
from pipelines import parameters

ROOT = Path(__file__).resolve().parents[2]
_, AUDIO, TEXT = EXAMPLES


def sections(preset: str, dataset: PreparedDataset):
    defaults = parameters.read(ROOT / "params.yaml")
    changed = parameters.override(defaults, parameters.preset(ROOT / "presets" / f"{preset}.yaml"))
    return with_recipes(defaults, changed, dataset)


def specification(tmp_path, case=PRESET, train=None, evaluate=None, seed=0):
    return Specification(
        case=case,
        train=train,
        evaluate=evaluate or {"samples": 30},
        dataset=tmp_path / "prepared",
        dataset_digest="sha256-0",
        seed=seed,
        seconds=0,
        at_once=1,
    )


@pytest.mark.parametrize(("preset", "example"), [("speech", AUDIO), ("names", TEXT)], ids=str)
def test_each_departure_of_a_preset_is_put_back_or_skipped_with_a_reason(preset, example, tmp_path):
    dataset = PreparedDataset(example.prepared(tmp_path))
    defaults, changed = sections(preset, dataset)
    cases = find_cases(defaults, changed, dataset)
    put_back = {f"train.{key}={value}" for changes in cases.trained.values() for key, value in changes.items()}
    departures = {
        f"{section}.{key}={defaults[section][key]}"
        for section, values in changed.items()
        for key, value in values.items()
        if value != defaults[section][key]
    }
    assert put_back | cases.skipped.keys() == departures
    assert cases.trained[PRESET] == {}
    assert all(cases.skipped.values())


def test_values_that_a_rule_binds_together_are_put_back_together(tmp_path):
    dataset = PreparedDataset(AUDIO.prepared(tmp_path))
    cases = find_cases(*sections("speech", dataset), dataset)
    together = {"augment": [], "augment_probability": 0.0, "final_augment_probability": 0.0}
    assert [changes for changes in cases.trained.values() if "augment" in changes] == [together]
    assert "steps" not in " ".join(cases.trained)


def test_what_the_data_does_not_allow_is_skipped_with_the_rule(tmp_path):
    dataset = PreparedDataset(TEXT.prepared(tmp_path))
    cases = find_cases(*sections("names", dataset), dataset)
    assert {"loss": "non_saturating"} in cases.trained.values()
    assert {"loss": "non_saturating", "gradient_penalty_weight": 0.0} in cases.trained.values()
    assert "must be text for texts" in cases.skipped["train.network=dcgan"]
    assert "must be 1 for text" in cases.skipped["train.growth=8"]
    assert "none for r3gan and text" in cases.skipped["train.normalization=batch"]


def test_a_training_is_scored_timed_and_judged(tmp_path, monkeypatch):
    monkeypatch.setitem(extractors._SETTINGS, "steps", 3)
    monkeypatch.setitem(classifier.RECIPE, "steps", 3)
    AUDIO.prepared(tmp_path)
    small = AUDIO.parameters(batch_size=4, score_every_images=4, score_samples=8)
    trained = judged(specification(tmp_path, train=train_section(small["train"], {}, 1), evaluate=small["evaluate"]))
    real = judged(specification(tmp_path, preset_table.REAL, evaluate=small["evaluate"]))
    assert (trained.images_seen, trained.images_seen_by_best, trained.scores, trained.failure) == (4, 4, 1, "")
    assert trained.score_seconds > 0
    assert list(trained.distances) == list(real.distances) == ["random", "dense"]
    assert real.distances["random"] < trained.distances["random"]


def test_only_trainings_without_a_result_are_run(tmp_path, monkeypatch):
    path, wanted, run = tmp_path / "results.jsonl", [specification(tmp_path, seed=seed) for seed in range(3)], []

    def train(one):
        if one.seed == 1 and one not in run:
            run.append(one)
            raise KeyboardInterrupt
        run.append(one)
        return Result(specification=one, machine="", images_seen=one.seed)

    monkeypatch.setattr(preset_ablation, "run_training", train)
    with pytest.raises(KeyboardInterrupt):
        preset_ablation._train_missing(wanted, path)
    results = preset_ablation._train_missing(wanted, path)
    assert [one.images_seen for one in results] == [0, 1, 2]
    assert [one.seed for one in run] == [0, 1, 1, 2] or [one.seed for one in run] == [0, 1, 2, 1]
    changed = specification(tmp_path, evaluate={"samples": 31})
    preset_ablation._train_missing([changed], path)
    assert run[-1] == changed


def results_of(tmp_path):
    found = []
    for case, values in ((PRESET, (1.0, 2.0, 4.0)), ("depth=1", (3.0, 5.0, 9.0)), (preset_table.REAL, (0.5, 0.6, 0.7))):
        for seed, value in enumerate(values):
            one = specification(tmp_path, case, {}, seed=seed)
            found.append(
                Result(
                    specification=one,
                    machine="here",
                    distances={"ngram": value},
                    seconds=10,
                    wall_seconds=20 - 4 * seed,
                    images_seen=900,
                    scores=2,
                    score_seconds=1,
                )
            )
    failed = specification(tmp_path, "depth=1", {}, seed=3)
    return [*found, Result(specification=failed, machine="here", failure="not finite")]


def test_the_table_compares_geometric_means_and_counts_failures(tmp_path):
    train = {"steps": 100, "batch_size": 10, "discriminator_steps": 2, "score_every_images": 500}
    found = preset_table.report(results_of(tmp_path), {"train.steps=1": "a reason"}, train)
    row = found.figures["cases"]["depth=1"]
    logarithms = [[math.log(value) for value in values] for values in ((3, 5, 9), (1, 2, 4))]
    expected = stats.ttest_ind(*logarithms, equal_var=False).confidence_interval(0.95)
    assert row["ngram"]["ratio"] == pytest.approx(135 ** (1 / 3) / 2)
    assert row["ngram"]["interval"] == pytest.approx([math.exp(expected.low), math.exp(expected.high)])
    assert row["failed"] == ["not finite"]
    assert row["processors"] == pytest.approx([0.5, 0.625, 10 / 12])
    assert "used 0.50 to 0.83 processors" in found.markdown
    assert "- `train.steps=1`: a reason" in found.markdown


def test_the_scores_share_is_that_of_the_measured_time_and_of_the_whole_training(tmp_path):
    train = {"steps": 100, "batch_size": 10, "discriminator_steps": 2, "score_every_images": 500}
    share = preset_table.report(results_of(tmp_path), {}, train).figures["scores_while_training"]
    assert share["share"] == pytest.approx(0.1)
    # 2,000 items at 100 a second without scores, and 4 scores of half a second.
    assert share["share_of_the_whole_training"] == pytest.approx(2 / 22)
