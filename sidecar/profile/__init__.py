"""Profiles: how raw fields, score and decisions were distributed, as counts that can be added up."""
