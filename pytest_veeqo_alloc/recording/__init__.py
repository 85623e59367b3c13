"""Cassettes that vcrpy records and replays, with a network guard."""
