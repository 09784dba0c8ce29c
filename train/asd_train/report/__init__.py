"""Pages that show an evaluation: one HTML file each, nothing fetched from anywhere.

`summary`, `clips` and `folder` read what ``asd-train evaluate`` wrote, `history`
what training left; the modules in `figures` turn arrays into SVG text; `page` and
`comparison` fill the templates.
"""
