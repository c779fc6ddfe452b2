"""Measurements of pyssh beside ssh; see run.py."""
