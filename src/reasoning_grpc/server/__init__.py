"""Builds, starts and stops the server; the only floor that wires objects."""
