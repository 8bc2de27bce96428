"""Fills the dashboard: a load with a fault, a real Prometheus that scrapes it, and a picture of every panel."""
