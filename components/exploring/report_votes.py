"""The section of a report that shows the blind votes of its generator."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence

from gan_core.printing import printable

_START, _END = "<!-- blind votes -->", "<!-- end of blind votes -->"


def with_votes(page: str, sentences: Sequence[str]) -> str:
    """Returns a report with the section, in place of an earlier one or else before the footer."""
    listed = "".join(f"<li>{html.escape(printable(one))}</li>" for one in sentences)
    section = (
        f"{_START}<section><h2>Blind votes</h2>"
        '<p class="note">A person chose between items of two generators without knowing which side was which. Each '
        "line counts the votes of one machine; the interval is Wilson's.</p>"
        f"<ul>{listed}</ul></section>{_END}"
    )
    page = re.sub(f"{_START}.*?{_END}", "", page, flags=re.DOTALL)
    return page.replace("<footer>", f"{section}<footer>", 1)
