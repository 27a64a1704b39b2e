"""Language models that talk to each other about a topic, and a page on which people watch them do it.

`python -m dialogue serve` starts the service, `python -m dialogue --topic …` holds a conversation in the terminal.
"""
