"""Runtimes that turn a unit into an embedding."""
