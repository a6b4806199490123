"""The report, which explains an evaluation on one self-contained page."""
