"""Measures what callers notice of limits, reloads and replaced files: `make bench-callers`."""
