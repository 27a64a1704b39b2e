"""This machine's part of a twin: its programs, its processes, its files."""
