"""Reads, for every face: typed, read-only, each one bounded by an index or by a limit.

Nothing here returns a model instance: a face gets frozen records and cannot write by accident.
"""
