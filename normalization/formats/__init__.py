"""Formats of source systems, each streaming, each tolerant first and strict afterwards."""
