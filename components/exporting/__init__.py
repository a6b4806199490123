"""Writes generators in formats of other programs, and checks what was written."""
