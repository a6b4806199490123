"""The page for looking at generators, in a real browser: what it shows, what it hides, and what it refuses.

Its server runs in Gradio's own environment, which `make .venv-explore/done` creates.
"""

from __future__ import annotations

import base64
import http.client
import io
import json
import os
import re
import shutil
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from datasets import write_dataset
from evaluations import evaluation
from generators import generator_metadata, untrained_generator
from modalities import EXAMPLES
from PIL import Image
from registrations import CONFIG
from test_generate import require_marked
from test_mlflow_ui import ARGUMENTS, CHROMIUM

from components.cli.tensorflow_settings import configure_tensorflow
from components.registry.registration import register
from components.tracking.runs import experiment_id
from components.tracking.server import connect
from gan_core.data.prepared import PreparedDataset
from gan_core.export import load_generator, save_generator
from gan_core.generated_files import draw_batches
from gan_core.sampling import draw_latents

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv-explore" / "bin" / "python"
PAGE_SECONDS = 120
MOST_PAIRS = 60  # so many pairs have the same order once in 10^18 runs
SIZE = 4
# Chromium plays no sound with the example's 1,000 samples a second.
_SOUND = {"rate": 8000, "samples": 2048, "frame_length": 128, "frame_step": 32}
AUDIBLE = replace(EXAMPLES[1], prepare={**EXAMPLES[1].prepare, **_SOUND})
PICTURE = re.compile(r"data:image/png;base64,([A-Za-z0-9+/=]+)")

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
    pytest.mark.skipif(not PYTHON.exists(), reason="needs Gradio's environment: make .venv-explore/done"),
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning"),
    pytest.mark.filterwarnings("ignore:Operation with range is deprecated"),
]


class Served(NamedTuple):
    """A running page: its address, its project, and the generators of version 1, dark, and of version 2, bright."""

    address: str
    project: Path
    dark: Path
    bright: Path


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, mlflow_database: Path) -> Iterator[Served]:
    """The page of a project with a champion, a challenger, and folders with a generator of sounds and one of texts."""
    project = tmp_path_factory.mktemp("project")
    shutil.copy(mlflow_database, project / "mlflow.db")
    images = np.random.default_rng(0).integers(0, 256, (20, 16, 16, 1), dtype=np.uint8)
    digest = PreparedDataset(write_dataset(project / "data" / "prepared", images, images[:2], 2)).manifest.digest
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "DVC_"))}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project)
        for name in os.environ.keys() - environment.keys():
            patch.delenv(name)
        configure_tensorflow()
        dark, bright = (_register(name, level, digest) for name, level in (("dark", -0.7), ("bright", 0.7)))
        others = [
            untrained_generator(one.prepared(project / one.modality), project / f"of-{one.modality}", **one.train)
            for one in (AUDIBLE, EXAMPLES[2])
        ]
    options = [option for folder in others for option in ("--folder", folder.name)]
    command = [PYTHON, "-m", "components.explore", "--port", "0", *options]
    environment |= {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, cwd=project, env=environment, stdout=subprocess.PIPE, text=True) as page:
        try:
            address = page.stdout.readline().removeprefix("The page: ").strip()
            yield Served(address, project, dark, bright)
        finally:
            page.terminate()


def _register(name: str, level: float, digest: str) -> Path:
    """Registers a generator whose images have about this mean, with a report in its run."""
    import keras

    keras.utils.set_random_seed(0)
    latents, labels = keras.Input((SIZE,)), keras.Input((), dtype="int32")
    given = keras.layers.Concatenate()([latents, keras.layers.Embedding(2, SIZE)(labels)])
    images = keras.layers.Reshape((16, 16, 1))(keras.layers.Dense(256, "tanh")(given))
    network = keras.Model([latents, labels], keras.layers.Rescaling(0.3, level)(images))
    client = connect()
    run_id = client.create_run(experiment_id(client), run_name=name).info.run_id
    metadata = generator_metadata(
        latent_size=SIZE, classes=("cat", "dog"), class_shares=(0.5, 0.5), tracking_run_id=run_id, dataset_digest=digest
    )
    save_generator(Path(name), network, metadata)
    client.log_text(run_id, "<main>A report.<footer></footer></main>", "report.html")
    scores = evaluation(10.0 + level, 0.1, run_id, of=Path(name)).model_copy(update={"dataset_digest": digest})
    register(CONFIG, Path(name), scores)
    return Path(name).resolve()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def page(served: Served, browser: Any) -> Iterator[Any]:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(PAGE_SECONDS * 1000)
    page.requested = []
    page.on("request", lambda request: page.requested.append(request))  # noqa: PLW0108, it takes no built-in method
    page.goto(served.address)
    page.wait_for_selector("#looked figure")
    yield page
    page.close()


def choose(page: Any, label: str, option: str) -> None:
    """Chooses an option. A list that is open closes if the page answers an earlier choice, so it is opened again."""
    listed = page.get_by_role("option", name=option)
    for _ in range(PAGE_SECONDS):
        page.get_by_label(label, exact=True).click()
        page.wait_for_timeout(1000)
        if listed.count():
            listed.first.click()
            return
        page.keyboard.press("Escape")
    pytest.fail(f"The list {label} has no {option}: {page.inner_text('body')}")


def eventually(page: Any, condition: Callable[[], bool]) -> None:
    for _ in range(PAGE_SECONDS * 10):
        if condition():
            return
        page.wait_for_timeout(100)
    pytest.fail(f"The page does not show what it should: {page.inner_text('body')}")


def pictures(text: str) -> list[bytes]:
    return [base64.b64decode(found) for found in PICTURE.findall(text)]


def levels(picture: bytes) -> list[list[int]]:
    with Image.open(io.BytesIO(picture)) as image:
        return np.asarray(image).tolist()


def is_dark(picture: bytes) -> bool:
    return bool(np.mean(levels(picture)) < 128)


def test_the_chosen_version_draws_what_its_seed_and_class_draw(page: Any, served: Served) -> None:
    choose(page, "Compare with", "no other version")
    for name, folder in (("version 2", served.bright), ("version 1", served.dark)):
        choose(page, "Version", name)
        choose(page, "Class", "dog")
        page.get_by_label("Seed", exact=True).fill("7")
        latents, labels = draw_latents(16, SIZE, 7), np.full(16, 1, np.int32)
        expected = next(draw_batches(load_generator(folder), latents, labels))[:, :, :, 0].tolist()
        eventually(page, lambda drawn=expected: [levels(one) for one in pictures(page.inner_html("#looked"))] == drawn)
        with Image.open(io.BytesIO(pictures(page.inner_html("#looked"))[0])) as image:
            require_marked(image.info["xmp"], folder, "7")


def test_two_versions_are_beside_each_other_with_the_nearest_training_images(page: Any) -> None:
    eventually(page, lambda: page.locator("#looked h3").all_inner_texts()[0].endswith("version 1 · champion"))
    page.get_by_label("Nearest training items").check()
    titles = ["generator · version 1 · champion", "Nearest training images"]
    titles += ["generator · version 2 · challenger", "Nearest training images"]
    eventually(page, lambda: page.locator("#looked h3").all_inner_texts() == titles)
    assert page.locator("#looked .nearest figcaption").first.inner_text().endswith("levels away")


def test_a_walk_begins_and_ends_at_its_seeds(page: Any) -> None:
    choose(page, "Compare with", "no other version")
    choose(page, "Class", "cat")
    page.get_by_role("tab", name="Walk").click()
    for end, station in (("0", 0), ("1", -1)):
        page.get_by_label("Share of the way", exact=False).first.fill(end)
        page.keyboard.press("Tab")
        caption = f"{int(end):.0%}"
        eventually(page, lambda text=caption: page.inner_text("#walked .large figcaption") == text)
        large, *stations = pictures(page.inner_html("#walked"))
        assert len(stations) == 9
        assert levels(large) == levels(stations[station])
    assert levels(stations[0]) != levels(stations[-1])


def test_clips_are_played_and_texts_are_read(page: Any) -> None:
    choose(page, "Compare with", "no other version")
    choose(page, "Version", "of-audio")
    page.wait_for_selector("#looked audio")
    page.wait_for_function("document.querySelector('#looked audio').duration > 0.2")
    page.evaluate("document.querySelector('#looked audio').play()")
    page.wait_for_function("document.querySelector('#looked audio').currentTime > 0")
    choose(page, "Version", "of-text")
    page.wait_for_selector("#looked p")
    assert all(re.fullmatch(r"[a-h]+|\(empty\)", text) for text in page.locator("#looked p").all_inner_texts())


def test_versions_of_different_kinds_are_not_compared(page: Any) -> None:
    choose(page, "Compare with", "of-text")
    page.get_by_text("Two versions can be compared only if they draw items of the same kind").first.wait_for()


def test_the_server_tells_nobody_which_version_is_on_which_side(page: Any, served: Served) -> None:
    choose(page, "Class", "cat")
    page.get_by_role("tab", name="Blind test").click()
    page.get_by_role("button", name="Draw a pair").click()
    page.wait_for_selector("#pair figure")
    joined = [json.loads(one.post_data) for one in page.requested if "/queue/join" in one.url]
    for body in joined[:-1]:
        call(served.address, body)
    orders, answers = set(), set()
    for _ in range(MOST_PAIRS):
        answer = call(served.address, joined[-1])
        sides = pictures(answer)
        assert len(sides) == 8
        dark = [is_dark(one) for one in sides]
        assert dark in ([True] * 4 + [False] * 4, [False] * 4 + [True] * 4)
        orders.add(dark[0])
        answers.add(re.sub(r'"(event_id|\w*duration|\w*time|\w*eta)":[^,}]*', "", PICTURE.sub("", answer)))
        assert len({tuple(sorted(details(one).items())) for one in sides}) == 1
        if len(orders) == 2:
            break
    assert orders == {True, False}
    assert len(answers) == 1
    assert "version" not in answers.pop()


def details(picture: bytes) -> dict[str, str]:
    """Returns everything that a picture holds besides its pixels."""
    with Image.open(io.BytesIO(picture)) as image:
        image.load()
        return {name: str(value) for name, value in image.info.items()} | {"form": f"{image.mode} {image.size}"}


def call(address: str, body: dict[str, Any]) -> str:
    """Makes the call of a page in another session, and returns all that the server answers."""
    body = {**body, "session_hash": "another"}
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{address}/gradio_api/queue/join", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=PAGE_SECONDS) as joined:
        joined.read()
    with urllib.request.urlopen(
        f"{address}/gradio_api/queue/data?session_hash=another", timeout=PAGE_SECONDS
    ) as answered:
        return answered.read().decode()


def test_votes_go_to_the_versions_and_their_reports(page: Any, served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    page.get_by_role("tab", name="Blind test").click()
    assert "this machine's only" in page.inner_text("body")
    for votes in (1, 2):
        page.get_by_role("button", name=re.compile("Draw a pair|Next pair")).click()
        page.get_by_role("button", name="Left is better").wait_for()
        dark_is_left = is_dark(pictures(page.inner_html("#pair"))[0])
        page.get_by_role("button", name=f"{'Left' if dark_is_left else 'Right'} is better").click()
        eventually(page, lambda count=votes: f"in {count} of {count} votes" in page.inner_text("#result"))
        chosen = page.inner_text("#pair .chosen h3")
        assert chosen == f"{'Left' if dark_is_left else 'Right'}: generator version 1 (champion)"
    monkeypatch.chdir(served.project)
    for number, preferred, interval in (("1", 2, (0.3424, 1.0)), ("2", 0, (0.0, 0.6576))):
        version = connect().get_model_version("generator", number)
        [tally] = json.loads(version.tags["blind_votes"])
        assert (tally["preferred"], tally["votes"]) == (preferred, 2)
        assert (tally["low"], tally["high"]) == interval
        assert tally["against"] == f"generator version {3 - int(number)}"
        report = Path(connect().download_artifacts(version.run_id, "report.html", str(served.project))).read_text()
        assert report.count("Blind votes") == 1
        assert f"in {preferred} of 2 votes" in report


def test_the_page_loads_nothing_from_outside(page: Any, served: Served) -> None:
    page.get_by_role("tab", name="Walk").click()
    page.wait_for_selector("#walked figure")
    assert [one.url for one in page.requested if not one.url.startswith((f"{served.address}/", "data:"))] == []
    with urllib.request.urlopen(served.address, timeout=PAGE_SECONDS) as answer:
        assert re.findall(r"<(?:link|script|img|iframe)[^>]*(?:https?:)?//[^>]*>", answer.read().decode()) == []
    other = served.address.replace("127.0.0.1", "localhost")  # another host for the browser
    assert page.evaluate("there => fetch(there).then(() => 'loaded', () => 'refused')", other) == "refused"
    assert "Content Security Policy" in page.evaluate(
        """there => new Promise(resolve => {
            document.addEventListener('securitypolicyviolation', event => resolve('Content Security Policy'));
            setTimeout(() => resolve('no violation'), 10000);
            document.body.appendChild(Object.assign(new Image(), {src: there + '/favicon.ico'}));
        })""",
        other,
    )


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/", {"Host": "evil.example"}, 400),
        ("GET", "/", {"Origin": "http://evil.example"}, 403),
        ("POST", "/gradio_api/queue/join", {"Origin": "null"}, 403),
        ("POST", "/gradio_api/upload", {}, 404),
        ("GET", "/gradio_api/file=/etc/passwd", {}, 404),
        ("GET", "/gradio_api/file=mlflow.db", {}, 404),
        ("GET", "/gradio_api/proxy=http://127.0.0.1/", {}, 404),
        ("POST", "/gradio_api/vibe-code", {}, 404),
        ("GET", "/gradio_api/deep_link?session_hash=another", {}, 404),
        ("GET", "/assets/..%2f..%2f..%2f..%2f..%2f..%2fetc%2fpasswd", {}, 403),
    ],
)
def test_other_requests_are_refused(
    served: Served, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    connection = http.client.HTTPConnection(served.address.removeprefix("http://"), timeout=PAGE_SECONDS)
    connection.request(method, path, headers=headers)
    assert connection.getresponse().status == status
    connection.close()


def test_the_server_listens_on_this_machine_alone(served: Served) -> None:
    port = int(served.address.rpartition(":")[2])
    listening = [line.split()[1] for line in Path("/proc/net/tcp").read_text().splitlines() if line.split()[3] == "0A"]
    assert [one for one in listening if one.endswith(f":{port:04X}")] == [f"0100007F:{port:04X}"]
