"""The page: its controls, and what they do."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from components.exploring import drawing
from components.exploring.blind_test import BlindTest, Pair
from components.exploring.cards import Row, html, paragraphs
from components.exploring.choices import Choice, Choices, first_two, require_comparable
from components.exploring.drawing import Wish
from components.exploring.votes import FILE
from gan_core.errors import InvalidInput, TryAgain
from gan_core.generator import Generator

_NONE = ""  # no second version, or no chosen class
_MOST_SUGGESTED = 9999  # a short seed is easier to write down
_INTRODUCTION = """# Explore generators
Draw items, walk between them, and vote. The page is for you at this machine. It loads nothing from outside, and sends \
only results of votes to your MLflow."""
_RULES = f"""Which version is on which side is random for each pair, and hidden until you vote. Both sides have the \
same class. **Votes are this machine's only:** they are in `{FILE}`, and the result goes to both versions in MLflow."""


class Page:
    """The page's blocks and its look.

    Args:
        choices: the generators to choose from.
        test: draws blind pairs and takes votes.
        dataset: prepared data, in which the nearest training items are searched.
    """

    def __init__(self, choices: Choices, test: BlindTest, dataset: Path) -> None:
        self._choices = choices
        self._test = test
        self._dataset = dataset
        self.css = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
        fonts = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"]  # none is loaded
        theme = gr.themes.Soft(primary_hue="indigo", font=fonts, font_mono=["ui-monospace", "monospace"])
        self.theme = theme.set(
            block_title_background_fill="none", block_title_padding="0", block_title_text_color="*body_text_color"
        )
        with gr.Blocks(title="Explore generators", analytics_enabled=False) as self.blocks:
            gr.Markdown(_INTRODUCTION)
            with gr.Row():
                self._version = gr.Dropdown(label="Version", scale=2)
                self._rival = gr.Dropdown(label="Compare with", scale=2)
                self._label = gr.Dropdown(label="Class", min_width=120)
                self._truncation = gr.Slider(0, 1, 1, step=0.05, label="Truncation", min_width=180)
            self._controls = [self._version, self._rival, self._label, self._truncation]
            opened = self.blocks.load(_shown(self._open), outputs=[self._version, self._rival, self._label], **_QUIET)
            changed = self._version.input(_shown(self._classes), self._controls[::2], self._label, **_QUIET)
            again = [opened.then, changed.then, *(control.input for control in self._controls[1:])]
            with gr.Tab("Look"):
                self._look_tab(again)
            with gr.Tab("Walk"):
                self._walk_tab(again)
            with gr.Tab("Blind test"):
                self._test_tab()

    def _look_tab(self, again: Sequence[Any]) -> None:
        with gr.Row():
            seed = gr.Number(0, label="Seed", precision=0, minimum=0, maximum=drawing.MOST_SEED)
            another = gr.Button("Another seed", elem_classes="at-the-end")
            nearest = gr.Checkbox(False, label="Nearest training items", elem_classes="at-the-end", container=False)
        shown = gr.HTML(elem_id="looked", apply_default_css=False)
        another.click(_suggestion, outputs=seed, **_QUIET)
        for event in [*again, _latest(seed), nearest.input]:
            event(_shown(self._look), [seed, nearest, *self._controls], shown, **_QUIET)

    def _walk_tab(self, again: Sequence[Any]) -> None:
        with gr.Row():
            ends = [
                gr.Number(value, label=label, precision=0, minimum=0, maximum=drawing.MOST_SEED)
                for value, label in ((0, "From seed"), (1, "To seed"))
            ]
            share = gr.Slider(0, 1, 0.5, step=0.01, label="Share of the way", scale=3)
        shown = gr.HTML(elem_id="walked", apply_default_css=False)
        for event in [*again, *map(_latest, [*ends, share])]:
            event(_shown(self._walk), [*ends, share, *self._controls], shown, **_QUIET)

    def _test_tab(self) -> None:
        gr.Markdown(_RULES)
        pair = gr.State()
        result = gr.HTML(elem_id="result", apply_default_css=False)
        shown = gr.HTML(elem_id="pair", apply_default_css=False)
        with gr.Row(visible=False) as ballot:
            left = gr.Button("Left is better", variant="primary")
            skip = gr.Button("Cannot tell: skip")
            right = gr.Button("Right is better", variant="primary")
        another = gr.Button("Draw a pair", variant="primary")
        views = [pair, shown, ballot, another, result]
        for button in (another, skip):
            button.click(_shown(self._pair), self._controls, views, **_QUIET)
        for number, button in enumerate((left, right)):
            vote = functools.partial(self._vote, number)
            button.click(_shown(vote), pair, views, **_QUIET, concurrency_id="vote")

    def _open(self) -> tuple[Any, Any, Any]:
        listed = self._choices.listed()
        titles = [choice.title for choice in listed]
        version, rival = first_two(listed)
        rivals = [("no other version", _NONE), *((title, title) for title in titles)]
        return (
            gr.Dropdown(choices=titles, value=version),
            gr.Dropdown(choices=rivals, value=rival or _NONE),
            self._classes(version, None),
        )

    def _classes(self, version: str | None, label: str | None) -> Any:
        """Offers the version's classes, and keeps the chosen one if the version has it."""
        classes = self._choices.load(self._choices.named(version)).metadata.classes
        offered = [("all classes", _NONE), *((name, name) for name in classes)]
        kept = {} if label in (_NONE, *classes) else {"value": _NONE}
        return gr.Dropdown(choices=offered, visible=bool(classes), **kept)

    def _look(self, seed: object, nearest: bool, *controls: Any) -> Any:
        if seed is None:  # the field is empty while a person types
            return gr.skip()
        wish, chosen = self._chosen(*controls)
        return html([drawing.look(*one, wish, seed, self._dataset if nearest else None) for one in chosen])

    def _walk(self, start: object, end: object, share: float, *controls: Any) -> Any:
        if start is None or end is None:
            return gr.skip()
        wish, chosen = self._chosen(*controls)
        return html([drawing.walk(*one, wish, (start, end), share) for one in chosen])

    def _chosen(
        self, version: str, rival: str, label: str, truncation: float
    ) -> tuple[Wish, list[tuple[str, Generator]]]:
        """Returns the wish, and each chosen generator with its title, which is empty if there is only one."""
        choices = [self._choices.named(title) for title in (version, rival) if title]
        chosen = [(choice.title if rival else "", self._choices.load(choice)) for choice in choices]
        require_comparable(chosen[0][1], chosen[-1][1])
        return Wish(label, truncation), chosen

    def _pair(self, version: str, rival: str, label: str, truncation: float) -> tuple[Any, ...]:
        if not rival:
            raise InvalidInput("A blind test needs a second version in “Compare with”. Received: none")
        pair = self._test.pair((self._choices.named(version), self._choices.named(rival)), Wish(label, truncation))
        shown = html([[Row(name, one.cards, "pair")] for name, one in zip(_SIDES, pair.sides, strict=True)])
        lines = [f"Class: {pair.wish.label}"] if pair.wish.label else []
        return pair, shown, gr.Row(visible=True), gr.Button(visible=False), paragraphs(lines)

    def _vote(self, preferred: int, pair: Pair | None) -> tuple[Any, ...]:
        if pair is None:
            raise InvalidInput("A pair must be drawn before each vote. Received: no pair")
        sentences = self._test.vote(pair, preferred)
        columns = []
        for number, (name, one) in enumerate(zip(_SIDES, pair.sides, strict=True)):
            form = "pair chosen" if number == preferred else "pair"
            columns.append([Row(f"{name}: {_name(one.choice)}", one.cards, form)])
        again = gr.Button("Next pair", visible=True)
        return None, html(columns), gr.Row(visible=False), again, paragraphs(sentences)


_SIDES = ("Left", "Right")
_QUIET: dict[str, Any] = {"show_progress": "minimal", "api_visibility": "private"}


def _name(choice: Choice) -> str:
    return f"{choice.name}{f' ({choice.alias})' if choice.alias else ''}"


def _latest(control: Any) -> Callable[..., Any]:
    """Returns the event of a control's change. Of the changes while the page draws, only the last one counts."""
    return functools.partial(control.change, trigger_mode="always_last")


def _suggestion() -> int:
    return random.randint(0, _MOST_SUGGESTED)  # noqa: S311


def _shown(answer: Callable[..., Any]) -> Callable[..., Any]:
    """Makes the page show a user's mistake, or a server that does not answer, as a sentence."""

    @functools.wraps(answer)
    def answered(*values: Any) -> Any:
        try:
            return answer(*values)
        except (InvalidInput, TryAgain) as error:
            raise gr.Error(str(error), title="Please check", print_exception=False) from None

    return answered
