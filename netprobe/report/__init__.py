"""A `Report` for people and for machines: text, HTML, JSON lines. Pure: records in, text out."""
