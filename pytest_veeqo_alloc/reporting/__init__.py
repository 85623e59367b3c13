"""Sinks: findings as a terminal, a program or GitHub wants them. One escaping function for each."""
