"""Cassettes: recording and replay by vcrpy, and a network guard."""
