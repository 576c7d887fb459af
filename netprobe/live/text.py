"""What strangers write, made harmless before it is kept."""

LIMIT = 200  # characters; what a fact promises for names and headers


def clean(text: str, limit: int = LIMIT) -> str:
    """`text` from a stranger without what is not printable, cut to `limit` characters."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text[: limit * 2])[:limit]
