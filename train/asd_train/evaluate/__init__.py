"""Scores clips as the device does and counts what the DCASE challenge counts."""
