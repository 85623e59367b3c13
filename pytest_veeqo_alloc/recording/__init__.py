"""Cassettes: replay without a network, and recordings that may be shown. Built on vcrpy, whose patches they use."""
