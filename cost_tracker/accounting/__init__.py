"""Exports for people and for finance: workbooks, Parquet, and books of what was handed out before."""
