"""The bills of two revisions, and what is between them."""
