"""Cassettes: recorded HTTP interactions. vcrpy records and replays them, while a guard blocks other network access."""
