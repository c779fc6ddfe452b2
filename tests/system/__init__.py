"""Tests against real servers, each of one behaviour a user relies on."""
