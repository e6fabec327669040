"""Schemas of providers, and what stands in for the providers."""
