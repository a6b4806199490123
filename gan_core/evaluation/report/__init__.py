"""The report: an evaluation explained on one self-contained page."""
