"""Figures as SVG text: pure functions of arrays, colours left to the page."""
