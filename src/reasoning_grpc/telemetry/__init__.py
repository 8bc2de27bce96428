"""OpenTelemetry: the seam that our code uses, and the export of what it records."""
