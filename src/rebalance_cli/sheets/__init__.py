"""Strict reader of spreadsheets in CSV files: a cell is read as it is written, or it is an error."""
