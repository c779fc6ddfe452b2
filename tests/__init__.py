"""Tests of pyssh: `unit` feeds bytes, `system` starts real servers."""
