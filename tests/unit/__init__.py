"""Tests that feed bytes and call functions: no server, no network."""
