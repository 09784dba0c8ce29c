"""Fetch a bundle, prove it, switch to it, and go back where it does not serve."""
