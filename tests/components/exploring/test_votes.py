"""Votes: they outlive the process, are counted per pair, and go to MLflow beside those of other machines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from registrations import MARKS, register_scores
from scipy.stats import norm

from components.exploring.choices import Choice
from components.exploring.report_votes import with_votes
from components.exploring.votes import FILE, Tally, Vote, VoteFile, publish
from components.tracking.server import connect
from gan_core.errors import InvalidInput

ROOT = Path(__file__).resolve().parents[3]
pytestmark = MARKS
CHOICE = Choice("generator · version 1", "generator", "1")


def vote(preferred: str, other: str) -> Vote:
    return Vote(when="2026-01-01T00:00:00+00:00", preferred=preferred, other=other, seed=1, label="", truncation=1.0)


def tally(**changes: Any) -> Tally:
    values = {"against": "generator version 2", "preferred": 3, "votes": 4, "low": 0.3, "high": 0.95, "machine": "here"}
    return Tally(**(values | changes))


def test_votes_of_an_earlier_process_count_for_their_pair_alone(tmp_path: Path) -> None:
    for preferred, other in (("a", "b"), ("a", "b"), ("b", "a"), ("a", "c")):
        VoteFile(tmp_path).add(vote(preferred, other))
    counted = VoteFile(tmp_path).tally("a", "b", "version 2")
    assert (counted.preferred, counted.votes, counted.against) == (2, 3, "version 2")
    assert VoteFile(tmp_path).tally("b", "a", "version 1").preferred == 1


@pytest.mark.parametrize(("preferred", "votes"), [(0, 1), (7, 10), (50, 100)])
def test_the_interval_is_where_the_share_passes_the_score_test(tmp_path: Path, preferred: int, votes: int) -> None:
    for number in range(votes):
        VoteFile(tmp_path).add(vote(*(("a", "b") if number < preferred else ("b", "a"))))
    counted = VoteFile(tmp_path).tally("a", "b", "b")
    for bound in (counted.low, counted.high):
        if 0 < bound < 1:  # Wilson's interval ends where the observed share is 1.96 standard errors of the bound away
            distance = abs(preferred / votes - bound) / (bound * (1 - bound) / votes) ** 0.5
            assert distance == pytest.approx(norm.ppf(0.975), abs=0.01)


def test_a_damaged_line_is_named_and_nothing_is_counted_without_it(tmp_path: Path) -> None:
    VoteFile(tmp_path).add(vote("a", "b"))
    with (tmp_path / FILE).open("a") as file:
        file.write('{"when": "2026"\n')
    with pytest.raises(InvalidInput, match="line 2"):
        VoteFile(tmp_path).tally("a", "b", "b")


def test_a_result_replaces_its_earlier_one_and_keeps_those_of_others() -> None:
    register_scores("one", 10.0, 0.1)
    client = connect()
    run_id = client.get_model_version("generator", "1").run_id
    client.log_text(run_id, "<main>Scores.<footer>End.</footer></main>", "report.html")
    for one in (tally(), tally(machine="<there>"), tally(preferred=4, votes=5)):
        publish(client, CHOICE, one)
    recorded = json.loads(client.get_model_version("generator", "1").tags["blind_votes"])
    assert [(one["machine"], one["votes"]) for one in recorded] == [("<there>", 4), ("here", 5)]
    report = Path(client.download_artifacts(run_id, "report.html")).read_text()
    assert report.startswith("<main>Scores.")
    assert report.endswith("<footer>End.</footer></main>")
    assert report.count("Blind votes") == 1
    assert "preferred to generator version 2 in 4 of 5 votes (80%, 95 % interval 30% to 95%) on here" in report
    assert "on &lt;there&gt;" in report


def test_a_version_without_a_report_or_with_an_edited_tag_gets_the_result() -> None:
    register_scores("one", 10.0, 0.1)
    client = connect()
    client.set_model_version_tag("generator", "1", "blind_votes", "edited")
    publish(client, CHOICE, tally())
    assert len(json.loads(client.get_model_version("generator", "1").tags["blind_votes"])) == 1


def test_the_section_has_a_place_in_the_report() -> None:
    template = (ROOT / "gan_core/evaluation/report/page.html.j2").read_text(encoding="utf-8")
    assert template.count("<footer>") == 1
    assert "Blind votes" in with_votes(template, ["a result"])
