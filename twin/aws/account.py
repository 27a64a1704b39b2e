"""The account in which everything is."""

ACCOUNT = "111122223333"
"""Account of the plan (`cli.cloud.ACCOUNT_ID`), which moto must take over."""
