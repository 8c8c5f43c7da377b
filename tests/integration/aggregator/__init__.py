"""The aggregator on a real stack."""
