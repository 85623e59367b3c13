"""Complete orders, each built from a few facts (a story)."""
