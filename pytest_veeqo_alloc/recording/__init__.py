"""Cassettes: recording and replay through vcrpy, with a network guard."""
