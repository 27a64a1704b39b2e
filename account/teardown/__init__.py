"""The end of a stack: what to do first, what is left in the account afterwards, and how the rest goes."""
