"""Quantise a trained run, prove parity and write a bundle."""
